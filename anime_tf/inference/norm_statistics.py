"""Statistics of a network's norms, measured once for many pictures, or for one of any size.

With statistics that are fixed, a network's norms are part of its convolutions: it is quicker, and a
picture can be stylised in tiles, for what a pixel becomes depends only on its surroundings.

A norm's statistics are those of a whole picture at one layer, which at full resolution may not fit
into memory. They are found in two steps:

1. A sample of the picture, small tiles from all over it, goes through the network together, and
   each norm takes its statistics over all of them. Tiles have the resolution of the picture: a
   reduced picture has other textures, and so other statistics.
2. In each pass larger tiles, all of them or many, go through it one after the other, normalised
   with the statistics so far, and are measured at each norm; moments of tiles are put together
   exactly (Chan et al. 1979). How they differ from those of the sample, which went through with the
   same statistics, is a correction for each norm; then the sample goes through again, and each norm
   uses its statistics over the sample, corrected.

The obvious second step, to hold what was measured for the next pass, is exact at the n-th norm
after n passes, but before that it may go far astray: an error at one norm grows at each that
follows, for none removes it, as a norm does that measures. A correction depends little on such an
error, which moves picture and sample alike. Measured in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from anime_tf.inference.tiling import Tile, tiles_of
from anime_tf.io.pictures import pad_to_multiple, to_pm1

if TYPE_CHECKING:
    import keras

SAMPLE_SIDE = 64
"""Height and width of a tile of the sample: many small ones stand for a picture better than few."""

SAMPLE_PIXELS = 200 * SAMPLE_SIDE**2
"""Pixels of the sample, which goes through a network at once; and of pictures that do so whole."""

PASS_SIDE = 512
"""Height and width of what a tile of a pass is measured for, at most."""

PASS_PIXELS = 32 * PASS_SIDE**2
"""Pixels that a pass measures at most, spread over the pictures; below that, all of them."""

PASS_MARGIN = 32
"""Pixels around it that go through the network with it."""

PASSES = 3
"""Passes after the sample."""

NO_VARIANCE = 1e-6
"""Added to variances before they are compared: of channels that are constant."""


def sample(photos_u8: Sequence[np.ndarray], stride: int) -> np.ndarray:
    """Tiles spread evenly over pictures.

    Args:
        photos_u8: (height, width, 3) uint8 each, sides multiples of the stride.
        stride: Tiles begin at multiples of it.

    Returns:
        (n, side, side, 3) float32 in [-1, 1].
    """
    least = min(min(photo.shape[:2]) for photo in photos_u8)
    side = min(SAMPLE_SIDE, least) // stride * stride
    number = max(SAMPLE_PIXELS // (side * side), 1)
    areas = np.cumsum([0, *map(_area, photos_u8)])
    chosen = []
    for i in range(number):
        # Pictures by their areas; within each, points of a sequence that leaves no gaps.
        place = (i + 0.5) / number * areas[-1]
        photo = photos_u8[int(np.searchsorted(areas, place)) - 1]
        tops, lefts = (length - side for length in photo.shape[:2])
        top, left = (
            int(part * (room // stride) + 0.5) * stride
            for part, room in zip(_spread(i), (tops, lefts), strict=True)
        )
        chosen.append(photo[top : top + side, left : left + side])
    return to_pm1(np.stack(chosen))


def _spread(i: int) -> tuple[float, float]:
    """The i-th point of a sequence that covers the unit square evenly at every length.

    Reference: Roberts, The unreasonable effectiveness of quasirandom sequences, 2018.
    """
    plastic = 1.32471795724474602596
    return (0.5 + i / plastic) % 1, (0.5 + i / plastic**2) % 1


def parts(photos_u8: Sequence[np.ndarray], stride: int) -> Iterator[tuple[np.ndarray, Tile]]:
    """Tiles of a pass.

    Args:
        photos_u8: (height, width, 3) uint8 each, sides multiples of the stride.
        stride: Tiles begin and end at multiples of it.

    Yields:
        (1, height, width, 3) float32 in [-1, 1], a tile with its surroundings, and where it lies.
    """
    tiles = [
        (photo, tile)
        for photo in photos_u8
        for tile in tiles_of((photo.shape[0], photo.shape[1]), PASS_SIDE, PASS_MARGIN, stride)
    ]
    number = min(len(tiles), max(1, PASS_PIXELS * len(tiles) // sum(map(_area, photos_u8))))
    if number < len(tiles):  # not every n-th: that could be one column of each row
        chosen = np.random.default_rng(0).permutation(len(tiles))[:number]
        tiles = [tiles[i] for i in sorted(chosen)]
    for photo, tile in tiles:
        yield to_pm1(tile.of(photo))[None], tile


def _area(photo_u8: np.ndarray) -> int:
    return photo_u8.shape[0] * photo_u8.shape[1]


class Measure:
    """A network that measures the statistics of its norms; traced once for every size.

    Args:
        model: A generator of `models.registry`, of any precision; used, not copied.
    """

    def __init__(self, model: keras.Model) -> None:
        import tensorflow as tf

        from anime_tf.models.gradients import plain_operations
        from anime_tf.models.norms import choosing_statistics
        from anime_tf.models.quick import quick_operations

        self._sizes: list[int] = []

        def run(
            tiles_pm1: tf.Tensor, margins: tf.Tensor, held: tf.Tensor, own: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            found = _Found(tiles_pm1, margins, held, own)
            with plain_operations(), quick_operations(), choosing_statistics(found):
                model(tiles_pm1, training=False)
            self._sizes = found.sizes
            return tf.concat(found.measured, axis=0), tf.concat(found.used, axis=0)

        specs = [
            tf.TensorSpec((None, None, None, 3), tf.float32, name="tiles_pm1"),
            tf.TensorSpec((4,), tf.int32, name="margins"),
            tf.TensorSpec((None,), tf.float32, name="held"),
            tf.TensorSpec((), tf.bool, name="own"),
        ]
        self._model = model  # a concrete function does not keep its variables alive
        traced = tf.function(run, input_signature=specs, autograph=False)
        self._run = traced.get_concrete_function()
        self._is_mean = np.concatenate([np.repeat([True, False], size) for size in self._sizes])

    def __call__(self, photos_u8: Sequence[np.ndarray], passes: int = PASSES) -> np.ndarray:
        """Statistics of all norms for a picture, or for several together.

        A picture that is no larger than the sample is measured exactly, at once.

        Args:
            photos_u8: At least one, (height, width, 3) uint8 RGB of any size. Several count as one
                large picture.
            passes: Passes after the sample; each takes as long as stylising what it measures.

        Returns:
            (k,) float32, mean and variance of one norm after the other, in the order in which the
            network runs them: for `inference.any_picture.AnyPicture`.

        Raises:
            ValueError: No photo.
            MemoryError: Too little memory even for the sample.
        """
        if not photos_u8:
            raise ValueError("expected at least one photo to measure statistics of, received none")
        stride, minimum = int(self._model.STRIDE), int(self._model.MINIMUM_SIDE)
        padded = [pad_to_multiple(photo[None], stride, minimum)[0][0] for photo in photos_u8]
        if len(padded) == 1 and _area(padded[0]) <= SAMPLE_PIXELS:
            return self.together(to_pm1(padded[0])[None])[1]
        tiles_pm1 = sample(padded, stride)
        of_sample, used = self.together(tiles_pm1)
        for _ in range(passes):
            measured = self.one_by_one(parts(padded, stride), used)
            of_sample, used = self.together(tiles_pm1, self.correction(measured, of_sample))
        return used

    def together(
        self, tiles_pm1: np.ndarray, correction: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each norm's statistics over all tiles at once.

        Args:
            tiles_pm1: (n, height, width, 3) float32 in [-1, 1].
            correction: What `correction` gives; None for none.

        Returns:
            What was measured, and what the norms used: that, corrected.
        """
        if correction is None:
            correction = np.where(self._is_mean, 0.0, 1.0)
        return self._run_with(tiles_pm1, (0,) * 4, correction, own=True)

    def one_by_one(self, parts: Iterator[tuple[np.ndarray, Tile]], held: np.ndarray) -> np.ndarray:
        """Each norm's statistics over all tiles, normalised with other statistics."""
        pixels = 0
        mean = variance = np.zeros(np.count_nonzero(self._is_mean))
        for tile_pm1, tile in parts:
            measured = self._run_with(tile_pm1, tile.margins, held, own=False)[0]
            measured = measured.astype(np.float64)
            top, bottom, left, right = tile.inner
            added = (bottom - top) * (right - left)
            pixels += added
            away = measured[self._is_mean] - mean
            share = added / pixels
            mean = mean + share * away
            variance += share * (measured[~self._is_mean] - variance)
            variance += share * (1 - share) * np.square(away)
        return self._joined(mean, variance)

    def correction(self, measured: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """What makes statistics out of others: means by deviations, and factors of variances."""
        mean, variance = measured[self._is_mean], measured[~self._is_mean] + NO_VARIANCE
        its_mean, its_variance = reference[self._is_mean], reference[~self._is_mean] + NO_VARIANCE
        return self._joined((mean - its_mean) / np.sqrt(its_variance), variance / its_variance)

    def _joined(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        statistics = np.empty(len(self._is_mean))
        statistics[self._is_mean], statistics[~self._is_mean] = mean, variance
        return statistics

    def _run_with(
        self, tiles_pm1: np.ndarray, margins: Sequence[int], held: np.ndarray, own: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        import tensorflow as tf

        try:
            measured, used = self._run(
                tf.constant(tiles_pm1, tf.float32),
                tf.constant(margins, tf.int32),
                tf.constant(held, tf.float32),
                tf.constant(own),
            )
            return measured.numpy(), used.numpy()
        except tf.errors.ResourceExhaustedError as error:
            n, height, width = tiles_pm1.shape[:3]
            raise MemoryError(
                f"not enough memory to measure {n} tiles of {width}x{height} pixels at once"
            ) from error


class _Found:
    """Measures each norm within margins; lets it use what is held, or what it measured, corrected.

    Attributes:
        measured: Mean and variance of one norm after the other, (size,) each.
        used: Likewise.
        sizes: How many means each norm has.
    """

    def __init__(self, tiles_pm1: Any, margins: Any, held: Any, own: Any) -> None:
        import tensorflow as tf

        self._side = tf.shape(tiles_pm1)[1]
        self._margins = margins
        self._left = held
        self._own = own
        self.measured: list[Any] = []
        self.used: list[Any] = []
        self.sizes: list[int] = []

    def __call__(self, norm: Any, measure: Callable[..., Any]) -> Any:
        import tensorflow as tf

        size = norm.statistics_size
        mean, variance = (tf.reshape(moment, (size,)) for moment in measure(self._inner))
        held_mean, held_variance = self._left[:size], self._left[size : 2 * size]
        self._left = self._left[2 * size :]
        corrected_mean = mean + held_mean * tf.sqrt(variance + NO_VARIANCE)
        corrected_variance = (variance + NO_VARIANCE) * held_variance - NO_VARIANCE
        used = (
            tf.where(self._own, corrected_mean, held_mean),
            tf.where(self._own, tf.maximum(corrected_variance, 0.0), held_variance),
        )
        self.measured.extend((mean, variance))
        self.used.extend(used)
        self.sizes.append(size)
        return tuple(tf.reshape(value, (1, 1, 1, size)) for value in used)

    def _inner(self, x: Any) -> Any:
        import tensorflow as tf

        height, width = tf.unstack(tf.shape(x)[1:3])
        # At a norm the picture has shrunk by a power of two that divides all margins.
        top, bottom, left, right = tf.unstack(self._margins * height // self._side)
        return x[:, top : height - bottom, left : width - right]
