"""Part of a video to read, and its frame rate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from anime_tf.config import Config, setting

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


def parse_time(value: Any) -> Fraction:
    """Return seconds from a number, or from ``ss``, ``mm:ss`` or ``hh:mm:ss`` with a fraction."""
    if not isinstance(value, str):
        return Fraction(value)
    found = _TIME.fullmatch(value.strip())
    if found is None:
        raise ValueError("expected seconds, mm:ss or hh:mm:ss, as 12.5, 1:05 or 1:02:03.5")
    hours, minutes, rest = found.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + Fraction(rest)


def parse_rate(value: Any) -> Fraction:
    """Return frames per second, in 0..1000, from a number or a text such as ``30000/1001``."""
    try:
        rate = Fraction(value)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise ValueError("expected frames per second, as 25, 29.97 or 30000/1001")
    return rate.limit_denominator(1001)


@dataclass(frozen=True)
class Span(Config):
    """Part of a source, and its frame rate.

    Attributes:
        start: Start in seconds, or as mm:ss or hh:mm:ss. Output times count from here.
        end: End in seconds, or as mm:ss or hh:mm:ss.
        rate: Constant frame rate, as 25, 29.97 or 30000/1001; for numbered pictures the rate at
            which they are shown. By default each frame keeps its time.
    """

    start: Fraction = setting(Fraction(0), convert=parse_time)
    end: Fraction | None = setting(None, convert=parse_time)
    rate: Fraction | None = setting(None, convert=parse_rate, flag="fps")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.end is not None and self.end <= self.start:
            raise ValueError(
                f"expected an end after the start, got {float(self.end):g} s after "
                f"{float(self.start):g} s"
            )


WHOLE = Span()
