"""`AnyPicture`: a generator in a graph that takes every size, and pixels as well as [-1, 1].

The one place where the networks' needs (sides that are multiples of a stride, a least side) meet
pictures as they come. What infers by Keras and what is exported is this graph and no other; on a
CPU the former has other operations in it, of the same results.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from anime_tf.models.doubling import transposed_doubling
from anime_tf.models.gradients import plain_operations
from anime_tf.models.layers import placed
from anime_tf.models.norms import Moments, PictureNorm, choosing_statistics, folded_statistics
from anime_tf.models.quick import quick_operations

_OPERATIONS: dict[str | None, Callable[[], contextlib.AbstractContextManager[None]]] = {
    None: contextlib.nullcontext,
    "tensorflow": quick_operations,
    "openvino": transposed_doubling,
}
"""What a network is made of, by what runs the graph."""


class AnyPicture(tf.Module):
    """A generator for pictures of any size, from 1x1 on, each side at least 1.

    Pictures are reflected at their lower and right edge until the network can take them, as
    `data.pictures.pad_to_multiple` does it, and cropped back afterwards. Both functions are traced
    once, for every size.

    Args:
        model: A generator of `models.registry`; used, not copied.
        size_hw: Height and width of the one size that it is to take, one picture at a time, for
            devices that cannot change sizes; multiples of the network's stride. None for every
            size and number.
        runtime: What runs the graph, for which it then has the operations that are quick there:
            "tensorflow" on a CPU, one picture at a time, or "openvino". None, as in exports, has
            few kinds of operators, which everything takes.
        statistics: Statistics for all norms, as ``used`` below: they are then fixed, and part of
            the convolutions before them. None where each picture has its own.

    Attributes:
        size_hw: As given.
        of_size: Function of such a size; returns the same network for it.
        pm1: tf.function of ``pictures_pm1``, (n, height, width, 3) float32 RGB in [-1, 1]; returns
            ``{"anime_pm1": ...}``, the same shape, type and range.
        u8: tf.function of ``pictures_u8``, (n, height, width, 3) uint8 RGB; returns
            ``{"anime_u8": ...}``, the same shape and type: the network sees x / 127.5 - 1, a
            pixel out is round((y + 1) * 127.5), clipped.
        holding: Function of nothing; makes a tf.function of ``pictures_pm1``, as above but one at a
            time, of ``held``, (k,) float32, and of ``rate`` and ``leeway``, float32. That returns
            ``{"anime_pm1": ..., "used": ...}``. Its norms use held + rate * (measured - held) in
            the place of what they measure, or what is nearest to that and no further from the
            measured than the leeway: means by so many deviations, deviations by a factor of 1 +
            leeway. ``used`` is that, (k,), for the next picture's ``held``. With a rate of 1 or a
            leeway of 0 the picture is that of `pm1`, whatever ``held`` is.
        following: Function of the number of statistics, the length of ``used``; makes a tf.function
            like that of `holding`, which takes ``newest`` too, (k,) float32, in the place of what
            a picture's norms measure. They measure nothing and are part of the convolutions.
        placing: Function of nothing; makes a tf.function of ``pictures_pm1``, a tile whose sides
            are multiples of the network's stride, and of ``place``, (4,) int32: the tile's first
            row and column, and height and width of the picture that it is part of. Returns
            ``{"anime_pm1": ...}``, the network's output for the tile as part of that picture.

    Raises:
        ValueError: The network cannot take that size, or an unknown runtime.
    """

    def __init__(
        self,
        model: keras.Model,
        size_hw: tuple[int, int] | None = None,
        *,
        runtime: str | None = None,
        statistics: np.ndarray | None = None,
    ) -> None:
        super().__init__(name="any_picture")
        if runtime not in _OPERATIONS:
            known = ", ".join(str(name) for name in _OPERATIONS)
            raise ValueError(f"runtime must be one of {known}, received {runtime!r}")
        self.size_hw = size_hw
        self.of_size = lambda size_hw: AnyPicture(
            model, size_hw, statistics=statistics
        )  # no attribute, see below
        # The variables alone: Keras' tree of objects has no business in a SavedModel.
        self.weights = [weight.value for weight in model.weights]
        stride, minimum = int(model.STRIDE), int(model.MINIMUM_SIDE)

        for side in size_hw or ():
            if side % stride or side < minimum:
                nearest = max(round(side / stride), -(-minimum // stride)) * stride
                raise ValueError(
                    f"image_size {side} is not a multiple of {stride} of at least {minimum} "
                    f"pixels, as this network needs it; the nearest is {nearest}"
                )

        def run(pictures_pm1: tf.Tensor, newest: tf.Tensor | None = None) -> tf.Tensor:
            fixed = statistics if newest is None else newest
            folded = contextlib.nullcontext() if fixed is None else folded_statistics(fixed)
            with plain_operations(), _OPERATIONS[runtime](), folded:
                return model(pictures_pm1, training=False)

        def run_any(pictures_pm1: tf.Tensor, newest: tf.Tensor | None = None) -> tf.Tensor:
            if size_hw is not None:
                return run(pictures_pm1, newest)
            height, width = tf.unstack(tf.shape(pictures_pm1)[1:3])
            padded = _reflect(_reflect(pictures_pm1, 1, stride, minimum), 2, stride, minimum)
            return run(padded, newest)[:, :height, :width]

        def pm1(pictures_pm1: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"anime_pm1": run_any(pictures_pm1)}

        def u8(pictures_u8: tf.Tensor) -> dict[str, tf.Tensor]:
            # By way of the other function: the network stands in the graph once.
            anime_pm1 = self.pm1(tf.cast(pictures_u8, tf.float32) / 127.5 - 1.0)["anime_pm1"]
            scaled = tf.round((anime_pm1 + 1.0) * 127.5)
            return {"anime_u8": tf.cast(tf.clip_by_value(scaled, 0.0, 255.0), tf.uint8)}

        # Without AutoGraph: there is no Python control flow to turn into a graph, and it would
        # write temporary files, which a full disk does not take.
        shape = (
            (1 if runtime == "tensorflow" else None, None, None, 3)
            if size_hw is None
            else (1, *size_hw, 3)
        )
        pm1_spec = tf.TensorSpec(shape, tf.float32, name="pictures_pm1")
        u8_spec = tf.TensorSpec(shape, tf.uint8, name="pictures_u8")
        self.pm1 = tf.function(pm1, input_signature=[pm1_spec], autograph=False)
        self.u8 = tf.function(u8, input_signature=[u8_spec], autograph=False)
        one_spec = tf.TensorSpec((1, *shape[1:]), tf.float32, name="pictures_pm1")
        held_spec = tf.TensorSpec((None,), tf.float32, name="held")
        rate_spec = tf.TensorSpec((), tf.float32, name="rate")

        leeway_spec = tf.TensorSpec((), tf.float32, name="leeway")

        def held(
            pictures_pm1: tf.Tensor,
            held: tf.Tensor,
            rate: tf.Tensor,
            leeway: tf.Tensor,
            newest: tf.Tensor | None = None,
        ) -> dict[str, tf.Tensor]:
            mixing = _Mixing(held, rate, leeway)
            with choosing_statistics(mixing):
                # Not by way of `self.pm1`, which may have been traced without a choice.
                anime_pm1 = run_any(pictures_pm1, newest)
            return {"anime_pm1": anime_pm1, "used": mixing.all_used()}

        # Made when it is asked for: an attribute would go into every SavedModel.
        specs = [one_spec, held_spec, rate_spec, leeway_spec]
        self.holding = lambda: tf.function(held, input_signature=specs, autograph=False)
        self.following = lambda number: tf.function(
            held,
            input_signature=[*specs, tf.TensorSpec((number,), tf.float32, name="newest")],
            autograph=False,
        )

        def tile(pictures_pm1: tf.Tensor, place: tf.Tensor) -> dict[str, tf.Tensor]:
            with placed(place[:2], place[2:], tf.shape(pictures_pm1)[1:3]):
                return {"anime_pm1": run(pictures_pm1)}

        place_spec = tf.TensorSpec((4,), tf.int32, name="place")
        tile_specs = [one_spec, place_spec]
        self.placing = lambda: tf.function(tile, input_signature=tile_specs, autograph=False)


class _Mixing:
    """Lets each norm use held + rate * (measured - held), and keeps what they used."""

    def __init__(self, held: tf.Tensor, rate: tf.Tensor, leeway: tf.Tensor) -> None:
        self._held = held
        self._rate = rate
        self._leeway = leeway
        self._used: list[tf.Tensor] = []
        self._count = 0

    def __call__(self, norm: PictureNorm, measure: Callable[[], Moments]) -> Moments:
        mean, variance = measure()
        away = self._leeway * tf.sqrt(variance)
        factor = tf.square(1.0 + self._leeway)
        return (
            self._mixed(mean, mean - away, mean + away),
            self._mixed(variance, variance / factor, variance * factor),
        )

    def _mixed(self, measured: tf.Tensor, least: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
        size = measured.shape[1:].num_elements()  # of one picture: 1, or the channels
        held = tf.reshape(self._held[self._count : self._count + size], (1, 1, 1, size))
        self._count += size
        # Not by the difference: at a rate of 1 these are exactly the measured ones.
        used = (1.0 - self._rate) * held + self._rate * measured
        used = tf.minimum(tf.maximum(used, least), most)
        self._used.append(tf.reshape(used, (size,)))
        return used

    def all_used(self) -> tf.Tensor:
        """What all norms used, means and variances in the order of the norms."""
        return tf.concat([tf.zeros((0,)), *self._used], axis=0)


def _reflect(x: tf.Tensor, axis: int, stride: int, minimum: int) -> tf.Tensor:
    """Pads one axis at its end by reflection to a multiple of `stride`, at least `minimum`.

    By indices, 0 1 2 1 0 1 2 ... for a side of 3: MirrorPad reflects only once, so that it cannot
    pad a small picture.
    """
    side = tf.shape(x)[axis]
    padded = (tf.maximum(side, minimum) + (stride - 1)) // stride * stride
    period = tf.maximum(2 * (side - 1), 1)  # a side of 1 is repeated
    index = tf.range(padded) % period
    return tf.gather(x, tf.minimum(index, period - index), axis=axis)
