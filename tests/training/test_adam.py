"""Adam in one operation: the numbers of its paper, and variables and updates of Keras' own."""

import math
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from golden_files import assert_close
from tolerances import rounding

from anime_tf.training.adam import FusedAdam
from anime_tf.training.trainer import ADAM

RATE = 0.1
ROUNDINGS = 20  # of an update, powers and roots among them
# Relative; 0.999 is rounded before it is subtracted from 1, and the root halves the error.
CORRECTION = rounding(2) / 0.001 / 2


def test_two_updates_by_hand():
    variable = keras.Variable([1.0])
    optimizer = FusedAdam(RATE, **ADAM)
    optimizer.build([variable])
    optimizer.apply([tf.constant([0.5])])
    # m = 0.5 * 0.5, v = 0.001 * 0.25; corrected they are the gradient and its square.
    assert_close(variable, [1 - RATE], atol=RATE * CORRECTION)
    optimizer.apply([tf.constant([-1.0])])
    m, v = 0.25 + 0.5 * (-1 - 0.25), 0.00025 + 0.001 * (1 - 0.00025)
    corrected = m / (1 - 0.5**2), v / (1 - 0.999**2)
    expected = 1 - RATE - RATE * corrected[0] / math.sqrt(corrected[1])
    assert_close(variable, [expected], atol=2 * RATE * CORRECTION)
    assert_close(optimizer.iterations, 2)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_updates_and_variables_are_those_of_keras(clip):
    random = np.random.default_rng(0)
    gradients = [
        [random.normal(0, 0.1, s).astype(np.float32) for s in ((3, 4), (4,))] for _ in "123"
    ]
    found = []
    for kind in (FusedAdam, keras.optimizers.Adam):
        variables = [keras.Variable(np.ones(g.shape, np.float32), name="v") for g in gradients[0]]
        optimizer = kind(1e-2, **ADAM, global_clipnorm=clip, name="g_adam")
        optimizer.build(variables)
        step = tf.function(optimizer.apply, autograph=False)
        for row in gradients:
            step([tf.constant(g) for g in row])
        found.append([*variables, *optimizer.variables])
    assert [v.path for v in found[0]] == [v.path for v in found[1]]
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs.numpy(), rtol=rounding(ROUNDINGS), atol=rounding(ROUNDINGS))


def test_a_variable_takes_one_operation():
    variables = [keras.Variable(np.ones(3, np.float32)) for _ in range(5)]
    optimizer = FusedAdam(RATE, **ADAM)
    optimizer.build(variables)
    step = tf.function(optimizer.apply, autograph=False)
    graph = step.get_concrete_function([tf.TensorSpec((3,))] * 5).graph
    kinds = Counter(operation.type for operation in graph.get_operations())
    assert kinds["ResourceApplyAdam"] == 5
    assert kinds["Pow"] == 2, "those of the decay rates are shared"
