"""Files by address: paths, file://, s3://, gs://, and what fsspec reads."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from anime_tf.errors import first_line, import_optional
from anime_tf.io import atomic
from anime_tf.io.pictures import MAX_PICTURE_BYTES, read_bytes

# FileSystem of pyarrow reads these; fsspec all others.
_S3, _GCS = ("s3",), ("gs", "gcs")


class FileInfo(NamedTuple):
    """Size and time of change of a file, which tell whether it has changed."""

    size: int
    modified: int  # nanoseconds


def local_path(address: str) -> Path | None:
    """Return the path of an address on this machine; None for another kind."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return Path(address)
    return Path(rest) if scheme == "file" else None


def join(address: str, name: str) -> str:
    """Return the address of a file below a folder."""
    return f"{address.rstrip('/')}/{name}"


def read(address: str) -> bytes:
    """Read a picture file; errors of `pictures.read_bytes`."""
    path = local_path(address)
    if path is not None:
        return read_bytes(path)
    filesystem, name = _open(address)
    with _errors_naming(address), filesystem.open_input_stream(name) as file:
        data = file.read(MAX_PICTURE_BYTES + 1)
    if len(data) > MAX_PICTURE_BYTES:
        raise ValueError(
            f"{address}: expected a picture file of at most {MAX_PICTURE_BYTES} bytes, got more"
        )
    return data


def write(address: str, data: bytes) -> None:
    """Write a file whole or not at all; missing folders are made."""
    path = local_path(address)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(path, data, durable=False)
        return
    filesystem, name = _open(address)
    # An object appears when its upload is complete.
    with _errors_naming(address), filesystem.open_output_stream(name) as file:
        file.write(data)


def upload(path: Path, address: str) -> None:
    """Copy a local file to an address, whole or not at all."""
    target = local_path(address)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic.atomic_file(target, durable=False) as temporary:
            shutil.copyfile(path, temporary)
        return
    filesystem, name = _open(address)
    with (
        _errors_naming(address),
        open(path, "rb") as source,
        filesystem.open_output_stream(name) as file,
    ):
        shutil.copyfileobj(source, file, 8 << 20)


@contextlib.contextmanager
def local_copy(address: str) -> Iterator[Path]:
    """Yield the path of a file; one of another machine is copied until the block ends."""
    path = local_path(address)
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, address.rpartition("/")[2])
        filesystem, name = _open(address)
        with (
            _errors_naming(address),
            filesystem.open_input_stream(name) as source,
            open(copy, "xb") as file,
        ):
            shutil.copyfileobj(source, file, 8 << 20)
        yield copy


def info(address: str) -> FileInfo | None:
    """Return size and time of change of a file; None for a folder or nothing."""
    filesystem, name = _open(address)
    with _errors_naming(address):
        found = filesystem.get_file_info([name])[0]
    return FileInfo(found.size, found.mtime_ns or 0) if found.is_file else None


def list_files(folder: str) -> dict[str, FileInfo]:
    """Return name in the folder -> facts of all files below it; nothing if it is missing."""
    from pyarrow import fs

    filesystem, name = _open(folder)
    selector = fs.FileSelector(name, recursive=True, allow_not_found=True)
    with _errors_naming(folder):
        found = filesystem.get_file_info(selector)
    # Some file systems begin names with a slash.
    start = len(name.strip("/")) + 1
    return {
        one.path.lstrip("/")[start:]: FileInfo(one.size, one.mtime_ns or 0)
        for one in sorted(found, key=lambda one: one.path)
        if one.is_file
    }


def delete(address: str) -> None:
    """Delete a file, if it is there."""
    filesystem, name = _open(address)
    with contextlib.suppress(FileNotFoundError):
        filesystem.delete_file(name)


def _open(address: str) -> tuple[Any, str]:
    """Return pyarrow's file system of an address, and the file's name in it."""
    path = local_path(address)
    if path is not None:
        return _filesystem("file", ""), os.path.abspath(path)
    scheme, _, rest = address.partition("://")
    bucket = rest.partition("/")[0] if scheme in _S3 else ""
    return _filesystem(scheme, bucket), rest


@functools.cache
def _filesystem(scheme: str, bucket: str) -> Any:
    fs = import_optional("pyarrow.fs", "bulk jobs need pyarrow", "'anime_tf[cluster]'")
    if scheme == "file":
        return fs.LocalFileSystem()
    if scheme in _S3:
        # As boto3 and the AWS CLI do, which pyarrow does not.
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        named = endpoint or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return fs.S3FileSystem(
            endpoint_override=endpoint,
            region=None if named else fs.resolve_s3_region(bucket),
            allow_delayed_open=True,  # one request for a small file instead of three
        )
    if scheme in _GCS:
        return fs.GcsFileSystem()
    import fsspec

    try:
        return fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem(scheme)))
    except (ValueError, ImportError) as error:
        raise ValueError(
            f"{scheme}://: expected an address that fsspec reads ({first_line(error)})"
        ) from error


@contextlib.contextmanager
def _errors_naming(address: str) -> Iterator[None]:
    """Re-raise errors of pyarrow, which may name no file, as errors about an address."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{address}: no such file") from error
    except OSError as error:
        raise OSError(f"{address}: {first_line(error)}") from error
