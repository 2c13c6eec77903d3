"""Pictures of any size in bounded memory: stylized in tiles, with frozen norm statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from anime_tf.io.geometry import pad_to_multiple
from anime_tf.io.pixels import check_finite, from_pm1, to_pm1

# Side of a tile without its margins: larger ones compute fewer margins and take more memory than
# the 0.5 to 1 GB of this one with the published networks in float32.
TILE_SIDE = 640

# Larger pictures are always tiled: the networks' tensors would have more values than some
# operations can count
MAX_PIXELS = 1 << 24


@dataclass(frozen=True)
class Tile:
    """A part of a picture and its surroundings; each (top, bottom, left, right) in pixels.

    Attributes:
        outer: The part that goes through the network.
        inner: The part whose result is used, within `outer`.
    """

    outer: tuple[int, int, int, int]
    inner: tuple[int, int, int, int]

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """Pixels of `outer` beyond `inner`: top, bottom, left, right."""
        out, in_ = self.outer, self.inner
        return (in_[0] - out[0], out[1] - in_[1], in_[2] - out[2], out[3] - in_[3])

    def crop(self, array: np.ndarray) -> np.ndarray:
        """Crop (height, width, c) to `outer`."""
        top, bottom, left, right = self.outer
        return array[top:bottom, left:right]


def split_into_tiles(size_hw: tuple[int, int], side: int, margin: int, stride: int) -> list[Tile]:
    """Split a picture into tiles of nearly the same size, whose inner parts cover it once.

    Args:
        size_hw: Height and width of the picture, multiples of the stride.
        side: Largest height and width of `Tile.inner`.
        margin: Pixels of surroundings on each side, where the picture has them.
        stride: Tiles and surroundings begin and end at multiples of it.
    """
    margin = -(-margin // stride) * stride

    def parts(length: int) -> Iterator[tuple[int, int, int, int]]:
        number = -(-length // max(side, stride))
        step = -(-length // (number * stride)) * stride
        for begin in range(0, length, step):
            end = min(begin + step, length)
            yield max(begin - margin, 0), min(end + margin, length), begin, end

    return [
        Tile((top, bottom, left, right), (inner_top, inner_bottom, inner_left, inner_right))
        for top, bottom, inner_top, inner_bottom in parts(size_hw[0])
        for left, right, inner_left, inner_right in parts(size_hw[1])
    ]


def stylize_tiles(
    run: Callable[[np.ndarray, Tile, tuple[int, int]], np.ndarray],
    photo: np.ndarray,
    *,
    dtype: np.dtype,
    side: int,
    margin: int,
    stride: int,
    minimum: int,
) -> np.ndarray:
    """Stylize a picture tile by tile; only one tile at a time is in memory as floats.

    With frozen statistics and a margin of the receptive field's radius the result is that of the
    whole picture: there are no seams.

    `run` is the network, called with a tile, (1, height, width, 3) float32 in [-1, 1], its
    position, and the size of the padded picture; it returns the same shape. Photo and result are
    (height, width, 3) RGB, of dtypes of `io.pixels.WHITE`. `side` is the largest of a tile without
    its margins; `stride` and `minimum` are the network's.
    """
    height, width = photo.shape[:2]
    padded = pad_to_multiple(photo[None], stride, minimum)[0][0]
    size_hw = (padded.shape[0], padded.shape[1])
    anime = np.empty(photo.shape, dtype)
    for tile in split_into_tiles(size_hw, side, margin, stride):
        anime_pm1 = run(to_pm1(tile.crop(padded))[None], tile, size_hw)[0]
        above, _, before, _ = tile.margins
        top, bottom, left, right = tile.inner
        bottom, right = min(bottom, height), min(right, width)  # without the padding
        if bottom > top and right > left:
            part = anime_pm1[above : above + bottom - top, before : before + right - left]
            check_finite(part)
            anime[top:bottom, left:right] = from_pm1(part, dtype)
    return anime


def choose_tile_side(size_hw: tuple[int, int], tile: str | int, fits: Callable[[int], bool]) -> int:
    """Return the largest side of a tile, or 0 to stylize the picture whole.

    `tile` is "never"; "auto" for tiles where `fits(pixels)` says that the picture may not fit into
    memory; or the side of a tile, for every larger picture.
    """
    if tile == "never":
        return 0
    if isinstance(tile, int):
        return tile if max(size_hw) > tile else 0
    pixels = size_hw[0] * size_hw[1]
    return 0 if pixels <= MAX_PIXELS and fits(pixels) else TILE_SIDE


def out_of_memory_message(shape: tuple[int, ...], side: int, may_tile: bool) -> str:
    """Compose the error for pictures (n, height, width, 3) that did not fit into memory.

    `side` is that of their tiles, 0 without; `may_tile` tells whether tiles are a remedy.
    """
    n, height, width = shape[:3]
    pixels = f"{n} x {width}x{height} pixels" if n > 1 else f"{width}x{height} pixels"
    if side:
        return (
            f"not enough memory to stylize {pixels} in tiles of {side}; use smaller tiles "
            "(--tile) or limit the size (--max_side)"
        )
    tiles = f"stylize in tiles (--tile={TILE_SIDE}) or " if may_tile else ""
    return f"not enough memory to stylize {pixels} at once; {tiles}limit the size (--max_side)"
