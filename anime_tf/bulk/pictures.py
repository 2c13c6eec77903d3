"""The worker that stylizes pictures."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from anime_tf.bulk import storage
from anime_tf.bulk.engine import GIVE_UP_REASON, Row
from anime_tf.bulk.manifest import DONE, FAILED, UNCHANGED
from anime_tf.errors import first_line
from anime_tf.faces.batch import make_picture_work
from anime_tf.faces.config import FaceConfig
from anime_tf.inference.batch import failure_line, read_ahead
from anime_tf.inference.config import InferConfig, StylizerConfig
from anime_tf.io.pictures import Picture, decode_array, decode_picture, encode_picture

# Decoded at once, and stylized in the order of their sizes: engines prepare for each new size.
_BUCKET_PIXELS, _BUCKET_PICTURES = 32 << 20, 8
_REQUESTS = 8  # to the storage at a time


@dataclass(frozen=True)
class WeightsFile:
    """Weights file that travels to the nodes; `make` writes it there."""

    path: str
    digest: str
    data: bytes

    @classmethod
    def read(cls, path: Path) -> WeightsFile | None:
        """Read weights; None for a folder, which every node must have itself."""
        if not path.is_file():
            return None
        data = path.read_bytes()
        return cls(str(path.absolute()), hashlib.sha256(data).hexdigest(), data)

    def make(self) -> str:
        """Return the path of these weights on this node, written if need be."""
        here = Path(self.path)
        user = os.getuid() if os.name == "posix" else ""  # Windows has a folder for each user
        folder = Path(tempfile.gettempdir(), f"anime_tf_weights_{user}")
        copy = folder / f"{self.digest}{here.suffix}"  # of an earlier worker
        for path in (here, copy):
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == self.digest:
                return str(path)
        folder.mkdir(mode=0o700, exist_ok=True)
        storage.write(str(copy), self.data)
        return str(copy)


@dataclass(frozen=True)
class PictureJob:
    """Argument of `PictureWorker`."""

    output: str  # address of the folder
    settings: str  # digest, see `manifest.schema`
    config: InferConfig
    stylizer: StylizerConfig
    faces: FaceConfig
    weights: WeightsFile | None
    batch_size: int

    def local_stylizer(self) -> StylizerConfig:
        """Return the settings with weights of this node."""
        if self.weights is None:
            return self.stylizer
        return self.stylizer.replace(weights=self.weights.make())


def failure_kind(error: BaseException) -> str:
    """Return the kind of a failure: picture, missing, storage, memory, or the name of a bug."""
    kinds = {
        FileNotFoundError: "missing",
        MemoryError: "memory",
        OSError: "storage",
        ValueError: "picture",
    }
    named = (kind for cls, kind in kinds.items() if isinstance(error, cls))
    return next(named, type(error).__name__)


def finished_row(row: Row, settings: str, **values: Any) -> Row:
    """Return a row of the manifest."""
    known = {name: value for name, value in row.items() if name != "previous"}
    worker = f"{platform.node()}:{os.getpid()}"
    return {**known, "settings": settings, "worker": worker, "finished": time.time(), **values}


def failed_row(row: Row, settings: str, error: BaseException) -> Row:
    """Return the row of a failure, with the reason that ``infer`` writes."""
    line = failure_line(row["input"], error) if isinstance(error, Exception) else first_line(error)
    return finished_row(row, settings, status=FAILED, kind=failure_kind(error), reason=line)


def given_up_row(row: Row, settings: str) -> Row:
    """Return the row of a failure that ended its workers."""
    reason = f"{row['input']}: {GIVE_UP_REASON}"
    return finished_row(row, settings, status=FAILED, kind="crash", reason=reason)


@dataclass
class _Photo:
    """A decoded picture on its way."""

    row: Row  # the result, if there is no photo
    photo: Any = None  # `Picture`, or an array in 16 bits
    seconds: float = 0.0

    @property
    def array(self) -> np.ndarray:
        return self.photo.array_u8 if isinstance(self.photo, Picture) else self.photo


class PictureWorker:
    """Stylizes pictures as ``infer`` does; the files have its bytes.

    A row has `input`, `output`, `input_bytes`, `input_modified` and `problem`, and `previous`, the
    digest of the input whose result is there, or nothing.
    """

    def __init__(self, job: PictureJob) -> None:
        self._job = job
        stylizer = job.local_stylizer()
        self._work = make_picture_work(job.config, stylizer, job.faces)
        config = job.config
        plain = config.faces == "off" and not (config.compare or config.screentone)
        self._batch_size = job.batch_size if plain else 1

    def work(self, rows: list[Row]) -> list[Row]:
        """Stylize pictures; see `engine.Worker`."""
        done: list[Row] = []
        writes: deque[Future[Row]] = deque()
        with ThreadPoolExecutor(_REQUESTS) as requests, ThreadPoolExecutor(1) as decoder:
            ahead = read_ahead(requests, rows, self._read, _REQUESTS)
            following = decoder.submit(self._decode, ahead)
            while photos := following.result():
                following = decoder.submit(self._decode, ahead)  # while the network runs
                ready = [photo for photo in photos if photo.photo is not None]
                done += [photo.row for photo in photos if photo.photo is None]
                for batch in _batches(ready, self._batch_size):
                    for photo, result in zip(batch, self._stylize(batch), strict=True):
                        writes.append(requests.submit(self._write, photo, result))
                        if len(writes) > _REQUESTS:
                            done.append(writes.popleft().result())
            done += [write.result() for write in writes]
        return done

    def give_up(self, row: Row) -> Row:
        """Return the row of a picture that ended its workers; see `engine.Worker`."""
        return given_up_row(row, self._job.settings)

    def _failed(self, row: Row, error: Exception) -> Row:
        return failed_row(row, self._job.settings, error)

    def _read(self, row: Row) -> bytes:
        if row["problem"]:
            raise ValueError(f"{row['input']}: {row['problem']}")
        return storage.read(row["input"])

    def _decode(self, ahead: Iterator[tuple[Row, Future[bytes]]]) -> list[_Photo]:
        """Decode pictures until a bucket is full; none at the end."""
        bucket: list[_Photo] = []
        pixels = 0
        for row, reading in ahead:
            start = time.perf_counter()
            photo = _Photo({name: value for name, value in row.items() if name != "problem"})
            bucket.append(photo)
            try:
                self._decode_one(photo, reading.result())
                pixels += 0 if photo.photo is None else photo.array[..., 0].size
            except Exception as error:  # a row, not the end of the job
                photo.row = self._failed(photo.row, error)
            photo.seconds = time.perf_counter() - start
            if pixels >= _BUCKET_PIXELS or len(bucket) >= _BUCKET_PICTURES:
                break
        return bucket

    def _decode_one(self, photo: _Photo, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        row = photo.row = {**photo.row, "input_bytes": len(data), "input_digest": digest}
        if digest == row["previous"]:
            photo.row = finished_row(row, self._job.settings, status=UNCHANGED, seconds=0.0)
            return
        config = self._job.config
        decode: Any = decode_picture if config.bits == 8 else decode_array
        photo.photo = decode(data, row["input"], allow_truncated=config.allow_truncated)

    def _stylize(self, photos: Sequence[_Photo]) -> Sequence[Any]:
        """Return a result or an error for each picture; all have the same size."""
        start = time.perf_counter()
        try:
            if len(photos) > 1:
                return self._work(np.stack([photo.array for photo in photos]))
            return [self._work(photos[0].photo)]
        except Exception as error:  # as above
            return [error] * len(photos)
        finally:
            for photo in photos:
                photo.seconds += (time.perf_counter() - start) / len(photos)

    def _write(self, photo: _Photo, result: Any) -> Row:
        if isinstance(result, Exception):
            return self._failed(photo.row, result)
        start = time.perf_counter()
        name = PurePosixPath(photo.row["output"])
        made = {str(name): result}
        if isinstance(result, list):  # faces
            made = {
                str(name.with_name(f"{name.stem}_face{number}.png")): face
                for number, face in enumerate(result, start=1)
            }
        size = 0
        try:
            for file, picture in made.items():
                suffix = PurePosixPath(file).suffix
                data = encode_picture(picture, suffix, quality=self._job.config.quality, mark=True)
                storage.write(storage.join(self._job.output, file), data)
                size += len(data)
        except Exception as error:  # as above
            return self._failed(photo.row, error)
        values = {
            "status": DONE,
            "outputs": list(made),
            "output_bytes": size,
            "pixels": photo.array[..., 0].size,
            "seconds": photo.seconds + time.perf_counter() - start,
        }
        return finished_row(photo.row, self._job.settings, **values)


def _batches(bucket: list[_Photo], batch_size: int) -> Iterator[list[_Photo]]:
    """Yield pictures of one size, up to `batch_size` together if they have three channels."""

    def shape(photo: _Photo) -> tuple[Any, ...]:
        return (*photo.array.shape, photo.array.dtype.str)

    for key, group in groupby(sorted(bucket, key=shape), key=shape):
        photos = list(group)
        size = batch_size if key[2:3] == (3,) else 1
        for start in range(0, len(photos), size):
            yield photos[start : start + size]
