"""The flags of formats, what is read and how it is written; and those against flicker."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from absl import flags

from anime_tf.io.video.codecs import CODECS, Coding

if TYPE_CHECKING:
    from anime_tf.io.video.readers import Span

STEADY_CHOICES = ("off", "statistics", "blend", "both")

STATISTICS_SECONDS = 0.2
"""Half-life of held statistics."""

MEASURE_SECONDS = 1.0
"""How often the statistics of a frame are measured, at least."""

BLEND_SECONDS = 0.065
"""Half-life of the blend: at 30 frames a second 0.7 of the frame before, at 24 0.64."""

_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


def define_format_flags(values: flags.FlagValues) -> None:
    """Defines the flags of formats."""
    flags.DEFINE_enum(
        "codec",
        None,
        list(CODECS),
        "How pictures are coded; h264, or vp9 in WebM, unless it is named.",
        flag_values=values,
    )
    defaults = ", ".join(f"{codec.crf} of {name}" for name, codec in CODECS.items())
    flags.DEFINE_integer(
        "crf",
        None,
        f"Quality of the codec: 0 is the best, larger numbers make smaller files; by default "
        f"{defaults}.",
        0,
        max(codec.worst_crf for codec in CODECS.values()),
        flag_values=values,
    )
    flags.DEFINE_string(
        "start", None, "Where to begin, in seconds or as hh:mm:ss.", flag_values=values
    )
    flags.DEFINE_string("end", None, "Where to end, likewise.", flag_values=values)
    flags.DEFINE_string(
        "fps",
        None,
        "Frames a second, constant, as 25, 29.97 or 30000/1001; for numbered pictures, at which "
        "they are shown. By default each frame keeps its time.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "compare", False, "Show the photo and the result side by side.", flag_values=values
    )
    flags.DEFINE_bool(
        "preview",
        None,
        "Show the result in a window while it is made; by default of a camera alone, where there "
        "is a display.",
        flag_values=values,
    )


def define_steady_flags(values: flags.FlagValues) -> None:
    """Defines the flags of `video.steady.steadied`."""
    flags.DEFINE_enum(
        "steady",
        "both",
        list(STEADY_CHOICES),
        "Against flicker: hold the network's statistics through a shot, blend each frame with the "
        "one before along their movement, or both; off draws each frame by itself.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "statistics_seconds",
        STATISTICS_SECONDS,
        "Half-life of held statistics, in seconds; longer is steadier and slower to follow a "
        "change of light.",
        0.0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "measure_seconds",
        MEASURE_SECONDS,
        "How often held statistics are measured, in seconds, besides at cuts and where colours "
        "change; the frames between are drawn sooner. 0 measures every frame.",
        0.0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "blend_seconds",
        BLEND_SECONDS,
        "Half-life of the blend, in seconds; longer is steadier and softer.",
        0.0,
        flag_values=values,
    )


def coding_of(values: flags.FlagValues) -> Coding:
    """What the flags say about coding."""
    return Coding(values.codec, values.crf)


def span_of(values: flags.FlagValues) -> Span:
    """What the flags say about the part of the source that is wanted.

    Raises:
        ValueError: They are no times or no rate, or nothing lies between them.
    """
    # It brings OpenCV with it, which no help needs.
    from anime_tf.io.video.readers import Span

    start = seconds("start", values.start) if values.start is not None else Fraction(0)
    end = seconds("end", values.end) if values.end is not None else None
    return Span(start, end, _rate(values.fps) if values.fps is not None else None)


def seconds(name: str, text: str) -> Fraction:
    """A time in seconds.

    Args:
        name: Of the flag.
        text: Seconds, ``mm:ss`` or ``hh:mm:ss``, each with or without a fraction.

    Raises:
        ValueError: It is no time.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"--{name}={text}: expected seconds or hh:mm:ss, as 12.5 or 1:02:03.5")
    hours, minutes, rest = found.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + Fraction(rest)


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise ValueError(f"--fps={text}: expected frames a second, as 25, 29.97 or 30000/1001")
    return rate.limit_denominator(1001)
