"""Adam whose update of a variable is a single operation."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam by TensorFlow's own operation, the one of TensorFlow 1.

    Keras makes some twenty operations a variable: a step takes longer to build and to run, and
    needs a temporary copy of each slot. Settings, variables and checkpoints are those of Keras.

    Reference: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, section 2.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a float32 variable and its two moments."""
        index = self._get_variable_index(variable)
        count = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, count),
            beta2_power=tf.pow(self.beta_2, count),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
