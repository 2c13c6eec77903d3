"""Windows that are cut from a picture at its full resolution."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

CROP_MODES = ("random", "grid")
"""How windows are laid."""

Box = tuple[int, int, int, int]
"""A window of a picture: (top, left, height, width) in pixels."""

MOST_SHARED = 0.5
"""Of its area that a random window may share with another one of the same picture."""

_TRIES = 8  # windows drawn for each one wanted


def cut(picture_u8: np.ndarray, box: Box) -> np.ndarray:
    """The part of a picture within a window.

    Args:
        picture_u8: (height, width, channels).
        box: A window that lies within it.

    Returns:
        (box height, box width, channels), a copy.
    """
    top, left, height, width = box
    return np.ascontiguousarray(picture_u8[top : top + height, left : left + width])


def generator(seed: int, name: str, number: int) -> np.random.Generator:
    """Random numbers that follow from a seed, a name and a number alone.

    Args:
        seed: 0 or more.
        name: Of a film.
        number: Of a frame in it.

    Returns:
        A generator of its own.
    """
    entropy = [seed, zlib.crc32(name.encode()), number]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def windows(
    size_hw: tuple[int, int], side: int, count: int, mode: str, random: np.random.Generator
) -> Iterator[Box]:
    """Lays square windows into a picture; the caller takes as many as it likes.

    "random": windows drawn one after the other. "grid": windows side by side, as many as fit,
    spread evenly from edge to edge, in random order.

    Args:
        size_hw: Of the picture.
        side: Of a window.
        count: How many are wanted; of random windows, 8 times as many are offered at most.
        mode: One of `CROP_MODES`.
        random: What decides.

    Yields:
        Windows within the picture; none where it is too small for one.
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


def shared(one: Box, other: Box) -> float:
    """How much of the smaller one of two windows lies within the other.

    Args:
        one: A window.
        other: Another.

    Returns:
        0..1.
    """
    height = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    width = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    smaller = min(one[2] * one[3], other[2] * other[3])
    return max(0, height) * max(0, width) / smaller
