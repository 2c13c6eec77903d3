"""Videos in segments: cut at cuts, stylized by many workers, and joined without re-encoding."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from anime_tf.bulk import engine, storage
from anime_tf.bulk.config import ClusterConfig
from anime_tf.bulk.engine import Row
from anime_tf.bulk.manifest import DONE, FAILED, FOLDER, UNCHANGED
from anime_tf.bulk.pictures import PictureJob, failed_row, finished_row, given_up_row
from anime_tf.faces.config import FaceConfig
from anime_tf.inference import cache
from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.decoding import VideoDecoding
from anime_tf.io.video.ffmpeg import STILL_PICTURE
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.open import open_reader
from anime_tf.io.video.readers.base import VideoReader
from anime_tf.io.video.span import WHOLE, Span
from anime_tf.metrics.cuts import CutDetector
from anime_tf.video.config import StabilizerConfig, VideoConfig
from anime_tf.video.pipeline import stylize_frames
from anime_tf.video.resume import PartialVideo, ResumedVideoWriter, ResumeRecord
from anime_tf.video.stylize import frame_stylizer_maker

if TYPE_CHECKING:
    import av

    from anime_tf.video.stabilizer import FrameStylizer


@dataclass(frozen=True)
class VideoJob:
    """Argument of the workers of videos."""

    pictures: PictureJob
    stabilizer: StabilizerConfig
    encoding: VideoEncoding
    decoding: VideoDecoding
    segment_frames: int


def stylize_videos(rows: Sequence[Row], job: VideoJob, config: ClusterConfig) -> Iterator[Row]:
    """Stylize videos; yield a row for each, as `pictures.PictureWorker` does for pictures.

    Frames, times and audio equal those of ``video``. So do the pictures before encoding: the
    stabilizer starts afresh at each cut in both.
    """
    segments: list[Row] = []
    for row in engine.run(rows, 1, _Scanner, job, config):
        if "first" in row:
            segments.append(row)
        else:
            yield row
    finished: dict[str, list[Row]] = {}
    failed: dict[str, Row] = {}
    for row in engine.run(segments, 1, _SegmentWorker, job, config):
        if row.get("status") == FAILED:
            failed.setdefault(row["output"], row)
        finished.setdefault(row["output"], []).append(row)
    yield from failed.values()
    joins = [
        {**parts[0], "parts": sorted(parts, key=lambda part: part["first"])}
        for output, parts in finished.items()
        if output not in failed
    ]
    yield from engine.run(joins, 1, _Joiner, job, config)


class _VideoWorker:
    """Base class of the workers: failures become rows."""

    def __init__(self, job: VideoJob) -> None:
        self._job = job

    def work(self, rows: list[Row]) -> list[Row]:
        """Work on videos or segments; see `engine.Worker`."""
        done: list[Row] = []
        for row in rows:
            try:
                done += self._work(row)
            except Exception as error:  # a row, not the end of the job
                done.append(failed_row(_of_video(row), self._job.pictures.settings, error))
        return done

    def give_up(self, row: Row) -> Row:
        """Return a row for what ended its workers; see `engine.Worker`."""
        return given_up_row(_of_video(row), self._job.pictures.settings)

    def _work(self, row: Row) -> list[Row]:
        raise NotImplementedError

    def _open(self, path: Path, span: Span = WHOLE) -> VideoReader:
        return open_reader(path, span, self._job.decoding)


def _of_video(row: Row) -> Row:
    """Return the columns of a video, without those of a segment."""
    names = ("input", "output", "input_bytes", "input_modified", "input_digest", "frames")
    return {name: row[name] for name in names if name in row}


class _Scanner(_VideoWorker):
    """Finds the segments of a video: a row with `first`, `frames`, `start` and `end` for each."""

    def _work(self, row: Row) -> list[Row]:
        job = self._job
        if job.pictures.config.faces != "off":
            raise ValueError(f"{row['input']}: expected --faces=off for videos of bulk jobs")
        with storage.local_copy(row["input"]) as path:
            digest = cache.digest(path, "a video")
            row = {**row, "input_digest": digest, "input_bytes": path.stat().st_size}
            if digest == row["previous"]:
                values = {"outputs": row["outputs"], "output_bytes": row["output_bytes"]}
                settings = job.pictures.settings
                return [finished_row(_of_video(row), settings, status=UNCHANGED, **values)]
            starts, frames = self._scan(path)
        rows = []
        for i, (first, start) in enumerate(starts):
            last, end = starts[i + 1] if i + 1 < len(starts) else (frames, None)
            key = f"{digest} {job.pictures.settings} {job.segment_frames} {first} {last}"
            name = hashlib.sha256(key.encode()).hexdigest()[:32]
            suffix = PurePosixPath(row["output"]).suffix
            segment = {
                "first": first,
                "frames": last - first,
                "start": start,
                "end": end,
                "segment": f"{FOLDER}/segments/{name}{suffix}",
            }
            rows.append({**row, **segment})
        return rows

    def _scan(self, path: Path) -> tuple[list[tuple[int, Fraction]], int]:
        """Return number and time of the first frame of each segment, and the number of frames."""
        cuts = CutDetector() if self._job.stabilizer.stabilize != "off" else None
        starts: list[tuple[int, Fraction]] = []
        count = 0
        with self._open(path) as reader:
            if reader.is_still:
                raise ValueError(f"{reader.path}: {STILL_PICTURE}")
            for count, frame in enumerate(reader.frames()):
                seconds = frame.pts * reader.time_base
                is_cut = cuts is None or cuts.begins_shot(frame.rgb_u8, float(seconds))
                if not starts or (is_cut and count - starts[-1][0] >= self._job.segment_frames):
                    starts.append((count, seconds))
        return starts, count + 1


class _SegmentWorker(_VideoWorker):
    """Stylizes a segment into a video without audio beside the manifest."""

    def __init__(self, job: VideoJob) -> None:
        from anime_tf.inference.stylizer import Stylizer

        super().__init__(job)
        self._config = job.pictures.local_stylizer()
        averages = job.stabilizer.uses_statistics
        self._stylizer = Stylizer(self._config, ema_statistics=averages)
        self._input, self._copy = "", contextlib.ExitStack()

    def _work(self, row: Row) -> list[Row]:
        start = time.perf_counter()
        place = storage.join(self._job.pictures.output, row["segment"])
        if storage.info(place) is None:
            if self._input != row["input"]:  # the next segment is often of the same video
                self._copy.close()
                self._path = self._copy.enter_context(storage.local_copy(row["input"]))
                self._input = row["input"]
            with tempfile.TemporaryDirectory() as folder:
                made = Path(folder, PurePosixPath(row["segment"]).name)
                self._stylize(row, self._path, made)
                storage.upload(made, place)
        return [{**row, "seconds": time.perf_counter() - start}]

    def _stylize(self, row: Row, path: Path, made: Path) -> None:
        config = self._job.pictures.config
        whole = VideoConfig(
            input=str(path),
            output=str(made),
            screentone=config.screentone,
            compare=config.compare,
        )
        make = frame_stylizer_maker(
            self._stylizer, whole, self._config, self._job.stabilizer, FaceConfig()
        )
        # The first segment starts at 0: a container's offset comes before its first frame.
        start = row["start"] if row["first"] else Fraction(0)
        with self._open(path, Span(start, row["end"])) as reader:
            reader.audio = reader.subtitles = ()
            reader.attachments, reader.chapters = [], []
            report = stylize_frames(
                reader,
                made,
                _at(make(), reader.time_base, start),
                encoding=self._job.encoding,
                keep_alpha=not whole.compare,
            )
        if report.frames != row["frames"]:
            raise ValueError(
                f"{row['input']}: expected {row['frames']} frames from {float(row['start']):g} s, "
                f"got {report.frames}; its times do not allow to cut it: use anime-tf video"
            )


def _at(draw: FrameStylizer, time_base: Fraction, offset: Fraction) -> FrameStylizer:
    """Return a function of a segment's frames, whose times count from its start."""

    def stylize(rgb_u8: Any, seconds: float) -> Any:
        ticks = round(Fraction(seconds) / time_base) + offset / time_base
        return draw(rgb_u8, float(ticks * time_base))

    return stylize


class _Joiner(_VideoWorker):
    """Joins the segments of a video; all but the frames comes from the input."""

    def _work(self, row: Row) -> list[Row]:
        start = time.perf_counter()
        output, parts = self._job.pictures.output, row["parts"]
        with (
            storage.local_copy(row["input"]) as path,
            tempfile.TemporaryDirectory() as folder,
            self._open(path) as reader,
        ):
            made = Path(folder, PurePosixPath(row["output"]).name)
            segments = _Segments(output, parts, path)
            writer = ResumedVideoWriter(made, reader, self._job.encoding, segments)
            with segments, writer:
                for item in reader.items():
                    if isinstance(item, Frame):
                        writer.write_frame(item)
                    else:
                        writer.write_packet(item)
            storage.upload(made, storage.join(output, row["output"]))
            size = made.stat().st_size
        for part in parts:
            storage.delete(storage.join(output, part["segment"]))
        frames = segments.record.frames
        values = {
            "status": DONE,
            "outputs": [row["output"]],
            "output_bytes": size,
            "frames": frames,
            "pixels": frames * segments.record.height * segments.record.width,
            "seconds": time.perf_counter() - start + sum(part["seconds"] for part in parts),
        }
        return [{**finished_row(_of_video(row), self._job.pictures.settings), **values}]


class _Segments(PartialVideo):
    """The segments of a video as its `PartialVideo`: all frames are there already."""

    def __init__(self, output: str, parts: Sequence[Row], source: Path) -> None:
        self.path, self._output, self._parts = source, output, parts
        self._opened = contextlib.ExitStack()
        self._first: PartialVideo | None = self._opened.enter_context(self._open(parts[0]))
        self.codec, self.has_alpha = self._first.codec, self._first.has_alpha
        self.parameters = self._first.parameters
        frames = sum(part["frames"] for part in parts)
        self.record = _record(frames, *self._first.size_hw)

    @contextlib.contextmanager
    def _open(self, part: Row) -> Iterator[PartialVideo]:
        with storage.local_copy(storage.join(self._output, part["segment"])) as path:
            segment = PartialVideo(path, _record(part["frames"], 0, 0))
            with segment:
                yield segment

    def packets(self) -> Iterator[tuple[av.Packet, int]]:
        """Yield coded frames in decoding order, with their rank in the video."""
        for part in self._parts:
            with self._opened:
                segment = self._first or self._opened.enter_context(self._open(part))
                self._first = None
                if (segment.parameters, segment.has_alpha) != (self.parameters, self.has_alpha):
                    raise ValueError(
                        f"{self.path}: expected segments of one encoder, got those of several; all "
                        "nodes need the same version of PyAV"
                    )
                for packet, rank in segment.packets():
                    yield packet, rank + part["first"]

    def close(self) -> None:
        """Close the segment that `packets` has not finished."""
        self._opened.close()


def _record(frames: int, height: int, width: int) -> ResumeRecord:
    return ResumeRecord({}, {}, frames, seconds=0.0, height=height, width=width, size=0)
