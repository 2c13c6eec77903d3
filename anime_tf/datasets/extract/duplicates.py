"""Pictures that look alike: a perceptual hash of 64 bits, and an index of such hashes."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from anime_tf.io import pictures

HASH_BITS = 64
_SIDE, _KEPT = 32, 8


def perceptual_hash(rgb_u8: np.ndarray) -> int:
    """What a picture looks like, roughly, in 64 bits.

    Luma at 32x32 pixels, its cosine transform, the 8x8 lowest frequencies; a bit is 1 where the
    coefficient lies above the median of the 64. The first of them, the mean, is left out of the
    median. Size, compression, small changes of brightness and contrast, and small objects that move
    change few bits or none; two pictures that have nothing in common differ in about 32.

    Args:
        rgb_u8: (height, width, 3) RGB uint8.

    Returns:
        0 .. 2**64 - 1; the highest bit is the lowest frequency.

    Reference:
        Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, section
        3.2.1 (the hash by DCT).
    """
    gray = cv2.cvtColor(pictures.resize(rgb_u8, (_SIDE, _SIDE)), cv2.COLOR_RGB2GRAY)
    lowest = cv2.dct(gray.astype(np.float32))[:_KEPT, :_KEPT].ravel()
    # Coefficients of a flat picture are rounding errors, whose signs mean nothing.
    lowest = np.where(np.abs(lowest) < 1e-2, 0, lowest)
    bits = lowest > np.median(lowest[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def distance(one: int, other: int) -> int:
    """In how many bits two hashes differ.

    Args:
        one: A hash.
        other: Another.

    Returns:
        0..64.
    """
    return (one ^ other).bit_count()


class HashIndex:
    """Hashes with names, asked for the nearest one.

    All are compared, by numpy: 10,000 hashes take some 30 microseconds.
    """

    def __init__(self, entries: Iterable[tuple[str, int]] = ()) -> None:
        """Makes an index.

        Args:
            entries: (name, hash) of what it holds from the beginning.
        """
        self._names: list[str] = []
        self._hashes = np.empty(64, np.uint64)
        for name, value in entries:
            self.add(name, value)

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: str, value: int) -> None:
        """Adds a hash.

        Args:
            name: Whose it is; names may repeat.
            value: The hash.
        """
        count = len(self._names)
        if count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[count] = value
        self._names.append(name)

    def nearest(self, value: int) -> tuple[str, int] | None:
        """The entry that differs in the fewest bits, the earliest of several.

        Args:
            value: A hash.

        Returns:
            Its name and in how many bits it differs; None where the index is empty.
        """
        if not self._names:
            return None
        apart = np.bitwise_count(self._hashes[: len(self._names)] ^ np.uint64(value))
        at = int(apart.argmin())
        return self._names[at], int(apart[at])

    def within(self, value: int, below: int, start: int = 0) -> list[tuple[str, int]]:
        """All entries that differ in fewer bits than `below`.

        Args:
            value: A hash.
            below: Bits.
            start: How many of the first entries to pass over.

        Returns:
            Names and in how many bits they differ, in the order in which they were added.
        """
        apart = np.bitwise_count(self._hashes[start : len(self._names)] ^ np.uint64(value))
        return [(self._names[start + i], int(apart[i])) for i in np.flatnonzero(apart < below)]
