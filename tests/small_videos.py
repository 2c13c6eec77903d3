"""Write small test videos with PyAV, and read what a video holds."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TOP_LEFT, REST = (20, 220, 30), (200, 40, 90)


def marked(height: int = 48, width: int = 64) -> np.ndarray:
    """Return a picture that shows its orientation and the order of its channels."""
    picture = np.full((height, width, 3), REST, np.uint8)
    picture[: height // 3, : width // 3] = TOP_LEFT
    return picture


def corners(picture: np.ndarray) -> np.ndarray:
    return picture[[2, 2, -3, -3], [2, -3, 2, -3]].astype(int)


def moving(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Return frames of one color each, increasingly bright, so that each shows its number."""
    return [np.full((height, width, 3), 30 + 200 * i // count, np.uint8) for i in range(count)]


def write_video(
    path,
    frames,
    *,
    codec="libx264",
    pixels="yuv420p",
    colors=("ITU601", 1),
    named_colors=False,
    times=None,
    time_base=Fraction(1, 10),
    audio=None,
    layout="mono",
    seconds=None,
    set_up=None,
    metadata=None,
    container_format=None,
    options=None,
):
    """Write frames, one per tick or at `times`, with a sine tone encoded as `audio`."""
    matrix, color_range = colors
    with av.open(str(path), "w", format=container_format) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=10, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = time_base
        if named_colors:
            stream.codec_context.colorspace = {"ITU709": 1, "ITU601": 6}[matrix]
            stream.codec_context.color_range = color_range
        if set_up is not None:
            set_up(stream)
        tone = None
        if audio is not None:
            tone = container.add_stream(audio, rate=48_000)
            tone.layout = layout
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture = picture.reformat(
                format=pixels, dst_colorspace=matrix, dst_color_range=color_range
            )
            picture.pts, picture.time_base = (times[i] if times else i), time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
        if tone is not None:
            last = times[-1] + 1 if times else len(frames)
            samples = round(48_000 * (seconds or last * time_base))
            wave = 8000 * np.sin(np.arange(samples) * 2 * np.pi * 440 / 48_000)
            heard = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
            heard.sample_rate, heard.pts, heard.time_base = 48_000, 0, Fraction(1, 48_000)
            container.mux(tone.encode(heard))
            container.mux(tone.encode())


@dataclass
class VideoContents:
    """Decoded contents of a video."""

    frames: list[np.ndarray]
    times: list[Fraction]
    audio: list[bytes]
    audio_times: list[Fraction]
    audio_codec: str | None
    seconds: float
    metadata: dict[str, str]
    container: av.container.InputContainer
    stream: av.VideoStream


def read(path: Path) -> VideoContents:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames, times, audio, audio_times = [], [], [], []
        for packet in container.demux():
            if packet.stream.type == "video":
                for frame in packet.decode():
                    frames.append(frame.to_ndarray(format="rgb24"))
                    times.append(frame.pts * frame.time_base)
            elif packet.stream in container.streams.audio[:1] and packet.size:
                audio.append(bytes(packet))
                audio_times.append(packet.pts * packet.time_base)
        codecs = [s.codec_context.name for s in container.streams.audio]
        return VideoContents(
            frames,
            times,
            audio,
            audio_times,
            codecs[0] if codecs else None,
            container.duration / 1e6,
            dict(container.metadata),
            container,
            stream,
        )
