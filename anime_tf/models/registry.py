"""Name -> generator class, for flags, archives and converters."""

from __future__ import annotations

from anime_tf.models.animegan_v2 import AnimeGANv2Generator

GENERATORS: dict[str, type[AnimeGANv2Generator]] = {
    "animegan_v2": AnimeGANv2Generator,
}
"""Each has `STRIDE` (sides that are multiples of it keep their size) and `MINIMUM_SIDE`, pixels."""
