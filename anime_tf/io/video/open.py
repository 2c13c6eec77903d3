"""Choice of a video reader for an input, and of a video writer for an output."""

from __future__ import annotations

import os
from pathlib import Path

from absl import logging

from anime_tf.io.paths import has_wildcard
from anime_tf.io.video.codecs import CONTAINERS, DEFAULT_ENCODING, VideoEncoding
from anime_tf.io.video.decoding import DEFAULT_DECODING, VideoDecoding
from anime_tf.io.video.paths import is_sequence
from anime_tf.io.video.readers.animated_webp import AnimatedWebPReader
from anime_tf.io.video.readers.base import VideoReader
from anime_tf.io.video.readers.camera import CameraReader, OpenCVCamera, camera_number
from anime_tf.io.video.readers.constant_rate import ConstantRateReader
from anime_tf.io.video.readers.image_sequence import ImageSequenceReader
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.io.video.span import WHOLE, Span
from anime_tf.io.video.webp_chunks import is_animated_webp
from anime_tf.io.video.writers.animation import ANIMATION_SUFFIXES, AnimationWriter
from anime_tf.io.video.writers.base import VideoWriter
from anime_tf.io.video.writers.image_sequence import ImageSequenceWriter, check_sequence_target
from anime_tf.io.video.writers.preview import PreviewWriter, no_window_reason
from anime_tf.io.video.writers.video_file import VideoFileWriter


def open_reader(
    source: str | os.PathLike[str],
    span: Span = WHOLE,
    decoding: VideoDecoding = DEFAULT_DECODING,
) -> VideoReader:
    """Open a video with its audio.

    Args:
        source: A video or an animation in any format that FFmpeg reads, or an animated WebP; a
            folder of numbered pictures, or their pattern (``frames/%04d.png``); or the number of a
            camera.
        span: Part to read.
        decoding: Conversion of the frames.

    Raises:
        FileNotFoundError: There is no such input.
        ValueError: It holds no video, or cannot be read.
    """
    text = os.fspath(source)
    number = camera_number(source)
    if number is not None:
        return CameraReader(OpenCVCamera(number, span.rate), f"camera {number}", span)
    if is_sequence(text):
        return ImageSequenceReader(text, span, decoding)
    if has_wildcard(text) and not os.path.lexists(text):
        raise FileNotFoundError(
            f"{text}: expected one video, got a pattern or nothing; anime-tf bulk stylizes several"
        )
    reader: VideoReader
    if is_animated_webp(text):
        reader = AnimatedWebPReader(text, span, decoding)
    else:
        reader = file = VideoFileReader(
            source,
            audio=True,
            start=span.start,
            end=span.end,
            replace_broken=True,
            decoding=decoding,
        )
        if file.dropped_streams:
            dropped = ", ".join(f"{kind} ({n})" for kind, n in file.dropped_streams.items())
            logging.info("%s: dropped streams: %s", file.path, dropped)
    return reader if span.rate is None else ConstantRateReader(reader, span.rate)


def check_target(
    target: str | os.PathLike[str], encoding: VideoEncoding = DEFAULT_ENCODING
) -> None:
    """Raise ValueError unless the output's format can be written and holds the codec."""
    path = Path(target)
    if is_sequence(target):
        check_sequence_target(target)
    elif path.suffix.lower() not in ANIMATION_SUFFIXES:
        if path.suffix.lower() not in CONTAINERS:
            raise ValueError(
                f"{path}: expected a video ({', '.join(CONTAINERS)}), an animation "
                f"({', '.join(ANIMATION_SUFFIXES)}) or a folder for pictures (with a slash)"
            )
        encoding.resolve(path)
        return
    if encoding.codec is not None or encoding.crf is not None:
        raise ValueError(f"{target}: codec and crf apply to video files only; remove them")


def open_writer(
    target: str | os.PathLike[str],
    reader: VideoReader,
    encoding: VideoEncoding = DEFAULT_ENCODING,
    *,
    preview: bool | None = False,
) -> VideoWriter:
    """Open a video for writing; missing folders are made.

    Args:
        target: A video file with a suffix of `codecs.CONTAINERS`; an animation, ``.gif`` or
            ``.webp``; or a folder for numbered pictures (with a slash at its end), or their pattern
            (``out/%05d.png``).
        reader: The reader that frames and packets come from.
        encoding: Codec and quality of a video file.
        preview: Show the output in a window. None: only for a camera, if there is a display.

    Raises:
        ValueError: The format cannot be written or does not hold the codec; or `preview` is set and
            no window can be shown.
    """
    check_target(target, encoding)
    writer: VideoWriter
    if is_sequence(target):
        writer = ImageSequenceWriter(target, reader)
    elif Path(target).suffix.lower() in ANIMATION_SUFFIXES:
        writer = AnimationWriter(target, reader)
    else:
        writer = VideoFileWriter(target, reader, encoding)
    return with_preview(writer, reader, preview)


def with_preview(writer: VideoWriter, reader: VideoReader, preview: bool | None) -> VideoWriter:
    """Add a preview window to a writer if `preview` asks for one; see `open_writer`."""
    if preview is None:
        preview = reader.is_live and no_window_reason() is None
    elif preview and (reason := no_window_reason()) is not None:
        raise ValueError(f"no window to show a preview in: {reason}; use --nopreview")
    return PreviewWriter(writer, reader) if preview else writer
