"""Adam whose update of a variable is a single operation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam by TensorFlow's own operation, the one of TensorFlow 1.

    Keras makes some twenty operations a variable: a step takes longer to build and to run, and
    needs a temporary copy of each slot. Settings, variables and checkpoints are those of Keras.

    Reference: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, section 2.
    """

    def _distributed_tf_update_step(
        self,
        distribution: tf.distribute.Strategy,
        grads_and_vars: Iterable[tuple[Any, Any]],
        learning_rate: Any,
    ) -> None:
        """Update all variables, with the powers of the decay rates computed once.

        Keras' TensorFlow optimizers call it once a step; theirs calls `update_step` for each
        variable.
        """
        count = tf.cast(self.iterations.value + 1, tf.float32)
        beta1, beta2 = tf.constant(self.beta_1), tf.constant(self.beta_2)
        shared = {
            "beta1_power": tf.pow(beta1, count),
            "beta2_power": tf.pow(beta2, count),
            "lr": learning_rate,
            "beta1": beta1,
            "beta2": beta2,
            "epsilon": tf.constant(self.epsilon),
        }

        def update(variable: Any, gradient: Any) -> None:
            index = self._get_variable_index(variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                grad=gradient,
                **shared,
            )

        for gradient, variable in grads_and_vars:
            distribution.extended.update(variable, update, args=(gradient,), group=False)
