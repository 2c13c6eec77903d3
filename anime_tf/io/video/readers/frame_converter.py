"""Decoded frames converted to upright RGB with square pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from anime_tf.io import hdr
from anime_tf.io.geometry import resize
from anime_tf.io.pictures import Picture, flatten_alpha
from anime_tf.io.video.decoding import VideoDecoding
from anime_tf.io.video.frames import (
    BT601,
    BT709,
    EXACT_CHROMA,
    FULL_RANGE,
    LIMITED_RANGE,
    SRGB,
    UNSPECIFIED,
    ColorEncoding,
    ffmpeg_errors,
)

if TYPE_CHECKING:
    import av

HD_HEIGHT = 720  # untagged video from this height on is taken as BT.709, below as BT.601

# AVColorSpace -> PyAV's name of the matrix, of those that can be written. PyAV 17 has no BT2020.
_MATRICES = {BT709: "ITU709", 5: "ITU601", BT601: "ITU601", 9: "BT2020"}
_READABLE = {*_MATRICES, 4, 7}  # FCC and SMPTE 240M, too
_MATRIX_NAMES = {0: "RGB", 8: "YCgCo", 14: "ICtCp", 15: "IPT-C2", 16: "YCgCo-Re", 17: "YCgCo-Ro"}
# Numbers that encoders reject as reserved are not copied.
_PRIMARIES, _TRANSFERS = {1, *range(4, 13)}, {1, *range(4, 19)}


class FrameConverter:
    """Converts the frames of one stream.

    Attributes:
        name: Name of the stream in messages.
        colors: Color encoding of the converted frames.
    """

    def __init__(self, path: Path, stream: av.VideoStream, decoding: VideoDecoding) -> None:
        context = stream.codec_context
        self._stream, self._decoding = stream, decoding
        self.name = f"{path}: stream {stream.index} (video, {context.name})"
        self._warned, self._turn = False, (1, 0, 0, 1)
        # Decoders forget what only the container says.
        self._matrix_number, self._range = context.colorspace, context.color_range
        self._transfer, self._primaries = context.color_trc, context.color_primaries
        self._tone_maps = decoding.hdr == "tonemap" and self._transfer in (hdr.PQ, hdr.HLG)
        self.colors = SRGB if self._tone_maps else _color_encoding(stream)

    def __call__(self, frame: av.VideoFrame) -> tuple[np.ndarray, np.ndarray | None]:
        """Return RGB uint8 (height, width, 3), and alpha (height, width) if it is to be kept.

        Raises:
            ValueError: FFmpeg cannot convert the frame.
        """
        options: dict[str, Any] = {"interpolation": EXACT_CHROMA}
        options["src_colorspace"] = self._matrix(frame)
        alpha_u8 = None
        remedy = "convert the video: ffmpeg -i INPUT -pix_fmt yuv420p OUTPUT.mp4"
        with ffmpeg_errors(self.name, f"cannot convert {frame.format.name} to RGB", remedy):
            if self._tone_maps:
                rgb_u16 = frame.to_ndarray(format="rgb48le", **options)
                rgb_u8 = hdr.tone_map(rgb_u16, self._transfer, self._primaries)
            elif _has_alpha(frame.format):
                rgba_u8 = frame.to_ndarray(format="rgba", **options)
                alpha_u8 = np.ascontiguousarray(rgba_u8[..., 3])
                picture = Picture(np.ascontiguousarray(rgba_u8[..., :3]), alpha_u8)
                rgb_u8 = flatten_alpha(picture, self._decoding.background_rgb)
            else:
                rgb_u8 = frame.to_ndarray(format="rgb24", **options)
        if self._decoding.background is not None:
            alpha_u8 = None
        aspect = self._stream.sample_aspect_ratio or 1
        # H.264 and HEVC repeat theirs at key frames only.
        self._turn = _display_matrix(frame) or self._turn
        upright = [_upright(plane, float(aspect), self._turn) for plane in (rgb_u8, alpha_u8)]
        return upright[0], upright[1]

    def _matrix(self, frame: av.VideoFrame) -> str | None:
        """Return PyAV's name of the matrix between YUV and RGB, None for that of the frame."""
        number = frame.colorspace
        if frame.format.is_rgb:
            frame.colorspace = UNSPECIFIED
            return None
        if number == UNSPECIFIED:
            number = frame.colorspace = self._matrix_number
        frame.color_range = frame.color_range or self._range
        if number == 10:  # constant luminance, which FFmpeg does not convert either
            number = frame.colorspace = 9
        if number in _READABLE:
            return None
        made = _MATRICES[_guessed_matrix(frame.height)]
        if number != UNSPECIFIED and not self._warned:
            self._warned = True
            name = _MATRIX_NAMES.get(number, "reserved")
            text = "%s: the color matrix %d (%s) is not supported and often wrong; %s is used"
            logging.warning(text, self.name, number, name, made)
        return made


def _has_alpha(pixels: av.VideoFormat) -> bool:
    return pixels.has_palette or any(part.is_alpha for part in pixels.components)


def _guessed_matrix(height: int) -> int:
    return BT709 if height >= HD_HEIGHT else BT601


def _color_encoding(stream: av.VideoStream) -> ColorEncoding:
    """Return the color encoding of a stream, guessed by convention where it is not tagged."""
    from av.video.reformatter import Colorspace

    context = stream.codec_context
    # PyAV 17 crashes on context.pix_fmt if no frame can be decoded.
    pixels = context.format
    is_rgb = pixels is not None and pixels.is_rgb
    number = context.colorspace
    if _MATRICES.get(number) not in Colorspace.__members__:
        number = _guessed_matrix(context.height)
    full = context.color_range == FULL_RANGE and not is_rgb
    primaries, transfer = context.color_primaries, context.color_trc
    return ColorEncoding(
        matrix=_MATRICES[number],
        matrix_number=number,
        range_number=FULL_RANGE if full else LIMITED_RANGE,
        primaries=primaries if primaries in _PRIMARIES else UNSPECIFIED,
        transfer=transfer if transfer in _TRANSFERS else UNSPECIFIED,
    )


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """Return a, b, c, d of a frame's display matrix: x' = a x + c y, y' = b x + d y."""
    parts: Any = frame.side_data
    for data in parts:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
            return a, b, c, d
    return None


def _upright(plane: Any, aspect: float, turn: tuple[int, int, int, int]) -> Any:
    """Return an array (height, width, ...) with square pixels, turned and mirrored."""
    if plane is None:
        return None
    if aspect != 1:
        height, width = plane.shape[:2]
        plane = resize(plane, (height, max(1, round(width * aspect))))
    a, b, c, d = turn
    if abs(b) + abs(c) > abs(a) + abs(d):
        plane, a, d = plane.swapaxes(0, 1), c, b
    return np.ascontiguousarray(plane[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
