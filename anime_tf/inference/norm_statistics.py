"""Norm statistics of one picture of any size, or of many together.

The statistics of a norm are those of a whole picture at its layer, which may not fit into memory at
full resolution. They are estimated in two steps:

1. A sample of small tiles from all over the picture, at full resolution, goes through the network
   as one batch; each norm takes its statistics over all of them.
2. In each pass larger tiles go through the network one by one, normalized with the statistics so
   far; their moments are combined exactly (Chan et al. 1979). The difference to the sample is a
   correction for each norm. The sample runs again, and each norm uses its statistics, corrected.

To use the measured statistics in the next pass instead may diverge: an error at one norm grows at
each that follows. A correction depends little on such an error, which shifts picture and sample
alike. See docs/performance.md for measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from anime_tf.inference.lowering.lower import CPU, lower
from anime_tf.inference.lowering.norm_statistics import mean_mask, statistics_length
from anime_tf.inference.tiling import Tile, split_into_tiles
from anime_tf.io.geometry import pad_to_multiple
from anime_tf.io.pixels import to_pm1
from anime_tf.models.generator import Generator

# side of a tile of the sample: many small tiles represent a picture better than a few large
SAMPLE_SIDE = 64

# pixels of the sample, and of the largest picture that is measured whole
SAMPLE_PIXELS = 200 * SAMPLE_SIDE**2

PASS_SIDE = 512  # largest side of the measured part of a tile of a pass
PASS_PIXELS = 32 * PASS_SIDE**2  # most pixels that a pass measures, spread over the pictures
PASS_MARGIN = 32  # pixels around that part that go through the network with it
PASSES = 3  # passes after the sample
MIN_VARIANCE = 1e-6  # added to variances before they are compared: those of constant channels are 0


class StatisticsEstimator:
    """Estimates the norm statistics of pictures for a generator; traced once for every size."""

    def __init__(self, model: Generator) -> None:
        def run(
            tiles_pm1: tf.Tensor, margins: tf.Tensor, given: tf.Tensor, corrects: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            recorder = _Recorder(tiles_pm1, margins, given, corrects)
            lower(model, CPU, choose=recorder)(tiles_pm1, training=False)
            return recorder.results()

        specs = [
            tf.TensorSpec((None, None, None, 3), tf.float32, name="tiles_pm1"),
            tf.TensorSpec((4,), tf.int32, name="margins"),
            tf.TensorSpec((statistics_length(model),), tf.float32, name="given"),
            tf.TensorSpec((), tf.bool, name="corrects"),
        ]
        self._model = model  # a concrete function does not keep its variables alive
        self._run = tf.function(run, specs, autograph=False).get_concrete_function()
        self._is_mean = mean_mask(model)

    def __call__(self, photos_u8: Sequence[np.ndarray], passes: int | None = None) -> np.ndarray:
        """Estimate the statistics of all norms, (k,) float32, for one or more RGB uint8 pictures.

        Pictures (height, width, 3) may have any size; several count as one large picture. A picture
        that is no larger than the sample is measured whole and exactly. Each pass after the sample,
        by default `PASSES`, takes as long as stylizing what it measures.

        Raises:
            ValueError: No photo.
            MemoryError: Not enough memory even for the sample.
        """
        if not photos_u8:
            raise ValueError("expected at least one photo to measure statistics of, got none")
        if not len(self._is_mean):
            return np.zeros(0, np.float32)
        stride, minimum = self._model.STRIDE, self._model.MINIMUM_SIDE
        padded = [pad_to_multiple(photo[None], stride, minimum)[0][0] for photo in photos_u8]
        if len(padded) == 1 and _area(padded[0]) <= SAMPLE_PIXELS:
            return self.measure_batch(to_pm1(padded[0])[None])[1]
        tiles_pm1 = sample_tiles(padded, stride)
        of_sample, used = self.measure_batch(tiles_pm1)
        for _ in range(PASSES if passes is None else passes):
            measured = self.measure_tiles(pass_tiles(padded, stride), used)
            correction = self._correction(measured, of_sample)
            of_sample, used = self.measure_batch(tiles_pm1, correction)
        return used

    def measure_batch(
        self, tiles_pm1: np.ndarray, correction: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Measure each norm over all tiles at once, normalized with the result.

        `correction`, (k,) means in deviations and factors of variances, is applied to the measured
        statistics. Returns the measured statistics, and the corrected ones that the norms used.
        """
        if correction is None:
            correction = np.where(self._is_mean, 0.0, 1.0)
        return self._run_with(tiles_pm1, (0,) * 4, correction, corrects=True)

    def measure_tiles(
        self, tiles: Iterator[tuple[np.ndarray, Tile]], given: np.ndarray
    ) -> np.ndarray:
        """Measure each norm over tiles one by one, normalized with given statistics."""
        pixels = 0
        mean = variance = np.zeros(np.count_nonzero(self._is_mean))
        for tile_pm1, tile in tiles:
            measured = self._run_with(tile_pm1, tile.margins, given, corrects=False)[0]
            measured = measured.astype(np.float64)
            top, bottom, left, right = tile.inner
            added = (bottom - top) * (right - left)
            pixels += added
            difference = measured[self._is_mean] - mean
            share = added / pixels
            mean = mean + share * difference
            variance += share * (measured[~self._is_mean] - variance)
            variance += share * (1 - share) * np.square(difference)
        return self._join(mean, variance)

    def _correction(self, measured: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Correction that turns the statistics of the reference into the measured ones."""
        means, variances = zip(
            *((x[self._is_mean], x[~self._is_mean] + MIN_VARIANCE) for x in (measured, reference)),
            strict=True,
        )
        return self._join(
            (means[0] - means[1]) / np.sqrt(variances[1]), variances[0] / variances[1]
        )

    def _join(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        statistics = np.empty(len(self._is_mean))
        statistics[self._is_mean], statistics[~self._is_mean] = mean, variance
        return statistics

    def _run_with(
        self, tiles_pm1: np.ndarray, margins: Sequence[int], given: np.ndarray, corrects: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        try:
            measured, used = self._run(
                tf.constant(tiles_pm1, tf.float32),
                tf.constant(margins, tf.int32),
                tf.constant(given, tf.float32),
                tf.constant(corrects),
            )
            return measured.numpy(), used.numpy()
        except tf.errors.ResourceExhaustedError as error:
            n, height, width = tiles_pm1.shape[:3]
            raise MemoryError(
                f"not enough memory to measure {n} tiles of {width}x{height} pixels at once"
            ) from error


class _Recorder:
    """Records what each norm measures within margins; a `lowering.norm_statistics.Choose`.

    The norms use the given statistics, or the measured ones with the given correction.
    """

    def __init__(self, tiles_pm1: Any, margins: Any, given: Any, corrects: Any) -> None:
        self._side = tf.shape(tiles_pm1)[1]
        self._margins = margins
        self._given = given
        self._corrects = corrects
        self._rows: dict[int, tuple[Any, Any]] = {}

    def __call__(self, span: slice, measure: Callable[..., Any]) -> Any:
        size = (span.stop - span.start) // 2
        mean, variance = (tf.reshape(moment, (size,)) for moment in measure(self._crop))
        given_mean, given_variance = self._given[span][:size], self._given[span][size:]
        corrected_mean = mean + given_mean * tf.sqrt(variance + MIN_VARIANCE)
        corrected_variance = (variance + MIN_VARIANCE) * given_variance - MIN_VARIANCE
        used = (
            tf.where(self._corrects, corrected_mean, given_mean),
            tf.where(self._corrects, tf.maximum(corrected_variance, 0.0), given_variance),
        )
        self._rows[span.start] = tf.concat([mean, variance], 0), tf.concat(used, 0)
        return tuple(tf.reshape(value, (1, 1, 1, size)) for value in used)

    def results(self) -> tuple[Any, Any]:
        """Return the measured and the used statistics, (k,) each."""
        empty = tf.zeros(0)  # for networks without norms
        rows = [(empty, empty), *(self._rows[start] for start in sorted(self._rows))]
        measured, used = zip(*rows, strict=True)
        return tf.concat(measured, 0), tf.concat(used, 0)

    def _crop(self, x: Any) -> Any:
        height, width = tf.unstack(tf.shape(x)[1:3])
        # At a norm the picture has shrunk by a power of two that divides all margins.
        top, bottom, left, right = tf.unstack(self._margins * height // self._side)
        return x[:, top : height - bottom, left : width - right]


def sample_tiles(photos_u8: Sequence[np.ndarray], stride: int) -> np.ndarray:
    """Take tiles spread evenly over pictures: (n, side, side, 3) float32 in [-1, 1].

    Sides of the pictures are multiples of `stride`, and tiles begin at multiples of it.
    """
    shortest = min(min(photo.shape[:2]) for photo in photos_u8)
    side = min(SAMPLE_SIDE, shortest) // stride * stride
    number = max(SAMPLE_PIXELS // (side * side), 1)
    areas = np.cumsum([0, *map(_area, photos_u8)])
    tiles = []
    for i in range(number):
        # Pictures in proportion to their areas; within each, a low-discrepancy sequence.
        place = (i + 0.5) / number * areas[-1]
        photo = photos_u8[int(np.searchsorted(areas, place)) - 1]
        top, left = (
            int(part * ((length - side) // stride) + 0.5) * stride
            for part, length in zip(_low_discrepancy(i), photo.shape[:2], strict=True)
        )
        tiles.append(photo[top : top + side, left : left + side])
    return to_pm1(np.stack(tiles))


def _low_discrepancy(i: int) -> tuple[float, float]:
    """The i-th point of a sequence that covers the unit square evenly (Roberts' R2, 2018)."""
    plastic = 1.32471795724474602596
    return (0.5 + i / plastic) % 1, (0.5 + i / plastic**2) % 1


def pass_tiles(photos_u8: Sequence[np.ndarray], stride: int) -> Iterator[tuple[np.ndarray, Tile]]:
    """Yield the tiles of a pass with their surroundings, (1, height, width, 3) float32 in [-1, 1].

    Sides of the pictures are multiples of `stride`, as are the beginnings and ends of tiles.
    """
    tiles = [
        (photo, tile)
        for photo in photos_u8
        for tile in split_into_tiles(
            (photo.shape[0], photo.shape[1]), PASS_SIDE, PASS_MARGIN, stride
        )
    ]
    number = min(len(tiles), max(1, PASS_PIXELS * len(tiles) // sum(map(_area, photos_u8))))
    if number < len(tiles):  # not every n-th, which could be one column of each row
        chosen = np.random.default_rng(0).permutation(len(tiles))[:number]
        tiles = [tiles[i] for i in sorted(chosen)]
    for photo, tile in tiles:
        yield to_pm1(tile.crop(photo))[None], tile


def _area(photo_u8: np.ndarray) -> int:
    return photo_u8.shape[0] * photo_u8.shape[1]
