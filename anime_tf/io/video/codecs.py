"""How pictures are coded in a film, and which kinds of files hold what."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from anime_tf.config import Config, setting

MATROSKA_TICK = Fraction(1, 1000)
"""FFmpeg's Matroska and WebM know no other tick, in seconds."""


@dataclass(frozen=True)
class Codec:
    """A way to code pictures.

    Attributes:
        encoders: FFmpeg's encoders for it, the first one that is there is used.
        crf: Quality where none is asked for; hard to tell from the source.
        worst_crf: The largest number that the encoder knows; 0 is the best quality.
        options: Encoder -> its options: a speed that suits a film after a network.
    """

    encoders: tuple[str, ...]
    crf: int
    worst_crf: int
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


CODECS: dict[str, Codec] = {
    "h264": Codec(("libx264",), 18, 51),
    "hevc": Codec(
        ("libx265",),
        18,
        51,
        {"libx265": {"preset": "fast", "x265-params": "log-level=error"}},
    ),
    "vp9": Codec(
        ("libvpx-vp9",),
        24,
        63,
        # Without a bit rate of 0, the CRF is only a bound. "good" takes four times as long as
        # "realtime" for files that are a seventh smaller.
        {
            "libvpx-vp9": {
                "b": "0",
                "deadline": "realtime",
                "cpu-used": "5",
                "row-mt": "1",
                "tile-columns": "2",
            }
        },
    ),
    "av1": Codec(
        ("libsvtav1", "libaom-av1"),
        24,
        63,
        {
            "libsvtav1": {"preset": "7"},
            "libaom-av1": {"cpu-used": "6", "row-mt": "1"},
        },
    ),
}
"""Name, as of --codec, -> codec."""


@dataclass(frozen=True)
class Container:
    """A kind of film file.

    Attributes:
        format_name: FFmpeg's name of it.
        codecs: The names of the codecs that it holds; the first one is the default.
        sound_encoder: FFmpeg's encoder for sound that it does not take as it is.
        subtitles: FFmpeg's codec for subtitles of text that it does not take as they are.
        options: FFmpeg's options.
        tags: Codec -> the tag that players ask for.
        tick: The only time base that it knows, in seconds; None for any.
        attachments: Whether it holds fonts and other files.
    """

    format_name: str
    codecs: tuple[str, ...]
    sound_encoder: str
    subtitles: str
    options: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tick: Fraction | None = None
    attachments: bool = False


# faststart: the index comes first, so that a browser plays before all is loaded. hvc1: Apple's
# players show HEVC under no other tag.
_FASTSTART, _HVC1 = {"movflags": "faststart"}, {"hevc": "hvc1"}

CONTAINERS: dict[str, Container] = {
    ".mp4": Container("mp4", ("h264", "hevc", "vp9", "av1"), "aac", "mov_text", _FASTSTART, _HVC1),
    ".mov": Container("mov", ("h264", "hevc"), "aac", "mov_text", _FASTSTART, _HVC1),
    ".mkv": Container(
        "matroska",
        ("h264", "hevc", "vp9", "av1"),
        "aac",
        "subrip",
        tick=MATROSKA_TICK,
        attachments=True,
    ),
    ".webm": Container("webm", ("vp9", "av1"), "libopus", "webvtt", tick=MATROSKA_TICK),
}
"""Suffix -> kind of film file."""


@dataclass(frozen=True)
class Coding(Config):
    """Video codec and quality.

    Attributes:
        codec: Video codec; by default h264, or vp9 in WebM.
        crf: Quality: 0 is the best, larger numbers make smaller files. The default is 18 for h264
            and hevc, and 24 for vp9 and av1.
    """

    codec: str | None = setting(None, choices=tuple(CODECS))
    crf: int | None = setting(
        None, minimum=0, maximum=max(codec.worst_crf for codec in CODECS.values())
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.codec is not None and self.crf is not None:
            self._check_crf(self.codec, self.crf)

    @staticmethod
    def _check_crf(codec: str, crf: int) -> None:
        worst = CODECS[codec].worst_crf
        if crf > worst:
            raise ValueError(f"crf: expected at most {worst} for {codec}, got {crf}")

    def of(self, path: Path) -> tuple[Container, str, int]:
        """What it means for a file.

        Args:
            path: The film to write.

        Returns:
            The kind of file, the name of the codec, and the quality.

        Raises:
            ValueError: No kind of film has such a suffix, it does not hold this codec, or the
                codec does not know this quality.
        """
        container = CONTAINERS.get(path.suffix.lower())
        if container is None:
            raise ValueError(
                f"{path}: films are written as {', '.join(CONTAINERS)}; name one of these"
            )
        name = self.codec or container.codecs[0]
        if name not in container.codecs:
            fitting = [s for s, other in CONTAINERS.items() if name in other.codecs]
            raise ValueError(
                f"{path}: {path.suffix} holds {', '.join(container.codecs)}, not {name}; name "
                f"another --codec, or an output in {', '.join(fitting)}"
            )
        crf = CODECS[name].crf if self.crf is None else self.crf
        self._check_crf(name, crf)
        return container, name, crf


DEFAULT_CODING = Coding()
"""The default codec of the kind of file, at its default quality."""


def available_encoder(codec: str) -> str:
    """FFmpeg's encoder for a codec.

    Args:
        codec: A name of `CODECS`.

    Raises:
        ValueError: The FFmpeg inside PyAV has none.
    """
    import av

    # SVT-AV1 tells its settings on stderr otherwise.
    os.environ.setdefault("SVT_LOG", "1")
    for name in CODECS[codec].encoders:
        if name in av.codecs_available:
            return name
    raise ValueError(
        f"the FFmpeg inside PyAV has no encoder for {codec} ({', '.join(CODECS[codec].encoders)}); "
        "name another --codec"
    )
