"""What a folder of pictures from films says about itself: which film each is from, and how far.

Two files beside the pictures, which the search for pictures passes over:

* `MANIFEST`, JSON lines, one for each picture that was written, in that order.
* `FILMS`, JSON, one entry for each film: its size, the settings, the counts, and whether it was
  read to its end.
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

MANIFEST = "manifest.jsonl"
"""Name of the list of pictures."""

FILMS = "films.json"
"""Name of the list of films."""


@dataclass(frozen=True)
class Entry:
    """Where a picture comes from, a line of `MANIFEST`.

    Attributes:
        picture: Name of its file.
        film: Name of the film's file.
        frame: Number of the frame in it, counted from 0.
        seconds: When it is shown.
        box: What was cut from the upright frame: (top, left, height, width) in pixels.
        hash: Perceptual hash of the picture, 16 hexadecimal digits.
        frame_hash: Of the frame without black bars; `hash` itself for a picture that is not a crop.
        luma: Mean luma; this and the next two as `quality.Quality` has them.
        contrast: Standard deviation of luma.
        sharpness: Variance of the Laplacian.
    """

    picture: str
    film: str
    frame: int
    seconds: float
    box: Box
    hash: str
    frame_hash: str
    luma: float
    contrast: float
    sharpness: float


@dataclass
class FilmRecord:
    """How far a film was read into a folder, an entry of `FILMS`.

    Attributes:
        bytes: Size of its file, by which another film of the same name is known.
        settings: What its pictures hang on.
        box: What is left of its frames without black bars; None where there are none.
        finished: Whether it was read to its end.
        frames: How many frames were read.
        candidates: How many of them were looked at: every Nth, or one a shot.
        left_out: Reason -> how many candidates, or crops of them.
        damage: What is wrong with the film; None for a whole one.
    """

    bytes: int
    settings: dict[str, Any]
    box: Box | None = None
    finished: bool = False
    frames: int = 0
    candidates: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    damage: str | None = None


class Manifest:
    """Both files of a folder; what is asked for is in memory, what is added is on disk at once.

    Attributes:
        folder: Where they lie.
        entries: Name of a picture -> its entry.
        films: Name of a film -> its record; `save_films` writes it after a change.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Reads what is there; writes nothing but the end of a list that was cut off.

        Args:
            folder: The folder; it need not exist.

        Raises:
            ValueError: One of the files is not what it should be.
        """
        self.folder = Path(folder)
        self.entries: dict[str, Entry] = {}
        self.films: dict[str, FilmRecord] = {}
        self._read_entries()
        self._read_films()

    def add_picture(self, entry: Entry, rgb_u8: Any) -> None:
        """Writes a picture and its line; either both are there afterwards, or none.

        Args:
            entry: Where it comes from.
            rgb_u8: (height, width, 3) uint8 RGB.

        Raises:
            OSError: One of them cannot be written; what was there before is as it was.
        """
        path, target = self.folder / MANIFEST, self.folder / entry.picture
        before = path.stat().st_size if path.exists() else 0
        line = json.dumps(dataclasses.asdict(entry), ensure_ascii=False) + "\n"
        try:
            pictures.write_picture(target, rgb_u8)
            with open(path, "ab") as file:
                file.write(line.encode())
        except BaseException:  # an interruption is no reason for a list that is not true, either
            target.unlink(missing_ok=True)
            if path.exists() and path.stat().st_size > before:
                os.truncate(path, before)
            raise
        self.entries[entry.picture] = entry

    def save_films(self) -> None:
        """Writes the list of films.

        Raises:
            OSError: It cannot be written.
        """
        films = {name: dataclasses.asdict(record) for name, record in self.films.items()}
        text = json.dumps(films, indent=2, ensure_ascii=False) + "\n"
        atomic.write_bytes(self.folder / FILMS, text.encode())

    def _read_entries(self) -> None:
        path = self.folder / MANIFEST
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                values = json.loads(line)
                entry = Entry(**{**values, "box": tuple(values["box"])})
                int(entry.hash, 16), int(entry.frame_hash, 16)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f"{path}: expected a JSON object about a picture in line {number}, found "
                    f"{line[:60].decode(errors='replace')!r}; remove the line, or the file"
                ) from error
            self.entries[entry.picture] = entry
        if whole < len(data):
            # The machine stopped in the middle of a line; its picture is then made again.
            os.truncate(path, whole)

    def _read_films(self) -> None:
        path = self.folder / FILMS
        if not path.exists():
            return
        try:
            for name, values in json.loads(path.read_text(encoding="utf-8")).items():
                box = None if values["box"] is None else tuple(values["box"])
                self.films[name] = FilmRecord(**{**values, "box": box})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path}: expected the list of films that this command writes, found something "
                "else; remove it, or name another folder"
            ) from error
