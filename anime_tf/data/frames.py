"""Pictures from films: the style pictures of a data set."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging
from tqdm import tqdm

from anime_tf.data import pictures

if TYPE_CHECKING:
    import av

HD_HEIGHT = 720
"""From this height on, a film that does not say so is taken to be in BT.709, below in BT.601."""

_COLOURS_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED of FFmpeg, for which PyAV has no name

_SHORTFALL = 0.05  # of its length that a film may lack unnoticed: sound often outlasts pictures


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
    film, output_dir = Path(film), Path(output_dir)
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    if not film.is_file():
        found = "a folder" if film.is_dir() else "nothing"
        raise FileNotFoundError(f"{film}: expected a film, found {found}")
    # PyAV brings all of FFmpeg with it, which nothing else of the data stage needs.
    import av

    written: list[Path] = []
    count, seconds, damage = 0, 0.0, None
    try:
        with av.open(str(film)) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, av.VideoStream):
                raise ValueError(f"{film}: expected a film, found a file without moving pictures")
            stream.thread_type = "AUTO"
            total = stream.frames or None
            shown = tqdm(total=total, desc=film.name, unit="frame", disable=not sys.stderr.isatty())
            with shown:
                for frame in _frames(container, stream):
                    if isinstance(frame, av.FFmpegError):
                        damage = (
                            damage or f"{film}: damaged after {count} frames ({frame.strerror})"
                        )
                        continue
                    if count % every == 0:
                        output_dir.mkdir(parents=True, exist_ok=True)
                        target = output_dir / f"{film.stem}_{count:06d}.png"
                        pictures.write_picture(target, _upright(frame, stream.sample_aspect_ratio))
                        written.append(target)
                    count += 1
                    seconds = frame.time or seconds
                    shown.update()
                expected = _seconds(container, stream)
    except av.FFmpegError as error:
        raise ValueError(
            f"{film}: expected a film that FFmpeg reads, found {error.strerror}"
        ) from error
    if count == 0:
        raise ValueError(f"{film}: expected a film, found no frame that can be decoded in it")
    if damage is None and seconds < expected - max(1.0, _SHORTFALL * expected):
        damage = f"{film}: breaks off after {seconds:.1f} of {expected:.1f} seconds"
    if damage is not None:
        logging.warning("%s", damage)
    return FramesReport(tuple(written), count, damage)


def _seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """When a stream ends by what the file says of itself, in seconds; 0 where it says nothing."""
    import av

    if stream.duration is not None and stream.time_base is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    if container.duration is not None:
        return ((container.start_time or 0) + container.duration) / av.time_base
    return 0.0


def _frames(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame | av.FFmpegError]:
    """Yields the frames of a stream, and an exception in the place of each that is damaged."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:
            yield error
            return
        try:
            yield from packet.decode()
        except av.FFmpegError as error:
            yield error


def _upright(frame: av.VideoFrame, pixel_aspect: Fraction | None) -> np.ndarray:
    """A frame as RGB uint8 (height, width, 3), upright and with square pixels."""
    source = None
    if frame.colorspace == _COLOURS_UNSPECIFIED:
        source = "ITU709" if frame.height >= HD_HEIGHT else "ITU601"
    rgb = frame.to_ndarray(format="rgb24", src_colorspace=source)
    if pixel_aspect and pixel_aspect != 1:
        height, width = rgb.shape[:2]
        rgb = pictures.resize(rgb, (height, max(1, round(width * pixel_aspect))))
    # FFmpeg gives the angle counterclockwise, as numpy turns.
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))
