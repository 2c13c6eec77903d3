"""Windows to cut from a picture at full resolution."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

CROP_MODES = ("random", "grid")
Box = tuple[int, int, int, int]  # a window of a picture: (top, left, height, width) in pixels
MAX_OVERLAP = 0.5  # largest share of a random window that may lie within another of the picture
_TRIES = 8  # random windows drawn for each wanted one


def cut(picture_u8: np.ndarray, box: Box) -> np.ndarray:
    """Copy the part of a picture (height, width, channels) in a window that lies within it."""
    top, left, height, width = box
    return np.ascontiguousarray(picture_u8[top : top + height, left : left + width])


def make_generator(seed: int, name: str, number: int) -> np.random.Generator:
    """Make a random generator from a seed, the name of a video and the number of a frame."""
    entropy = [seed, zlib.crc32(name.encode()), number]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def windows(
    size_hw: tuple[int, int], side: int, count: int, mode: str, random: np.random.Generator
) -> Iterator[Box]:
    """Yield square windows of a picture; none if it is too small.

    The mode "random" draws up to 8 times `count` windows. "grid" tiles the picture from edge to
    edge with as many evenly spread windows as fit, in random order.
    """
    height, width = size_hw
    if min(size_hw) < side:
        return
    if mode == "grid":
        tops, lefts = (
            np.linspace(0, length - side, length // side).round().astype(int)
            if length // side > 1
            else np.array([(length - side) // 2])
            for length in size_hw
        )
        for i in random.permutation(len(tops) * len(lefts)):
            yield int(tops[i // len(lefts)]), int(lefts[i % len(lefts)]), side, side
        return
    for _ in range(_TRIES * count):
        top, left = random.integers(height - side + 1), random.integers(width - side + 1)
        yield int(top), int(left), side, side


def overlap(one: Box, other: Box) -> float:
    """Return the share of the smaller of two windows that lies within the other, 0..1."""
    height = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    width = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    smaller = min(one[2] * one[3], other[2] * other[3])
    return max(0, height) * max(0, width) / smaller
