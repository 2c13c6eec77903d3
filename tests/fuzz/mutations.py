"""Seeded mutations of files and requests."""

from __future__ import annotations

import random

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return a copy with one to eight changes: of bits, bytes, numbers, blocks, and its end."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(made) + 1)
        # Most of what decides lies in the head.
        at = at if chance.random() < 0.6 else min(at, chance.randrange(256))
        size = chance.choice((1, 2, 4, 8, chance.randrange(1, 200)))
        kind = chance.randrange(9)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            made[at : at + size] = chance.randbytes(size)
        elif kind == 2:
            number = chance.choice(_NUMBERS).to_bytes(4, chance.choice(("big", "little")))
            made[at : at + 4] = number[-chance.choice((1, 2, 4)) :]
        elif kind == 3:
            del made[at : at + size]
        elif kind == 4:
            made[at:at] = made[at : at + size] * chance.choice((1, 2, 50))
        elif kind == 5:
            del made[at:]
        elif kind == 6:
            made[at : at + size] = bytes(size)
        elif kind == 7:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            made[at : at + size] = other[start : start + size]
        else:
            made += chance.randbytes(size)
    return bytes(made)
