"""Pictures in tiles: of any size in bounded memory, by a network whose statistics are fixed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anime_tf.io.pictures import from_pm1, pad_to_multiple, to_pm1

TILE_SIDE = 640
"""Height and width of a tile, without its surroundings, where none is given.

Larger ones have fewer surroundings to compute, and take more memory: this one half a gigabyte to a
whole one, with the published networks in float32."""

MOST_PIXELS = 1 << 24
"""Pictures of more go in tiles however much memory is free: beyond it the networks' tensors have
more values than some operations can count."""

CHOICES = ("auto", "never")
"""Whether there are tiles, where their size is not given."""

LEAST_SIDE = 64
"""Pixels of the smallest tile that may be asked for: smaller ones are nearly all surroundings."""

BYTES_PER_PIXEL = {"AnimeGANv1Generator": 2800, "CartoonGANGenerator": 1250}
"""What a network takes at once for a picture, by its class, in float32.

Measured on a CPU, at the published widths, of which no network that matters is wider."""

OTHER_BYTES_PER_PIXEL = 850
"""Of all other networks."""

SHARE_OF_BFLOAT16 = 0.65
"""Of that, what they take in bfloat16."""

SHARE_OF_MEMORY = 0.7
"""Of the memory that is free, what a picture may take before it goes in tiles."""


@dataclass(frozen=True)
class Tile:
    """A part of a picture, with some of what surrounds it.

    Attributes:
        outer: Rows and columns that go through the network: top, bottom, left, right.
        inner: Rows and columns that the tile stands for; within `outer`.
    """

    outer: tuple[int, int, int, int]
    inner: tuple[int, int, int, int]

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """How much larger `outer` is: at the top, at the bottom, left and right."""
        out, in_ = self.outer, self.inner
        return (in_[0] - out[0], out[1] - in_[1], in_[2] - out[2], out[3] - in_[3])

    def of(self, array: np.ndarray) -> np.ndarray:
        """What goes through the network, of (height, width, c)."""
        top, bottom, left, right = self.outer
        return array[top:bottom, left:right]


def tiles_of(size_hw: tuple[int, int], side: int, margin: int, stride: int) -> list[Tile]:
    """Parts a picture into tiles of nearly the same size, with what surrounds them.

    Args:
        size_hw: Height and width of the picture, multiples of the stride.
        side: Height and width of a tile at most, without its surroundings.
        margin: Pixels of its surroundings on each side, where the picture has them.
        stride: Tiles and surroundings begin and end at multiples of it.

    Returns:
        The tiles, row by row. What they stand for covers the picture once.
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


def in_tiles(
    run: Callable[[np.ndarray, Tile, tuple[int, int]], np.ndarray],
    photo: np.ndarray,
    *,
    dtype: np.dtype,
    side: int,
    reach: int,
    stride: int,
    minimum: int,
) -> np.ndarray:
    """Stylises a picture tile by tile; nothing but a tile is held in floats.

    With a network of fixed statistics, and as much around each tile as what comes out depends on,
    the result is that of the whole picture: there are no seams.

    Args:
        run: The network, called with a tile, (1, height, width, 3) float32 in [-1, 1], where it
            lies, and the size of the picture, which is padded for the network; returns the same
            shape.
        photo: (height, width, 3) RGB, of a type of `pictures.WHITE`.
        dtype: Type of the result, likewise.
        side: Height and width of a tile at most, without its surroundings.
        reach: Pixels around it on each side on which the result depends.
        stride: Of the network, to which the picture is padded.
        minimum: The least height and width that the network takes.

    Returns:
        (height, width, 3) RGB of that type.
    """
    height, width = photo.shape[:2]
    padded = pad_to_multiple(photo[None], stride, minimum)[0][0]
    size_hw = (padded.shape[0], padded.shape[1])
    anime = np.empty(photo.shape, dtype)
    for tile in tiles_of(size_hw, side, reach, stride):
        anime_pm1 = run(to_pm1(tile.of(padded))[None], tile, size_hw)[0]
        above, _, before, _ = tile.margins
        top, bottom, left, right = tile.inner
        bottom, right = min(bottom, height), min(right, width)  # without the padding
        if bottom > top and right > left:
            part = anime_pm1[above : above + bottom - top, before : before + right - left]
            anime[top:bottom, left:right] = from_pm1(part, dtype)
    return anime


def bytes_per_pixel(path: Path, precision: str) -> float:
    """What a network takes for each pixel of a picture, about.

    Args:
        path: Its ``.keras`` file.
        precision: "float32" or "bfloat16".
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = json.loads(archive.read("config.json")).get("class_name")
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile):
        name = None  # whatever opens it says what is wrong with it
    needed = BYTES_PER_PIXEL.get(name, OTHER_BYTES_PER_PIXEL)
    return needed * (SHARE_OF_BFLOAT16 if precision == "bfloat16" else 1.0)


def side_for(size_hw: tuple[int, int], tile: str | int, per_pixel: float) -> int:
    """In which tiles a picture is stylised.

    Args:
        size_hw: Its height and width.
        tile: "never"; "auto", for tiles where the memory that is free may not suffice for the whole
            picture; or the height and width of a tile, for pictures that are larger.
        per_pixel: Bytes that the network takes for each pixel.

    Returns:
        Height and width of a tile at most, or 0 where the picture is stylised whole.
    """
    if tile == "never":
        return 0
    if isinstance(tile, int):
        return tile if max(size_hw) > tile else 0
    pixels = size_hw[0] * size_hw[1]
    needed, free = pixels * per_pixel, free_memory()
    fits = free is None or needed <= SHARE_OF_MEMORY * free
    return 0 if fits and pixels <= MOST_PIXELS else TILE_SIDE


def too_large(shape: tuple[int, ...], side: int, may_tile: bool) -> str:
    """Says that the memory did not suffice for pictures, and what helps.

    Args:
        shape: Theirs, (n, height, width, 3).
        side: Height and width of the tiles that they were stylised in; 0 where they were not.
        may_tile: Whether they could have been.

    Returns:
        One line.
    """
    n, height, width = shape[:3]
    pixels = f"{n} x {width}x{height} pixels" if n > 1 else f"{width}x{height} pixels"
    if side:
        return (
            f"not enough memory to stylise {pixels} in tiles of {side}; take smaller ones "
            "(--tile) or limit the size (--max_side)"
        )
    tiles = f"stylise in tiles (--tile={TILE_SIDE}) or " if may_tile else ""
    return f"not enough memory to stylise {pixels} at once; {tiles}limit the size (--max_side)"


def check_tile(tile: str | int) -> None:
    """Raises `ValueError` for what is no choice of tiles; see `side_for`."""
    is_side = isinstance(tile, int) and not isinstance(tile, bool)
    if tile not in CHOICES and not (is_side and tile >= LEAST_SIDE):  # type: ignore[operator]
        raise ValueError(
            f"tile must be {', '.join(CHOICES)}, or pixels, at least {LEAST_SIDE}; received {tile}"
        )


def free_memory() -> int | None:
    """Bytes that this process may still take without swapping; None where that is not known."""
    found = [*_available(Path("/proc/meminfo")), *_left_of_group(Path("/sys/fs/cgroup"))]
    return min(found, default=None)


def _available(meminfo: Path) -> Iterator[int]:
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return  # not Linux


def _left_of_group(root: Path) -> Iterator[int]:
    """What a container may still take, by control groups of version 2 or 1."""
    for limit, used, facts in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        try:
            most, taken = int((root / limit).read_text()), int((root / used).read_text())
            lines = dict(line.split() for line in (root / facts).read_text().splitlines())
        except (OSError, ValueError):
            continue  # none, or "max"
        # Files that were read are counted too, and let go of when memory is needed.
        yield max(most - taken + int(lines.get("inactive_file", 0)), 0)
