"""Extraction of style pictures from videos."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from anime_tf.config import Config, setting
from anime_tf.datasets.extract import crops
from anime_tf.datasets.extract.crops import CROP_MODES, Box, cut
from anime_tf.datasets.extract.duplicates import HashIndex
from anime_tf.datasets.extract.letterbox import find_letterbox
from anime_tf.datasets.extract.manifest import MANIFEST, Entry, Manifest, VideoRecord
from anime_tf.datasets.extract.quality import Quality, QualityLimits, measure
from anime_tf.datasets.extract.shots import NumberedFrame, frames_of_shots
from anime_tf.errors import error_line
from anime_tf.io import pictures
from anime_tf.io.folders import find_pictures
from anime_tf.io.paths import check_unique_stems
from anime_tf.io.terminal import Progress
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.metrics.perceptual_hash import HASH_BITS, hamming_distance, perceptual_hash

NEAR_DUPLICATE, SHORT_SHOT = "near-duplicate", "shot too short"
BLANK_CROP, NEAR_CROP = "crop without detail", "crop like another"
"""Reasons to reject a frame or crop, besides those of `quality`."""

_NUMBERS = r"_\d{6,}(_\d{2,})?\.png"


def _check_trim(value: Any) -> tuple[float, ...]:
    """Return percents for top, bottom, left and right from numbers or from ``0,15,0,0``."""
    words = value.split(",") if isinstance(value, str) else value
    try:
        trim = tuple(float(word) for word in words)
    except (TypeError, ValueError):
        trim = ()
    if len(trim) != 4 or not min(trim) >= 0 or not max(trim[0] + trim[1], trim[2] + trim[3]) < 90:
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
class VideoReport:
    """Result for a video."""

    video: Path
    written: tuple[Path, ...]  # by this call, in order
    record: VideoRecord | None  # None for an unreadable video
    finished_before: bool = False
    failure: str | None = None  # reason in one line why it is unreadable


@dataclass(frozen=True)
class FramesReport:
    """Result of `extract_frames`."""

    videos: tuple[VideoReport, ...]  # in order
    full: bool  # stopped because `max_pictures` were written
    listed: int  # pictures in the folder's manifest

    @property
    def written(self) -> tuple[Path, ...]:
        """Written pictures in order."""
        return tuple(path for video in self.videos for path in video.written)

    @property
    def candidates(self) -> int:
        """Number of frames considered in all videos."""
        return sum(video.record.candidates for video in self.videos if video.record)

    @property
    def readable(self) -> int:
        """Number of readable videos."""
        return sum(video.failure is None for video in self.videos)

    def lines(self) -> list[str]:
        """Format a line for each video that this call read."""
        lines = []
        for video in self.videos:
            if video.record is None or video.finished_before:
                continue
            rejected = ", ".join(f"{n} {reason}" for reason, n in video.record.rejected.items())
            lines.append(
                f"{video.video}: {len(video.written)} written from {video.record.candidates} "
                f"candidates of {video.record.frames} frames; rejected: {rejected or 'none'}"
            )
        if self.full:
            lines.append("stopped at --max_pictures; the same command with a higher one resumes")
        return lines

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each unreadable or damaged video."""
        found = (v.failure or (v.record.damage if v.record else None) for v in self.videos)
        return tuple(problem for problem in found if problem)


def extract_frames(
    videos: Sequence[str | os.PathLike[str]],
    output_dir: str | os.PathLike[str],
    settings: FrameSettings = ALL_FRAMES,
    *,
    max_pictures: int = 0,
) -> FramesReport:
    """Extract pictures from videos.

    Frame i, from 0, becomes ``NAME_<i, six digits>.png``, NAME being the video's name without
    suffix; its crops ``NAME_<i>_<number, two digits>.png``. Frames are upright and have square
    pixels. `manifest` describes the records beside the pictures.

    A call on the folder of an interrupted call resumes it with the same result, skips finished
    videos, and does not write pictures again that were deleted. Of near-duplicates it keeps the
    first, of any video; of consecutive ones a later one that shows clearly more, as in a fade-in.

    Args:
        videos: Videos in any format that FFmpeg reads, with different names.
        output_dir: Folder to write. Near-duplicates of pictures in it are rejected too.
        settings: Choice of frames and crops.
        max_pictures: Largest number of pictures to write in this call; 0 is no limit.

    Returns:
        The report. A damaged video gives its intact frames; an unreadable one is logged and
        reported.

    Raises:
        FileNotFoundError: The only video does not exist.
        ValueError: The only video is unreadable; an argument is out of range; two videos have one
            name; or an earlier call on this folder had another video of this name, or other
            settings for it.
        OSError: Something cannot be written; earlier pictures stay.
    """
    if max_pictures < 0:
        raise ValueError(f"expected max_pictures of at least 0 (no limit), got {max_pictures}")
    paths = [Path(video) for video in videos]
    folder = Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: expected a folder for the pictures, got a file")
    manifest = _open_manifest(folder, paths, settings)
    extractor = _Extractor(manifest, settings, max_pictures)
    reports: list[VideoReport] = []
    for path in paths:
        if extractor.is_full:
            break
        record = manifest.videos.get(path.name)
        if record is not None and record.finished:
            logging.info("%s: finished before, skipped", path)
            reports.append(VideoReport(path, (), record, finished_before=True))
            continue
        try:
            reports.append(extractor.extract(path))
        except (OSError, ValueError) as error:
            is_missing = isinstance(error, FileNotFoundError)
            is_about_output = (
                isinstance(error, OSError) and not is_missing and str(error.filename) != str(path)
            )
            if len(paths) == 1 or is_about_output:
                raise
            logging.warning("skipped: %s", error_line(error))
            reports.append(VideoReport(path, (), None, failure=error_line(error)))
    return FramesReport(tuple(reports), extractor.is_full, len(manifest.entries))


def merge_frames(
    parts: Mapping[Path, Path], output_dir: str | os.PathLike[str], settings: FrameSettings
) -> list[VideoReport]:
    """Copy pictures from folders of one video each into one folder.

    Near-duplicates of pictures of other videos are rejected.

    Args:
        parts: Video -> folder that `extract_frames` wrote with the same settings; in order.
        output_dir: The folder.
        settings: The settings.

    Raises:
        ValueError: As of `extract_frames`.
    """
    manifest = _open_manifest(Path(output_dir), list(parts), settings)
    extractor = _Extractor(manifest, settings, 0)
    return [extractor.merge(video, Manifest(part)) for video, part in parts.items()]


def _open_manifest(folder: Path, videos: Sequence[Path], settings: FrameSettings) -> Manifest:
    """Open the records of a folder; raise ValueError unless the videos can be added to it."""
    manifest = Manifest(folder)
    earlier = set(manifest.videos) - {video.name for video in videos}
    check_unique_stems([*videos, *map(Path, sorted(earlier))])
    for video in videos:
        _check_record(manifest, video, settings)
    return manifest


def _check_record(manifest: Manifest, video: Path, settings: FrameSettings) -> None:
    """Raise ValueError for another video of a known name, or other settings for a known video."""
    record = manifest.videos.get(video.name)
    if record is None or not video.is_file():
        return
    if record.bytes != video.stat().st_size:
        raise ValueError(
            f"{video}: expected {record.bytes} bytes, as of the {video.name} whose pictures are in "
            f"{manifest.folder}, got {video.stat().st_size} bytes; rename it, or use another folder"
        )
    old, new = record.settings, _to_json(settings)
    changed = ", ".join(f"{k}={old.get(k)}, got {new[k]}" for k in new if old.get(k) != new[k])
    if changed:
        raise ValueError(
            f"{video}: expected the settings of its pictures in {manifest.folder}: {changed}; use "
            "the same, or name another folder"
        )


def _to_json(settings: FrameSettings) -> dict[str, object]:
    return {**dataclasses.asdict(settings), "trim": list(settings.trim)}


@dataclass(frozen=True)
class _Run:
    """Consecutive candidates that resemble the first of them.

    The first of a fade-in, or of a scene that comes into focus, is not the one to keep.
    """

    first_hash: int
    best: NumberedFrame
    best_hash: int
    quality: Quality


def _is_better(one: Quality, other: Quality) -> bool:
    """Return whether a frame shows clearly more than a similar one; a subtitle does not count."""
    clearly = one.contrast >= 1.2 * other.contrast or one.sharpness >= 2.5 * other.sharpness
    no_less = one.contrast >= 0.95 * other.contrast and one.sharpness >= 0.95 * other.sharpness
    return clearly and no_less


class _Extractor:
    """Extracts pictures from videos into one folder."""

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
        """Whether `max_pictures` are written."""
        return bool(self.max_pictures) and self.written >= self.max_pictures

    def extract(self, video: Path) -> VideoReport:
        """Extract the pictures of one video."""
        box = find_letterbox(video) if self.settings.remove_letterbox else None
        if box is not None:
            left = "%s: letterbox removed, %dx%d at %d,%d left"
            logging.info(left, video, box[3], box[2], box[1], box[0])
        self._start_index(video)
        written: list[Path] = []
        with VideoFileReader(video) as reader:
            record = VideoRecord(video.stat().st_size, _to_json(self.settings), box)
            try:
                for frame in self._candidates(reader, record):
                    record.candidates += 1
                    written += self._consider(video, frame, record)
                    if self.is_full:
                        break
                else:
                    written += self._end_run(video, record)
                    record.finished = not self.is_full
            except BaseException:
                with contextlib.suppress(OSError):
                    self._save_record(video, reader, record)
                raise
            self._save_record(video, reader, record)
        if record.damage is not None:
            logging.warning("%s", record.damage)
        return VideoReport(video, tuple(written), record)

    def merge(self, video: Path, part: Manifest) -> VideoReport:
        """Copy the pictures of one video from a folder of its own."""
        self._start_index(video)
        if video.name not in part.videos:  # no picture
            return VideoReport(video, (), VideoRecord(video.stat().st_size, {}, finished=True))
        record = part.videos[video.name]
        written = []
        for entry in part.entries.values():
            hashes = (entry.hash, entry.frame_hash) if self.settings.min_distance else ()
            if any(self._is_near(int(text, 16)) for text in hashes):
                record.reject(NEAR_DUPLICATE)
            elif entry.picture not in self.manifest.entries:
                picture = pictures.read_picture(part.folder / entry.picture)
                self._write(video, record, entry, picture.rgb_u8)
                written.append(self.manifest.folder / entry.picture)
        self.manifest.folder.mkdir(parents=True, exist_ok=True)
        self.manifest.videos[video.name] = record
        self.manifest.save_videos()
        return VideoReport(video, tuple(written), record)

    def _start_index(self, video: Path) -> None:
        """Begin a video; its own earlier pictures are met again, and decided as before."""
        self._index, self._run = HashIndex(self._unlisted), None
        for entry in self.manifest.entries.values():
            if entry.video != video.name:
                self._add_to_index(entry)

    def _save_record(self, video: Path, reader: VideoFileReader, record: VideoRecord) -> None:
        """Save the progress, unless the video gave no picture and there is no folder."""
        record.frames, record.damage = reader.count, reader.damage
        known = video.name in self.manifest.videos
        if self.manifest.folder.is_dir() and (record.finished or known):
            self.manifest.videos[video.name] = record
            self.manifest.save_videos()

    def _candidates(self, reader: VideoFileReader, record: VideoRecord) -> Iterator[NumberedFrame]:
        """Yield the frames to consider, without letterbox and margins."""
        settings = self.settings

        def frames() -> Iterator[NumberedFrame]:
            with Progress(reader.expected_frames, "frames", reader.path.name) as progress:
                for number, frame in enumerate(reader.frames()):
                    progress.update()
                    if settings.scenes or number % settings.every == 0:
                        seconds = round(float(frame.pts * reader.time_base), 3)
                        inner = self._inner_box(frame.rgb_u8, record.box)
                        yield NumberedFrame(number, seconds, cut(frame.rgb_u8, inner), inner[:2])

        if not settings.scenes:
            return frames()

        def score(rgb_u8: np.ndarray) -> float:
            quality = measure(rgb_u8)
            return quality.sharpness if settings.limits.fault(quality) is None else -1.0

        return frames_of_shots(frames(), score, lambda _: record.reject(SHORT_SHOT))

    def _inner_box(self, rgb_u8: np.ndarray, box: Box | None) -> Box:
        """Return the window of a frame without letterbox, then without margins."""
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

    def _consider(self, video: Path, frame: NumberedFrame, record: VideoRecord) -> list[Path]:
        """Judge a candidate; write the pictures of a run that it ends."""
        settings, rgb = self.settings, frame.rgb_u8
        if settings.crops and min(rgb.shape[:2]) < settings.crop_size:
            record.reject(f"smaller than {settings.crop_size} pixels")
            return []
        quality = measure(rgb)
        fault = settings.limits.fault(quality)
        if fault is not None:
            record.reject(fault)
            return []
        value = perceptual_hash(rgb)
        run = self._run
        if run is not None and hamming_distance(run.first_hash, value) < settings.min_distance:
            record.reject(NEAR_DUPLICATE)
            # Better than the best, and unlike what was written before the run began.
            if _is_better(quality, run.quality) and not self._is_near(value):
                self._run = _Run(run.first_hash, frame, value, quality)
            return []
        written = self._end_run(video, record)
        if self._is_near(value):
            record.reject(NEAR_DUPLICATE)
        else:
            self._run = _Run(value, frame, value, quality)
        return written

    def _end_run(self, video: Path, record: VideoRecord) -> list[Path]:
        """Write the best frame of the run, or its crops."""
        run, self._run = self._run, None
        if run is None or self.is_full:
            return []
        frame, rgb = run.best, run.best.rgb_u8
        height, width = rgb.shape[:2]
        cropped = bool(self.settings.crops)
        boxes = self._crop(video, frame, record) if cropped else [(0, 0, height, width)]
        written = []
        stem = f"{video.stem}_{frame.number:06d}"
        for i, box in enumerate(boxes):
            name = f"{stem}_{i:02d}.png" if cropped else f"{stem}.png"
            picture = cut(rgb, box)
            whole = (frame.corner[0] + box[0], frame.corner[1] + box[1], box[2], box[3])
            hashes = (f"{value:016x}" for value in (perceptual_hash(picture), run.best_hash))
            quality = (round(value, 1) for value in dataclasses.astuple(measure(picture)))
            origin = (name, video.name, frame.number, frame.seconds, whole)
            entry = Entry(*origin, *hashes, *quality)  # type: ignore[arg-type]
            self._add_to_index(entry)
            if name not in self.manifest.entries:
                self._write(video, record, entry, picture)
                written.append(self.manifest.folder / name)
            if self.is_full:
                break
        return written

    def _crop(self, video: Path, frame: NumberedFrame, record: VideoRecord) -> list[Box]:
        """Choose windows of a frame with detail and without near-duplicates."""
        settings = self.settings
        random = crops.make_generator(settings.seed, video.name, frame.number)
        size_hw = (frame.rgb_u8.shape[0], frame.rgb_u8.shape[1])
        kept: list[Box] = []
        hashes: list[int] = []
        for box in crops.windows(
            size_hw, settings.crop_size, settings.crops, settings.crop_mode, random
        ):
            if any(crops.overlap(box, other) > crops.MAX_OVERLAP for other in kept):
                continue
            picture = cut(frame.rgb_u8, box)
            if settings.limits.fault(measure(picture)) is not None:
                record.reject(BLANK_CROP)
                continue
            value = perceptual_hash(picture)
            near = any(hamming_distance(value, other) < settings.min_distance for other in hashes)
            if near or self._is_near(value):
                record.reject(NEAR_CROP)
                continue
            kept.append(box)
            hashes.append(value)
            if len(kept) == settings.crops:
                break
        return kept

    def _write(self, video: Path, record: VideoRecord, entry: Entry, picture: np.ndarray) -> None:
        target = self.manifest.folder / entry.picture
        if target.exists() and not self._is_leftover(entry.picture):
            raise FileExistsError(
                f"{target}: exists, and is not in {MANIFEST}; remove it, or name another folder"
            )
        try:
            if self.manifest.videos.get(video.name) is not record:
                # Before the first picture, so that an interrupted call is recognized.
                self.manifest.folder.mkdir(parents=True, exist_ok=True)
                self.manifest.videos[video.name] = record
                self.manifest.save_videos()
            self.manifest.add_picture(entry, picture)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror}; earlier pictures stay: solve the problem and run the same "
                "command again to resume",
                str(target),
            ) from error
        self.written += 1

    def _is_leftover(self, name: str) -> bool:
        """Return whether an unlisted picture may be from a killed call."""
        return any(
            not record.finished and re.fullmatch(re.escape(Path(video).stem) + _NUMBERS, name)
            for video, record in self.manifest.videos.items()
        )

    def _hash_unlisted(self) -> list[tuple[str, int]]:
        """Hash the pictures of the folder that are not in its manifest."""
        folder = self.manifest.folder
        try:
            found = find_pictures(folder)
        except FileNotFoundError:
            return []
        hashes = []
        for path in found:
            name = path.relative_to(folder).as_posix()
            if name in self.manifest.entries or self._is_leftover(name):
                continue
            try:
                hashes.append((name, perceptual_hash(pictures.read_picture(path).rgb_u8)))
            except (ValueError, OSError) as error:
                logging.warning("not compared: %s", error)
        return hashes

    def _add_to_index(self, entry: Entry) -> None:
        for text in {entry.hash, entry.frame_hash}:
            self._index.add(entry.picture, int(text, 16))

    def _is_near(self, value: int) -> bool:
        nearest = self._index.nearest(value)
        return nearest is not None and nearest[1] < self.settings.min_distance
