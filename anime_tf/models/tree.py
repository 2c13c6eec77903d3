"""Trees of layers: definition order, building, and copies with layers replaced.

Networks of this package define their layers in the order in which they run. Building, the order of
norm statistics and the pairing of norms with convolutions all rely on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

Replace = Callable[[Any], Any]  # function from a copy of a layer to its replacement, any callable
Table = Mapping[type[keras.layers.Layer], Replace]  # class of a layer -> replacement


def sublayers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yield the direct sublayers in definition order, also those in lists and tuples."""
    for name, value in vars(layer).items():
        if not name.startswith("_"):
            yield from _layers_in(value)


def walk(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yield all layers below a layer, depth first, in definition order."""
    for child in sublayers(layer):
        yield child
        yield from walk(child)


def _layers_in(value: Any) -> Iterator[keras.layers.Layer]:
    if isinstance(value, keras.layers.Layer):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _layers_in(item)


def build_in_order(layer: keras.layers.Layer, input_shape: Any) -> None:
    """Build the direct sublayers of a layer as a chain.

    They tell the channels of their output by `filters`, or keep their input's.
    """
    channels = input_shape[-1]
    for child in sublayers(layer):
        child.build((None, None, None, channels))
        channels = getattr(child, "filters", channels)


class ChainModel(keras.Model):
    """Model that builds its direct sublayers as a chain, once."""

    built: bool

    def build(self, input_shape: Any) -> None:
        if not self.built:
            build_in_order(self, input_shape)
            self.built = True


def swap_layers(
    layer: keras.layers.Layer, table: Table, instances: Mapping[int, Replace] | None = None
) -> Any:
    """Copy a tree of built layers with some of them replaced; the original is untouched.

    Copies share the weights of their originals, so they are views: train, save and checkpoint the
    original. A layer is replaced after its sublayers. Replacements by class (`table`) apply to
    subclasses too; the nearest class wins. Those of single layers by their `id` (`instances`) come
    after. Returns the copy of the root, or its replacement.

    Reference: `swap_module` of torch.ao.quantization.
    """
    copies: dict[int, Any] = {}

    def swap(value: Any) -> Any:
        if isinstance(value, keras.layers.Layer):
            if id(value) not in copies:
                copies[id(value)] = replaced(value)
            return copies[id(value)]
        if isinstance(value, list | tuple) and any(True for _ in _layers_in(value)):
            return [swap(item) for item in value]
        return value

    def replaced(original: keras.layers.Layer) -> Any:
        copy: Any = object.__new__(type(original))
        # Into the dictionary: Keras would track what is assigned as an attribute.
        for name, value in vars(original).items():
            vars(copy)[name] = value if name.startswith("_") else swap(value)
        for kind in type(original).__mro__:
            if kind in table:
                copy = table[kind](copy)
                break
        return (instances or {}).get(id(original), lambda same: same)(copy)

    return swap(layer)


def recast(kind: type[keras.layers.Layer], **attributes: Any) -> Replace:
    """Make a replacement that turns a copy into an instance of a subclass with another `call`.

    The attributes are set on the copy, past Keras' tracking.
    """

    def replace(copy: Any) -> Any:
        object.__setattr__(copy, "__class__", kind)
        vars(copy).update(attributes)
        return copy

    return replace
