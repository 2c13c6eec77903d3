"""Opening of files by FFmpeg, which sees nothing but local files of the formats listed here.

FFmpeg takes a name with a colon, such as ``12:30.mp4``, for an address, and recognizes formats by
content: a playlist under the name of a video would make it open the files and addresses inside.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from anime_tf.io.kinds import EMPTY, HEAD_BYTES, TEXT, describe_unknown, readable_format
from anime_tf.io.plain_file import check_plain_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from av.container import InputContainer, OutputContainer

# Demuxers that read a single file. Those of audio files are here for a clearer error: no video.
DEMUXERS = (
    *("aac", "apng", "asf", "avi", "dv", "flac", "flv", "gif", "h264", "hevc", "ivf", "matroska"),
    *("mov", "mp3", "mpeg", "mpegts", "mpegvideo", "m4v", "mxf", "nut", "obu", "ogg", "rm", "wav"),
    *("mjpeg", "jpeg_pipe", "png_pipe", "webp_pipe", "yuv4mpegpipe"),
)

STILL_PICTURE = "expected a video, got a still picture; stylize it with: anime-tf infer"

_OPTIONS = {"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": "file"}


@contextlib.contextmanager
def usual_priority() -> Iterator[None]:
    """Keep this thread, and threads that start here, at the priority that this thread has.

    Run by root, SVT-AV1 makes its own threads and the one that opens it real-time threads (FIFO,
    99). They starve all other programs, and processes that start later inherit it.
    """
    tasks = "/proc/self/task"
    if not hasattr(os, "sched_getscheduler") or not os.path.isdir(tasks):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before = {task for task in os.listdir(tasks) if _is_real_time(task)}
    try:
        yield
    finally:
        for task in os.listdir(tasks):
            if task not in before and _is_real_time(task):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setscheduler(int(task), policy, parameters)


def _is_real_time(task: str) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return os.sched_getscheduler(int(task)) in (os.SCHED_FIFO, os.SCHED_RR)
    return False


def open_input(path: str | os.PathLike[str], format_name: str | None = None) -> InputContainer:
    """Open a local video file for reading.

    Args:
        path: The file.
        format_name: The only demuxer to use; None for any of `DEMUXERS`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no plain file, or in none of the formats.
    """
    check_plain_file(path, "a video")
    import av  # loads all of FFmpeg

    try:
        return av.open(
            _url(path),
            format=format_name,
            container_options=_OPTIONS,
            metadata_errors="replace",  # tags in Latin-1 are common
        )
    except av.FFmpegError as error:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
        if readable_format(head):
            raise ValueError(f"{os.fspath(path)}: {STILL_PICTURE}") from None
        if (found := describe_unknown(head)) in (EMPTY, TEXT):
            pass
        elif error.errno == errno.EINVAL:  # a format that is not in the list
            found = "a format that is not read"
        elif isinstance(error, av.error.InvalidDataError):
            found = "a damaged video or another kind of file"
        else:
            found = f"an error before its first stream ({error.strerror})"
        raise ValueError(
            f"{os.fspath(path)}: expected a video that FFmpeg reads, got {found}; if players show "
            "it, convert it to MP4 first"
        ) from error


def open_output(
    path: str | os.PathLike[str], format_name: str, options: Mapping[str, str] | None = None
) -> OutputContainer:
    """Open a local file for writing, with the options of its muxer."""
    import av

    return av.open(_url(path), "w", format=format_name, container_options=dict(options or {}))


def _url(path: str | os.PathLike[str]) -> str:
    return f"file:{os.fspath(path)}"
