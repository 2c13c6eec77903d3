"""Trees of layers: order and copies with layers replaced."""

from __future__ import annotations

import keras
import numpy as np

from anime_tf.models.tree import build_in_order, recast, sublayers, swap_layers, walk


class Double(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


class Negate(Double):
    def call(self, inputs):
        return -inputs


class Block(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Conv2D(4, 1, name="first")
        self.others = [(Double(name="second"),), [keras.layers.Conv2D(2, 1, name="third")]]
        self.last = Double(name="last")
        self.again = self.last

    def build(self, input_shape):
        build_in_order(self, input_shape)

    def call(self, inputs):
        x = self.first(inputs)
        for stage in self.others:
            for layer in stage:
                x = layer(x)
        return self.again(self.last(x))


def test_definition_order():
    outer = keras.layers.Layer()
    outer.block = Block(name="block")
    assert [layer.name for layer in sublayers(outer.block)][:4] == [
        "first",
        "second",
        "third",
        "last",
    ]
    assert [layer.name for layer in walk(outer)][:2] == ["block", "first"]


def test_layers_are_built_as_a_chain():
    block = Block()
    block.build((None, None, None, 3))
    assert [tuple(w.shape) for w in block.weights] == [(1, 1, 3, 4), (4,), (1, 1, 4, 2), (2,)]


def test_swapped_copies_share_weights_and_leave_the_original():
    block = Block()
    x = np.ones((1, 2, 2, 3), np.float32)
    expected = np.array(block(x))
    before = {name: id(value) for name, value in vars(block).items()}
    copy = swap_layers(block, {Double: recast(Negate)})
    np.testing.assert_allclose(copy(x), -expected / 8)
    assert {name: id(value) for name, value in vars(block).items()} == before
    np.testing.assert_array_equal(block(x), expected)
    assert copy.last is copy.again, "one layer stays one layer"
    block.first.bias.assign(np.ones(4))
    assert np.abs(copy(x) + expected / 8).max() > 0.01


def test_the_nearest_class_wins_and_single_layers_come_last():
    layer = Negate()
    order = []

    def note(name):
        return lambda copy: order.append(name) or copy

    table = {keras.layers.Layer: note("layer"), Double: note("double")}
    swap_layers(layer, table, {id(layer): note("single")})
    assert order == ["double", "single"]


def test_attributes_of_replacements():
    copy = swap_layers(Double(), {Double: recast(Negate, factor=3)})
    assert (type(copy), copy.factor) == (Negate, 3)
