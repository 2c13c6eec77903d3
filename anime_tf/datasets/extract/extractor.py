"""Pictures from films: the style pictures of a data set."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from anime_tf.config import Config, setting
from anime_tf.datasets.extract.crops import (
    CROP_MODES,
    MOST_SHARED,
    Box,
    cut,
    generator,
    shared,
    windows,
)
from anime_tf.datasets.extract.duplicates import HashIndex
from anime_tf.datasets.extract.letterbox import find_bars
from anime_tf.datasets.extract.manifest import MANIFEST, Entry, FilmRecord, Manifest
from anime_tf.datasets.extract.quality import Quality, QualityLimits, measure
from anime_tf.datasets.extract.shots import NumberedFrame, frames_of_shots
from anime_tf.io import pictures
from anime_tf.io.folders import find_pictures
from anime_tf.io.terminal import Progress
from anime_tf.io.video.demux import FilmReader
from anime_tf.io.video.paths import check_names
from anime_tf.metrics.perceptual_hash import HASH_BITS, hamming_distance, perceptual_hash

NEAR_DUPLICATE, SHORT_SHOT = "near-duplicate", "shot too short"
BLANK_CROP, NEAR_CROP = "crop without detail", "crop like another"
"""Reasons for leaving something out, besides those of `quality`."""

_NUMBERS = r"_\d{6,}(_\d{2,})?\.png"


def _check_trim(value: Any) -> tuple[float, ...]:
    """Returns percents for top, bottom, left and right from numbers or from ``0,15,0,0``."""
    words = value.split(",") if isinstance(value, str) else value
    try:
        trim = tuple(float(word) for word in words)
    except (TypeError, ValueError):
        trim = ()
    if len(trim) != 4 or min(trim) < 0 or max(trim[0] + trim[1], trim[2] + trim[3]) >= 90:
        raise ValueError(
            "expected four percents of at least 0, for top, bottom, left and right, below 90 along "
            "one side, as in 0,15,0,0"
        )
    return trim


@dataclass(frozen=True)
class FrameSettings(Config):
    """Choice of frames and crops.

    Attributes:
        every: Take every Nth frame, beginning with the first.
        scenes: Take one frame per shot instead; see `shots.frames_of_shots`.
        limits: Smallest luma, contrast and sharpness of a picture or crop.
        min_distance: Smallest distance of the perceptual hashes of two pictures in the folder, in
            bits of 64; 0 keeps near-duplicates.
        remove_letterbox: Cut off the black bars of the video.
        trim: Percents to cut off then at top, bottom, left and right, as 0,15,0,0 for subtitles.
        crops: Largest number of crops per frame at full resolution; 0 takes the whole frame.
        crop_size: Side of a crop in pixels.
        crop_mode: Positions of the crops: random, or side by side in a grid.
        seed: Seed of random crops.
    """

    every: int = setting(5, minimum=1)
    scenes: bool = setting(False)
    limits: QualityLimits = setting(QualityLimits(), flag=False)
    min_distance: int = setting(10, minimum=0, maximum=HASH_BITS)
    remove_letterbox: bool = setting(True)
    trim: tuple[float, ...] = setting((0.0, 0.0, 0.0, 0.0), convert=_check_trim)
    crops: int = setting(0, minimum=0)
    crop_size: int = setting(256, minimum=1)
    crop_mode: str = setting(CROP_MODES[0], choices=CROP_MODES)
    seed: int = setting(0, minimum=0)


ALL_FRAMES = FrameSettings(
    every=1, limits=QualityLimits(0, 0, 0), min_distance=0, remove_letterbox=False
)
"""Every frame of a video, whatever it shows."""


@dataclass(frozen=True)
class FilmReport:
    """What was made of a film.

    Attributes:
        film: The film.
        written: The pictures written by this call, in the order of the film.
        record: How far it was read, and what was left out and why.
        done_before: Whether an earlier call had read it to its end, so that nothing was done.
        failure: Why it could not be read, one line; None for a film that could.
    """

    film: Path
    written: tuple[Path, ...]
    record: FilmRecord | None
    done_before: bool = False
    failure: str | None = None


@dataclass(frozen=True)
class FramesReport:
    """What `extract_frames` did.

    Attributes:
        films: A report for each film, in their order.
        full: Whether it ended because `max_pictures` were written.
        listed: How many pictures the folder's manifest has now.
    """

    films: tuple[FilmReport, ...]
    full: bool
    listed: int

    @property
    def written(self) -> tuple[Path, ...]:
        """The pictures written, in order."""
        return tuple(path for film in self.films for path in film.written)

    @property
    def left_out(self) -> dict[str, int]:
        """Reason -> how many, over all films."""
        total: Counter[str] = Counter()
        for film in self.films:
            total.update(film.record.left_out if film.record else {})
        return dict(total)

    @property
    def films_read(self) -> int:
        """How many films could be read, now or before."""
        return sum(film.failure is None for film in self.films)

    def lines(self) -> list[str]:
        """What was done, in words: a line for each film that was read."""
        found = []
        for film in self.films:
            if film.record is None or film.done_before:
                continue
            out = ", ".join(f"{count} {why}" for why, count in film.record.left_out.items())
            found.append(
                f"{film.film}: {len(film.written)} written; of {film.record.frames} frames "
                f"{film.record.candidates} looked at; left out: {out or 'none'}"
            )
        if self.full:
            found.append("as many pictures as were wanted; the same command with more goes on")
        return found

    @property
    def troubles(self) -> tuple[str, ...]:
        """What went wrong with films, one line each."""
        found = (f.failure or (f.record.damage if f.record else None) for f in self.films)
        return tuple(trouble for trouble in found if trouble)


def extract_frames(
    films: Sequence[str | os.PathLike[str]],
    output_dir: str | os.PathLike[str],
    settings: FrameSettings = ALL_FRAMES,
    *,
    max_pictures: int = 0,
) -> FramesReport:
    """Makes pictures of films.

    Frame i, counted from 0, becomes ``FILM_<i, six digits>.png``, FILM being the film's name
    without suffix; its crops ``FILM_<i>_<number, two digits>.png``. Frames are turned as the film's
    metadata asks, and stretched where its pixels are not square. `manifest` says what lies beside
    the pictures.

    A call on a folder in which an earlier one was broken off goes on, and ends as if it had not
    been; films that were finished are passed over; pictures that were removed by hand since then
    stay away. Of near-duplicates the first one is kept, whichever film it is from; of those that
    follow each other within a film, a later one that shows clearly more, as where a scene fades in.

    Args:
        films: Films in any format that FFmpeg reads, no two of one name.
        output_dir: Where the pictures shall lie; made where it is missing. Pictures that lie there
            already count for near-duplicates.
        settings: Which frames, and what of them.
        max_pictures: End when this call has written so many; 0 for no end.

    Returns:
        What was done. A film that is damaged or breaks off gives the frames that it has; one that
        cannot be read is named on the log and in the report.

    Raises:
        FileNotFoundError: There is no such film, and it is the only one.
        ValueError: It is no film or holds no pictures, and it is the only one; an argument is out
            of range; two films have one name; or an earlier call on this folder had another film
            of this name, or other settings for it.
        OSError: Something cannot be written; what was written before is whole and stays.
    """
    if max_pictures < 0:
        raise ValueError(f"max_pictures must be 0 (no limit) or more, got {max_pictures}")
    paths = [Path(film) for film in films]
    folder = Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: expected a folder for the pictures, found a file")
    manifest = Manifest(folder)
    check_names([*paths, *(Path(n) for n in manifest.films if n not in {p.name for p in paths})])
    for path in paths:
        _check_record(manifest, path, settings)
    taker = _Taker(manifest, settings, max_pictures)
    reports: list[FilmReport] = []
    for path in paths:
        if taker.is_full:
            break
        record = manifest.films.get(path.name)
        if record is not None and record.finished:
            logging.info("%s: done before, passed over", path)
            reports.append(FilmReport(path, (), record, done_before=True))
            continue
        try:
            reports.append(taker.take(path))
        except (FileNotFoundError, ValueError) as error:
            if len(paths) == 1:
                raise
            logging.warning("left out: %s", error)
            reports.append(FilmReport(path, (), None, failure=str(error)))
    return FramesReport(tuple(reports), taker.is_full, len(manifest.entries))


def _check_record(manifest: Manifest, film: Path, settings: FrameSettings) -> None:
    """Refuses a film that this folder knows otherwise."""
    record = manifest.films.get(film.name)
    if record is None or not film.is_file():
        return
    if record.bytes != film.stat().st_size:
        raise ValueError(
            f"{film}: has {film.stat().st_size} bytes, but {manifest.folder} holds pictures of a "
            f"{film.name} of {record.bytes} bytes; rename it, or name another folder"
        )
    now = _plain(settings)
    changed = [key for key in now if record.settings.get(key) != now[key]]
    if changed:
        words = ", ".join(f"{key}={record.settings.get(key)} not {now[key]}" for key in changed)
        raise ValueError(
            f"{film}: was taken into {manifest.folder} with other settings ({words}); use the same "
            "ones, or name another folder"
        )


def _plain(settings: FrameSettings) -> dict[str, object]:
    """Settings as JSON gives them back."""
    values = dataclasses.asdict(settings)
    return {**values, "trim": list(settings.trim)}


@dataclass(frozen=True)
class _Run:
    """Candidates, one after the other, that resemble the first of them.

    Of a scene that fades in, or that comes into focus, the first is not the one to keep.
    """

    first_hash: int
    best: NumberedFrame
    best_hash: int
    quality: Quality


def _is_better(one: Quality, other: Quality) -> bool:
    """Whether a frame shows clearly more than one like it; a subtitle more is not enough."""
    clearly = one.contrast >= 1.2 * other.contrast or one.sharpness >= 2.5 * other.sharpness
    no_less = one.contrast >= 0.95 * other.contrast and one.sharpness >= 0.95 * other.sharpness
    return clearly and no_less


class _Taker:
    """Takes pictures out of films into one folder."""

    def __init__(self, manifest: Manifest, settings: FrameSettings, max_pictures: int) -> None:
        self.manifest = manifest
        self.settings = settings
        self.max_pictures = max_pictures
        self.written = 0
        self._index = HashIndex()
        self._run: _Run | None = None
        self._unlisted = self._hash_unlisted() if settings.min_distance else []

    @property
    def is_full(self) -> bool:
        """Whether as many pictures were written as are wanted."""
        return bool(self.max_pictures) and self.written >= self.max_pictures

    def take(self, film: Path) -> FilmReport:
        """Takes the pictures of one film."""
        box = find_bars(film) if self.settings.remove_letterbox else None
        if box is not None:
            top, left, height, width = box
            logging.info(
                "%s: black bars cut off, left %dx%d at %d,%d", film, width, height, left, top
            )
        # What this film gave before is met again on the way, and decided as it was then.
        self._index, self._run = HashIndex(self._unlisted), None
        for entry in self.manifest.entries.values():
            if entry.film != film.name:
                self._add_to_index(entry)
        written: list[Path] = []
        with FilmReader(film) as reader:
            record = FilmRecord(film.stat().st_size, _plain(self.settings), box)
            try:
                for frame in self._candidates(reader, record):
                    record.candidates += 1
                    written += self._take_frame(film, frame, record)
                    if self.is_full:
                        break
                else:
                    written += self._end_run(film, record)
                    record.finished = not self.is_full
            except BaseException:
                with contextlib.suppress(OSError):
                    self._end(film, reader, record)
                raise
            self._end(film, reader, record)
        if record.damage is not None:
            logging.warning("%s", record.damage)
        return FilmReport(film, tuple(written), record)

    def _begin(self, film: Path, record: FilmRecord) -> None:
        """Notes the film before its first picture, so that a call broken off is known as such."""
        if self.manifest.films.get(film.name) is not record:
            self.manifest.folder.mkdir(parents=True, exist_ok=True)
            self.manifest.films[film.name] = record
            self.manifest.save_films()

    def _end(self, film: Path, reader: FilmReader, record: FilmRecord) -> None:
        """Notes how far the film was read; nothing where it gave no picture and no folder is."""
        record.frames, record.damage = reader.count, reader.damage
        if self.manifest.folder.is_dir() and (record.finished or film.name in self.manifest.films):
            self.manifest.films[film.name] = record
            self.manifest.save_films()

    def _candidates(self, reader: FilmReader, record: FilmRecord) -> Iterator[NumberedFrame]:
        """The frames to be looked at, without bars and margins."""
        settings = self.settings

        def prepared() -> Iterator[NumberedFrame]:
            total, name = reader.frames_expected, reader.path.name
            with Progress(total, "frames", name) as progress:
                for number, frame in enumerate(reader.frames()):
                    progress.update()
                    if settings.scenes or number % settings.every == 0:
                        seconds = round(float(frame.pts * reader.time_base), 3)
                        inner = self._inner(frame.rgb_u8, record.box)
                        yield NumberedFrame(number, seconds, cut(frame.rgb_u8, inner), inner[:2])

        if not settings.scenes:
            return prepared()

        def score(rgb_u8: np.ndarray) -> float:
            quality = measure(rgb_u8)
            return quality.sharpness if settings.limits.fault(quality) is None else -1.0

        return frames_of_shots(prepared(), score, lambda _: _count(record, SHORT_SHOT))

    def _inner(self, rgb_u8: np.ndarray, box: Box | None) -> Box:
        """What is looked at of a frame: without bars, then without margins."""
        height, width = rgb_u8.shape[:2]
        if box is None or box[0] + box[2] > height or box[1] + box[3] > width:
            box = (0, 0, height, width)
        top, bottom, left, right = (percent / 100 for percent in self.settings.trim)
        rows, columns = round(box[2] * top), round(box[3] * left)
        return (
            box[0] + rows,
            box[1] + columns,
            max(1, box[2] - rows - round(box[2] * bottom)),
            max(1, box[3] - columns - round(box[3] * right)),
        )

    def _take_frame(self, film: Path, frame: NumberedFrame, record: FilmRecord) -> list[Path]:
        """Looks at a candidate; writes those before it that it does not resemble any more."""
        settings, rgb = self.settings, frame.rgb_u8
        if settings.crops and min(rgb.shape[:2]) < settings.crop_size:
            _count(record, f"smaller than {settings.crop_size} pixels")
            return []
        quality = measure(rgb)
        fault = settings.limits.fault(quality)
        if fault is not None:
            _count(record, fault)
            return []
        value = perceptual_hash(rgb)
        run = self._run
        if run is not None and hamming_distance(run.first_hash, value) < settings.min_distance:
            _count(record, NEAR_DUPLICATE)
            # Better than the best, and not like what was written before the run began.
            if _is_better(quality, run.quality) and not self._is_near(value):
                self._run = _Run(run.first_hash, frame, value, quality)
            return []
        written = self._end_run(film, record)
        if self._is_near(value):
            _count(record, NEAR_DUPLICATE)
        else:
            self._run = _Run(value, frame, value, quality)
        return written

    def _end_run(self, film: Path, record: FilmRecord) -> list[Path]:
        """Writes the best of the frames that resemble each other: its picture, or its crops."""
        run, self._run = self._run, None
        if run is None or self.is_full:
            return []
        settings, frame, rgb, frame_hash = self.settings, run.best, run.best.rgb_u8, run.best_hash
        size_hw = rgb.shape[:2]
        boxes = self._crops(film, frame, record) if settings.crops else [(0, 0, *size_hw)]
        written = []
        stem = f"{film.stem}_{frame.number:06d}"
        for i, box in enumerate(boxes):
            name = f"{stem}_{i:02d}.png" if settings.crops else f"{stem}.png"
            picture = cut(rgb, box)
            quality, value = measure(picture), perceptual_hash(picture)
            entry = Entry(
                picture=name,
                film=film.name,
                frame=frame.number,
                seconds=frame.seconds,
                box=(frame.corner[0] + box[0], frame.corner[1] + box[1], box[2], box[3]),
                hash=f"{value:016x}",
                frame_hash=f"{frame_hash:016x}",
                luma=round(quality.luma, 1),
                contrast=round(quality.contrast, 1),
                sharpness=round(quality.sharpness, 1),
            )
            self._add_to_index(entry)
            if name not in self.manifest.entries:
                self._write(film, record, entry, picture)
                written.append(self.manifest.folder / name)
            if self.is_full:
                break
        return written

    def _crops(self, film: Path, frame: NumberedFrame, record: FilmRecord) -> list[Box]:
        """The windows to be cut from a frame: with something in them, and each something else."""
        settings = self.settings
        random = generator(settings.seed, film.name, frame.number)
        size_hw = (frame.rgb_u8.shape[0], frame.rgb_u8.shape[1])
        kept: list[Box] = []
        hashes: list[int] = []
        for box in windows(size_hw, settings.crop_size, settings.crops, settings.crop_mode, random):
            if any(shared(box, other) > MOST_SHARED for other in kept):
                continue
            picture = cut(frame.rgb_u8, box)
            if settings.limits.fault(measure(picture)) is not None:
                _count(record, BLANK_CROP)
                continue
            value = perceptual_hash(picture)
            near = any(hamming_distance(value, other) < settings.min_distance for other in hashes)
            if near or self._is_near(value):
                _count(record, NEAR_CROP)
                continue
            kept.append(box)
            hashes.append(value)
            if len(kept) == settings.crops:
                break
        return kept

    def _write(self, film: Path, record: FilmRecord, entry: Entry, picture: np.ndarray) -> None:
        target = self.manifest.folder / entry.picture
        if target.exists() and not self._is_left_over(entry.picture):
            raise FileExistsError(
                f"{target}: exists, and is not in {MANIFEST}; remove it, or name another folder"
            )
        try:
            self._begin(film, record)
            self.manifest.add_picture(entry, picture)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror}; what was written before is whole and stays: put this right and "
                "run the same command again, which goes on",
                str(target),
            ) from error
        self.written += 1

    def _is_left_over(self, name: str) -> bool:
        """Whether an unlisted picture is what a call that was killed left of a film."""
        return any(
            not record.finished and re.fullmatch(re.escape(Path(film).stem) + _NUMBERS, name)
            for film, record in self.manifest.films.items()
        )

    def _hash_unlisted(self) -> list[tuple[str, int]]:
        """The hashes of pictures of the folder that are not in its manifest."""
        folder = self.manifest.folder
        try:
            found = find_pictures(folder)
        except FileNotFoundError:
            return []
        hashes = []
        for path in found:
            name = path.relative_to(folder).as_posix()
            if name in self.manifest.entries or self._is_left_over(name):
                continue
            try:
                hashes.append((name, perceptual_hash(pictures.read_picture(path).rgb_u8)))
            except (ValueError, OSError) as error:
                logging.warning("not compared with: %s", error)
        return hashes

    def _add_to_index(self, entry: Entry) -> None:
        for text in {entry.hash, entry.frame_hash}:
            self._index.add(entry.picture, int(text, 16))

    def _is_near(self, value: int) -> bool:
        nearest = self._index.nearest(value)
        return nearest is not None and nearest[1] < self.settings.min_distance


def _count(record: FilmRecord, reason: str) -> None:
    record.left_out[reason] = record.left_out.get(reason, 0) + 1
