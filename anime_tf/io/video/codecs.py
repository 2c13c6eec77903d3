"""Video codecs, and the container formats that hold them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from anime_tf.config import Config, setting

MATROSKA_TICK = Fraction(1, 1000)  # s, the only time base of FFmpeg's Matroska and WebM


@dataclass(frozen=True)
class Codec:
    """A video codec."""

    encoders: tuple[str, ...]  # FFmpeg's, in order of preference
    crf: int  # default quality, hard to tell from the source
    worst_crf: int
    # Of each encoder, at a speed that keeps up with a network.
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


CODECS: dict[str, Codec] = {
    "h264": Codec(("libx264",), 18, 51),
    "hevc": Codec(
        ("libx265",), 18, 51, {"libx265": {"preset": "fast", "x265-params": "log-level=error"}}
    ),
    "vp9": Codec(
        ("libvpx-vp9",),
        24,
        63,
        # Without a bit rate of 0 the CRF is only a bound. "good" takes four times as long as
        # "realtime" and saves a seventh of the bytes.
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
        {"libsvtav1": {"preset": "7"}, "libaom-av1": {"cpu-used": "6", "row-mt": "1"}},
    ),
}


@dataclass(frozen=True)
class Container:
    """A container format; names of formats, encoders and options are FFmpeg's."""

    format_name: str
    codecs: tuple[str, ...]  # the first one is the default
    audio_encoder: str  # of audio that cannot be copied
    subtitles: str  # codec of text subtitles that cannot be copied
    options: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)  # codec -> tag that players expect
    # Audio codecs that its players decode; None for all that it can hold. Others are encoded.
    audio_codecs: tuple[str, ...] | None = None
    alpha: bool = False  # whether it holds the alpha of VP9
    tick: Fraction | None = None  # the only time base, in seconds; None for any
    attachments: bool = False  # whether it holds fonts and other files


# faststart puts the index first, so that a browser plays before all is loaded. Apple's players
# show HEVC only with the tag hvc1.
_FASTSTART, _HVC1 = {"movflags": "faststart"}, {"hevc": "hvc1"}

CONTAINERS: dict[str, Container] = {
    ".mp4": Container(
        "mp4",
        ("h264", "hevc", "vp9", "av1"),
        "aac",
        "mov_text",
        _FASTSTART,
        _HVC1,
        audio_codecs=("aac", "mp3", "mp2", "ac3", "eac3", "alac", "flac", "opus"),
    ),
    ".mov": Container("mov", ("h264", "hevc"), "aac", "mov_text", _FASTSTART, _HVC1),
    ".mkv": Container(
        "matroska",
        ("h264", "hevc", "vp9", "av1"),
        "aac",
        "subrip",
        tick=MATROSKA_TICK,
        attachments=True,
        alpha=True,
    ),
    ".webm": Container("webm", ("vp9", "av1"), "libopus", "webvtt", tick=MATROSKA_TICK, alpha=True),
}


@dataclass(frozen=True)
class VideoEncoding(Config):
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

    def resolve(self, path: Path) -> tuple[Container, str, int]:
        """Return the container format, codec and CRF for a video file, if they go together."""
        container = CONTAINERS.get(path.suffix.lower())
        if container is None:
            raise ValueError(f"{path}: expected a video file as {', '.join(CONTAINERS)}")
        name = self.codec or container.codecs[0]
        if name not in container.codecs:
            fitting = [s for s, other in CONTAINERS.items() if name in other.codecs]
            supported = ", ".join(container.codecs)
            raise ValueError(
                f"{path}: expected a codec of {supported}, got {name}; choose another --codec, "
                f"or an output in {', '.join(fitting)}"
            )
        crf = CODECS[name].crf if self.crf is None else self.crf
        self._check_crf(name, crf)
        return container, name, crf


DEFAULT_ENCODING = VideoEncoding()


def available_encoder(codec: str) -> str:
    """Return the name of FFmpeg's encoder for a codec of `CODECS`."""
    import av

    # Keeps SVT-AV1 from printing its settings to stderr.
    os.environ.setdefault("SVT_LOG", "1")
    for name in CODECS[codec].encoders:
        if name in av.codecs_available:
            return name
    raise ValueError(
        f"the FFmpeg inside PyAV has no encoder for {codec} ({', '.join(CODECS[codec].encoders)}); "
        "choose another --codec"
    )
