"""Mutated videos through the readers of videos."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from small_videos import moving, write_video

from anime_tf.io.video.open import open_reader, open_writer

SUFFIX = ".mp4"  # readers go by content

FRAMES = 200  # most that are read of one

_NAMES = ("a.mp4", "a.mkv", "a.mov", "a.avi", "a.ts", "a.flv", "a.mpg", "a.gif", "a.webp", "a.webm")


def seeds() -> list[bytes]:
    """Return short videos in several containers, with and without sound."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder, "first.mp4")
        write_video(first, moving(6), audio="aac", seconds=0.6)
        made.append(first.read_bytes())
        for name in _NAMES:
            path = Path(folder, name)
            if path.suffix in (".gif", ".webp", ".webm", ".mov", ".mkv"):
                with open_reader(first) as reader, open_writer(path, reader) as writer:
                    for item in reader.items():
                        _write(writer, item)
            else:
                codec = "mpeg2video" if path.suffix == ".mpg" else "mpeg4"
                codec = "flv1" if path.suffix == ".flv" else codec
                write_video(path, moving(6), codec=codec)
            made.append(path.read_bytes())
    return made


def _write(writer, item) -> None:
    if hasattr(item, "rgb_u8"):
        writer.write_frame(item)
    else:
        writer.write_packet(item)


def run(path: Path) -> None:
    """Read a video; raises a ValueError that names the path if it is refused."""
    with open_reader(path) as reader:
        for _ in itertools.islice(reader.items(), FRAMES):
            pass
