"""Pictures from films: the style pictures of a data set."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from absl import logging
from tqdm import tqdm

from anime_tf.data import pictures
from anime_tf.data.films import FilmReader


@dataclass(frozen=True)
class FramesReport:
    """What `extract_frames` did.

    Attributes:
        written: The pictures, in the order of the film.
        frames: How many frames the film gave.
        damage: What went wrong where the film is damaged, one line; None for a whole film.
    """

    written: tuple[Path, ...]
    frames: int
    damage: str | None


def extract_frames(
    film: str | os.PathLike[str], output_dir: str | os.PathLike[str], *, every: int = 1
) -> FramesReport:
    """Writes every Nth frame of a film as a PNG.

    Frame i, counted from 0, becomes ``FILM_<i, six digits>.png``, FILM being the film's name
    without suffix. Frames are turned as the film's metadata asks, and stretched where its pixels
    are not square.

    Args:
        film: A film in any format that FFmpeg reads.
        output_dir: Where the pictures shall lie; made where it is missing.
        every: N; 1 for all frames.

    Returns:
        What was done. A film that is damaged or breaks off gives the frames that it has, and the
        damage is named on the log.

    Raises:
        FileNotFoundError: There is no such film.
        ValueError: It is no film, holds no pictures, or `every` is under 1.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    output_dir = Path(output_dir)
    written: list[Path] = []
    with FilmReader(film) as reader:
        total = reader.frames_expected
        name = reader.path.name
        with tqdm(total=total, desc=name, unit="frame", disable=not sys.stderr.isatty()) as shown:
            for number, frame in enumerate(reader.frames()):
                if number % every == 0:
                    output_dir.mkdir(parents=True, exist_ok=True)
                    target = output_dir / f"{reader.path.stem}_{number:06d}.png"
                    pictures.write_picture(target, frame.rgb_u8)
                    written.append(target)
                shown.update()
    if reader.damage is not None:
        logging.warning("%s", reader.damage)
    return FramesReport(tuple(written), reader.count, reader.damage)
