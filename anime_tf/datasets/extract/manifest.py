"""Records of extracted pictures: the origin of each, and the progress of each video.

Two files beside the pictures, which searches for pictures skip:

* `MANIFEST`, JSON lines, one for each written picture, in order.
* `VIDEOS`, JSON, one entry for each video: its size, settings, counts and whether it is finished.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anime_tf.datasets.extract.crops import Box
from anime_tf.io import atomic, pictures
from anime_tf.io.plain_file import MAX_WEIGHTS_BYTES, read_plain_file

MANIFEST = "manifest.jsonl"
VIDEOS = "videos.json"


@dataclass(frozen=True)
class Entry:
    """Origin of a picture, a line of `MANIFEST`."""

    picture: str  # name of its file
    video: str  # name of the video's file
    frame: int  # number of the frame, from 0
    seconds: float  # time of the frame
    box: Box  # window of the upright frame
    hash: str  # perceptual hash of the picture, 16 hexadecimal digits
    frame_hash: str  # that of the frame without letterbox
    luma: float  # as in `quality.Quality`, like the next two
    contrast: float
    sharpness: float


@dataclass
class VideoRecord:
    """Progress of a video, an entry of `VIDEOS`."""

    bytes: int  # size of its file, which tells it from another video of the same name
    settings: dict[str, Any]
    box: Box | None = None  # window of its frames without letterbox
    finished: bool = False  # read to its end
    frames: int = 0  # read so far
    candidates: int = 0  # frames considered: every Nth, or one per shot
    rejected: dict[str, int] = field(default_factory=dict)  # reason -> candidates or crops
    damage: str | None = None

    def reject(self, reason: str) -> None:
        """Count a rejected candidate or crop."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


class Manifest:
    """Both records of a folder, in memory and on disk.

    The folder need not exist. Reading truncates an incomplete last line.

    Attributes:
        entries: Name of a picture -> its entry.
        videos: Name of a video -> its record; `save_videos` writes changes.

    Raises:
        ValueError: One of the files is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.entries: dict[str, Entry] = {}
        self.videos: dict[str, VideoRecord] = {}
        self._read_entries()
        self._read_videos()

    def add_picture(self, entry: Entry, rgb_u8: Any) -> None:
        """Write a picture, (height, width, 3) uint8 RGB, and its line: both or neither."""
        path, target = self.folder / MANIFEST, self.folder / entry.picture
        before = path.stat().st_size if path.exists() else 0
        line = json.dumps(dataclasses.asdict(entry), ensure_ascii=False) + "\n"
        try:
            pictures.write_picture(target, rgb_u8)
            with open(path, "ab") as file:
                file.write(line.encode())
        except BaseException:  # after an interrupt, too, both files must agree
            target.unlink(missing_ok=True)
            if path.exists() and path.stat().st_size > before:
                os.truncate(path, before)
            raise
        self.entries[entry.picture] = entry

    def save_videos(self) -> None:
        """Write the records of all videos."""
        videos = {name: dataclasses.asdict(record) for name, record in self.videos.items()}
        text = json.dumps(videos, indent=2, ensure_ascii=False) + "\n"
        atomic.write_bytes(self.folder / VIDEOS, text.encode())

    def _read_entries(self) -> None:
        path = self.folder / MANIFEST
        if not path.exists():
            return
        data = read_plain_file(path, "the manifest of a folder", MAX_WEIGHTS_BYTES)
        end = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:end].splitlines(), 1):
            try:
                values = json.loads(line)
                entry = Entry(**{**values, "box": tuple(values["box"])})
                int(entry.hash, 16), int(entry.frame_hash, 16)
            except Exception as error:  # of a damaged line JSON may hold anything
                raise ValueError(
                    f"{path}: expected a JSON object about a picture in line {number}, got "
                    f"{line[:60].decode(errors='replace')!r}; remove the line, or the file"
                ) from error
            self.entries[entry.picture] = entry
        if end < len(data):
            # The process was killed while writing a line; its picture is made again.
            os.truncate(path, end)

    def _read_videos(self) -> None:
        path = self.folder / VIDEOS
        if not path.exists():
            return
        try:
            for name, values in json.loads(read_plain_file(path, "records of videos")).items():
                box = None if values["box"] is None else tuple(values["box"])
                self.videos[name] = VideoRecord(**{**values, "box": box})
        except Exception as error:
            raise ValueError(
                f"{path}: expected the records of videos that this command writes, got another "
                "file; remove it, or name another folder"
            ) from error
