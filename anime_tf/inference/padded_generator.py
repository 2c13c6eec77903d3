"""`PaddedGenerator`: a generator in graphs that take pictures of every size, floats or pixels.

This is the only place where the networks' needs (sides that are multiples of a stride, a smallest
side) meet arbitrary pictures. Inference with Keras and all exports run this graph.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from anime_tf.inference.lowering.lower import PORTABLE, LoweringConfig, lower
from anime_tf.inference.lowering.norm_statistics import Choose, EmaStatistics, statistics_length
from anime_tf.inference.lowering.resize import TileBox
from anime_tf.models.generator import Generator


class PaddedGenerator(tf.Module):
    """A generator for pictures of any size from 1x1 on.

    Pictures are reflected at their lower and right edge until the network can take them, as
    `io.geometry.pad_to_multiple` does it, and cropped afterwards. Each function is traced once, for
    every size.

    Args:
        model: The generator; used, not copied.
        size_hw: The only size to support, one picture at a time, for devices that cannot change
            sizes; multiples of the network's stride. None for every size and batch.
        lowering: Implementations of the layers; the default is that of exports. A CPU-optimized
            one takes one picture at a time.
        statistics: (k,) constant statistics of all norms, which are then fused into the
            convolutions. None for those of each picture.

    Attributes:
        pm1: tf.function of ``pictures_pm1``, (n, height, width, 3) float32 RGB in [-1, 1]; returns
            ``{"anime_pm1": ...}``, the same shape, dtype and range.
        u8: tf.function of ``pictures_u8``, (n, height, width, 3) uint8 RGB; returns
            ``{"anime_u8": ...}``, the same shape and dtype. The network sees x / 127.5 - 1; output
            pixels are round((y + 1) * 127.5), clipped.

    Raises:
        ValueError: The network does not support that size.
    """

    def __init__(
        self,
        model: Generator,
        size_hw: tuple[int, int] | None = None,
        *,
        lowering: LoweringConfig = PORTABLE,
        statistics: np.ndarray | None = None,
    ) -> None:
        super().__init__(name="padded_generator")
        for side in size_hw or ():
            _check_side(side, model.STRIDE, model.MINIMUM_SIDE)
        self.size_hw = size_hw
        self.statistics_length = statistics_length(model)
        # The variables only: a SavedModel of this module must not contain Keras' tree of objects,
        # so the model is kept in closures.
        self.weights = [weight.value for weight in model.weights]
        self.with_size = lambda size_hw: PaddedGenerator(model, size_hw, statistics=statistics)

        def run(
            pictures_pm1: tf.Tensor,
            *,
            given: tf.Tensor | None = None,
            choose: Choose | None = None,
            tile: TileBox | None = None,
        ) -> tf.Tensor:
            fused = statistics if given is None else given
            network = lower(model, lowering, statistics=fused, choose=choose, tile=tile)
            if size_hw is not None or tile is not None:
                return network(pictures_pm1, training=False)
            height, width = tf.unstack(tf.shape(pictures_pm1)[1:3])
            padded = pictures_pm1
            for axis in (1, 2):
                padded = reflect_to_multiple(padded, axis, model.STRIDE, model.MINIMUM_SIDE)
            return network(padded, training=False)[:, :height, :width]

        self._run = run

        def pm1(pictures_pm1: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"anime_pm1": run(pictures_pm1)}

        def u8(pictures_u8: tf.Tensor) -> dict[str, tf.Tensor]:
            # Through the other function, so that the network is in the graph only once.
            anime_pm1 = self.pm1(tf.cast(pictures_u8, tf.float32) / 127.5 - 1.0)["anime_pm1"]
            scaled = tf.round((anime_pm1 + 1.0) * 127.5)
            return {"anime_u8": tf.cast(tf.clip_by_value(scaled, 0.0, 255.0), tf.uint8)}

        batch = 1 if lowering.cpu_optimized else None
        shape = (batch, None, None, 3) if size_hw is None else (1, *size_hw, 3)
        self._picture = tf.TensorSpec((1, *shape[1:]), tf.float32, name="pictures_pm1")
        # AutoGraph has nothing to convert here, and writes temporary files, which fails on a full
        # disk.
        self.pm1 = tf.function(
            pm1, [tf.TensorSpec(shape, tf.float32, name="pictures_pm1")], autograph=False
        )
        self.u8 = tf.function(
            u8, [tf.TensorSpec(shape, tf.uint8, name="pictures_u8")], autograph=False
        )

    # The functions below are made on request: as attributes they would be in every SavedModel.

    def make_ema_function(self, measure: bool = True) -> tf.types.experimental.GenericFunction:
        """Make a tf.function whose norms use a moving average of statistics over frames.

        It takes ``pictures_pm1``, one picture; ``previous``, (k,) float32; ``momentum`` and
        ``tolerance``, float32 scalars as of `EmaStatistics`. Without `measure` it also takes the
        statistics of the picture as ``measured``, (k,) float32, and fuses the norms into the
        convolutions. It returns ``{"anime_pm1": ..., "statistics": ...}``; the statistics, (k,),
        are the ``previous`` of the next frame.
        """

        def ema(
            pictures_pm1: tf.Tensor,
            previous: tf.Tensor,
            momentum: tf.Tensor,
            tolerance: tf.Tensor,
            measured: tf.Tensor | None = None,
        ) -> dict[str, tf.Tensor]:
            statistics = EmaStatistics(previous, momentum, tolerance)
            anime_pm1 = self._run(pictures_pm1, choose=statistics, given=measured)
            return {"anime_pm1": anime_pm1, "statistics": statistics.used()}

        vector = (self.statistics_length,)
        specs = [
            self._picture,
            tf.TensorSpec(vector, tf.float32, name="previous"),
            tf.TensorSpec((), tf.float32, name="momentum"),
            tf.TensorSpec((), tf.float32, name="tolerance"),
        ]
        if not measure:
            specs.append(tf.TensorSpec(vector, tf.float32, name="measured"))
        return tf.function(ema, specs, autograph=False)

    def make_tile_function(self) -> tf.types.experimental.GenericFunction:
        """Make a tf.function for tiles of a larger picture.

        It takes ``pictures_pm1``, a tile whose sides are multiples of the network's stride, and
        ``tile_box``, (4,) int32: the tile's first row and column, and the picture's height and
        width. It returns ``{"anime_pm1": ...}``, the output for the tile as a part of that picture.
        """

        def tile(pictures_pm1: tf.Tensor, tile_box: tf.Tensor) -> dict[str, tf.Tensor]:
            box = TileBox(tile_box[:2], tile_box[2:], tf.shape(pictures_pm1)[1:3])
            return {"anime_pm1": self._run(pictures_pm1, tile=box)}

        spec = tf.TensorSpec((4,), tf.int32, name="tile_box")
        return tf.function(tile, [self._picture, spec], autograph=False)


def _check_side(side: int, stride: int, minimum: int) -> None:
    if side % stride or side < minimum:
        nearest = max(round(side / stride), -(-minimum // stride)) * stride
        raise ValueError(
            f"expected an image_size that is a multiple of {stride} and at least {minimum} for "
            f"this network, got {side}; the nearest is {nearest}"
        )


def reflect_to_multiple(x: tf.Tensor, axis: int, stride: int, minimum: int) -> tf.Tensor:
    """Pad one axis at its end by reflection to a multiple of `stride`, at least `minimum`.

    By indices, 0 1 2 1 0 1 2 ... for a side of 3: MirrorPad reflects only once, which cannot pad a
    small picture.
    """
    side = tf.shape(x)[axis]
    padded = (tf.maximum(side, minimum) + (stride - 1)) // stride * stride
    period = tf.maximum(2 * (side - 1), 1)  # a side of 1 is repeated
    index = tf.range(padded) % period
    return tf.gather(x, tf.minimum(index, period - index), axis=axis)
