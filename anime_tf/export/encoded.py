"""Graph from encoded pictures to encoded pictures, for servers that receive files.

A SavedModel contains no Python, so this is `io.pictures.decode_picture` in TensorFlow operations,
with the same rules: EXIF orientation is applied, alpha is kept, 16-bit values become
round(value / 257), and damage that viewers tolerate is repaired. Color profiles are ignored.
Headers are checked before anything is decoded, and an unreadable picture returns an error of its
own instead of failing its batch.

Unsupported are GIF (TensorFlow decodes all frames, without a limit), BMP (some variants are decoded
wrongly) and animated WebP (without alpha, the decoder of TensorFlow 2.21 writes out of bounds).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.io.containers import MIN_ZEROS

PICTURE_BYTES = tf.TensorSpec((None,), tf.string, name="picture_bytes")

MAX_BYTES = 1 << 25
"""Largest file: 33.5 MB, more than most photos of `MAX_PIXELS` have, even as 16-bit PNG."""

MAX_PIXELS = 1 << 24
"""Largest picture: 16.8 million pixels, 4096x4096; phones have 12 million.

The network needs 650 bytes per pixel in ``animegan_v2_light`` and 2,200 in ``animegan_v2`` (float32
on CPU), 11 and 37 GB at the limit. Servers with less memory need a lower limit.
"""

MAX_JPEG_SIDE = 65500  # largest height and width that JPEG libraries write

MAX_PARTS = 1 << 14
"""Largest number of segments or chunks; each takes 20 to 50 microseconds.

A PNG of `MAX_BYTES` in the usual chunks of 8 KB has a quarter of them; a file of empty chunks would
take minutes.
"""

MAX_SCANS = 100  # largest number of scans in a progressive JPEG; encoders write about ten
JPEG_QUALITY = 95  # as in `io.pictures.encode_picture`

PNG_COMPRESSION = 1
"""Level of zlib. The default, 6, takes five times as long for files that are 4% smaller."""


def _encode_png(picture_u8: tf.Tensor) -> tf.Tensor:
    return tf.io.encode_png(picture_u8, compression=PNG_COMPRESSION)


def _encode_jpeg(picture_u8: tf.Tensor) -> tf.Tensor:
    # Without alpha and, like `io.pictures.encode_picture`, without chroma subsampling.
    rgb_u8 = picture_u8[..., :3]
    return tf.io.encode_jpeg(rgb_u8, "rgb", quality=JPEG_QUALITY, chroma_downsampling=False)


ENCODINGS: dict[str, tuple[Callable[[tf.Tensor], tf.Tensor], int]] = {
    "png": (_encode_png, (1 << 31) - 1),
    "jpeg": (_encode_jpeg, MAX_JPEG_SIDE),
}
"""Output format -> its encoder, and the largest side of a picture."""


class EncodedPictures:
    """Functions that stylize files of at most `max_bytes` and `max_pixels`; they share one reader.

    They accept JPEG (gray, color, Adobe's CMYK), PNG (all variants) and WebP (not animated). The
    pictures of a batch may differ in size and format, and run one by one.
    """

    def __init__(
        self,
        network: PaddedGenerator,
        max_bytes: int = MAX_BYTES,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._network = network
        self._read = _make_reader(max_bytes, max_pixels)

    def function(self, encoding: str = "png") -> Any:
        """Make the function for an output format, a key of `ENCODINGS`; ValueError for another.

        It is a tf.function of ``picture_bytes``, (n,) strings, the contents of files. It returns
        ``{"anime_bytes": ..., "error": ...}``, (n,) strings: a file and an empty string, or no
        bytes and an error message in one line.
        """
        if encoding not in ENCODINGS:
            raise ValueError(f"encoding: expected one of {', '.join(ENCODINGS)}, got {encoding!r}")
        encode, max_side = ENCODINGS[encoding]

        def stylize(picture_u8: tf.Tensor) -> tf.Tensor:
            photo_u8 = tf.ensure_shape(picture_u8[..., :3], (None, None, 3))
            anime_u8 = self._network.u8(photo_u8[None])["anime_u8"][0]
            return encode(tf.concat([anime_u8, picture_u8[..., 3:]], axis=-1))

        def stylize_file(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            picture_u8, error = self._read(data, tf.constant(max_side, tf.int64))
            anime = tf.cond(error == "", lambda: stylize(picture_u8), lambda: tf.constant(""))
            return anime, error

        def stylize_files(picture_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            # One by one: each uses all cores, and several at once too much memory.
            anime_bytes, error = tf.map_fn(
                stylize_file,
                picture_bytes,
                fn_output_signature=(tf.string, tf.string),
                parallel_iterations=1,
            )
            return {"anime_bytes": anime_bytes, "error": error}

        return tf.function(stylize_files, input_signature=[PICTURE_BYTES], autograph=False)


@functools.cache
def _make_reader(max_bytes: int, max_pixels: int) -> Any:
    """Make the tf.function of `_read_file`, whose graph takes seconds to build, once for all."""

    def read_file(data: tf.Tensor, max_side: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _read_file(data, max_side, max_bytes, max_pixels)

    signature = [tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int64)]
    return tf.function(read_file, input_signature=signature, autograph=False)


def _read_file(
    data: tf.Tensor, max_side: tf.Tensor, max_bytes: int, max_pixels: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode a file to uint8 (height, width, 3 or 4) and an error, of which one is empty."""
    empty = tf.zeros((0, 0, 3), tf.uint8)

    def read(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = tf.strings.length(data)
        is_too_large = size > max_bytes
        data = tf.where(is_too_large, "", data)
        is_doubled = tf.strings.substr(data, 0, 4) == b"\xff\xd8\xff\xd8"
        data = tf.cond(is_doubled, lambda: tf.strings.substr(data, 2, size - 2), lambda: data)
        header = _read_header(_File(data))
        error = _select(
            (
                is_too_large,
                _text("file of ", size, f" bytes: expected at most {max_bytes}"),
            ),
            otherwise=_find_error(data, header, max_pixels, max_side),
        )
        is_open = (error == "") & (header.tail == _END_OF_JPEG)
        is_whole = tf.cond(is_open, lambda: _has_all_pixels(data, header), lambda: True)
        error = tf.where(is_whole, error, f"JPEG picture: {_CUT}")
        picture_u8 = tf.cond(error == "", lambda: _decode(data, header), lambda: empty)
        return picture_u8, error

    # Graphs have no exceptions, but a data set can skip elements whose decoder fails. It also
    # keeps the many small operations on headers off a GPU.
    result = tf.data.Dataset.from_tensors(data).map(read).ignore_errors()
    fallback = tf.data.Dataset.from_tensors(data).map(lambda data: (empty, _find_damage(data)))
    return result.concatenate(fallback).take(1).get_single_element()


# --- headers ----------------------------------------------------------------------------------

_JPEG, _PNG, _WEBP, _UNKNOWN = range(4)
_NAMES = ("JPEG", "PNG", "WebP", "")
_HEX = [f"{byte:02x}" for byte in range(256)]

_END_OF_JPEG = b"\xff\xd9"
_OTHER_TAIL = b"\x55\x2a" * 64
_END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"

_COPY_AGAIN = "copy or download it again"
_CUT = f"it is cut off; {_COPY_AGAIN}"
_NO_PICTURE = f"it contains no picture; {_COPY_AGAIN}"

_State = dict[str, tf.Tensor]


class _Header(NamedTuple):
    """Properties of a picture before it is decoded, scalars; int64 but for `problem`.

    `problem` is an error in the structure of the file, or empty; size is before orientation (EXIF,
    1 to 8); `channels` is the number of decoded ones to keep, 3 or 4; `end` the number of bytes to
    decode, and `tail` the missing ones behind them, a string.
    """

    kind: tf.Tensor
    problem: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor
    orientation: tf.Tensor
    channels: tf.Tensor
    end: tf.Tensor
    tail: tf.Tensor


class _File:
    """Numbers in a file; zero past its end.

    Attributes:
        size: Number of bytes, int64.
        bytes_u8: The bytes and a zero.
    """

    def __init__(self, data: tf.Tensor) -> None:
        self.bytes_u8 = tf.io.decode_raw(tf.strings.join([data, b"\0"]), tf.uint8)
        self.size = tf.size(self.bytes_u8, tf.int64) - 1

    def number(self, start: Any, count: int, is_little: Any = False) -> tf.Tensor:
        """Return the unsigned numbers of `count` bytes at `start`, of any shape; int64.

        They are big-endian, or little-endian with `is_little`, which may be a tensor.
        """
        values = tf.cast(self._take(start, count), tf.int64)
        if count == 1:
            return values[..., 0]
        little = np.array([1 << 8 * i for i in range(count)], np.int64)
        big = little[::-1]
        if isinstance(is_little, bool):
            weights = little if is_little else big
        else:
            weights = tf.where(is_little, little, big)
        return tf.reduce_sum(values * weights, axis=-1)

    def has(self, start: Any, text: bytes) -> tf.Tensor:
        """Return whether `text` is at `start`."""
        return tf.reduce_all(self._take(start, len(text)) == list(text), axis=-1)

    def _take(self, start: Any, count: int) -> tf.Tensor:
        # Few operations: a graph has a hundred copies, and takes seconds to optimize.
        if isinstance(start, int):
            index = tf.minimum(np.arange(start, start + count), self.size)
        else:
            first = start if start.shape.rank == 0 else start[..., None]
            index = tf.clip_by_value(first + np.arange(count), 0, self.size)
        return tf.gather(self.bytes_u8, index)


def _read_header(file: _File) -> _Header:
    kind = _select(
        (file.has(0, b"\xff\xd8\xff"), _JPEG),
        (file.has(0, b"\x89PNG") & file.has(4, b"\r\n\x1a\n"), _PNG),
        (file.has(0, b"RIFF") & file.has(8, b"WEBP"), _WEBP),
        otherwise=_UNKNOWN,
    )

    def branch(read: Callable[[_File], tuple[Any, ...]]) -> Callable[[], list[tf.Tensor]]:
        return lambda: [_to_tensor(value) for value in read(file)]

    readers = (_read_jpeg, _read_png, _read_webp, lambda _: ("", 0, 0, 0, 0, 3, 0, ""))
    problem, height, width, exif, exif_end, *rest = tf.switch_case(
        tf.cast(kind, tf.int32), [*map(branch, readers)]
    )
    orientation = _read_orientation(file, exif, exif_end)
    return _Header(kind, problem, height, width, orientation, *rest)


def _to_tensor(value: Any) -> tf.Tensor:
    """Convert to a string or int64 tensor."""
    value = tf.convert_to_tensor(value)
    return value if value.dtype == tf.string else tf.cast(value, tf.int64)


def _select(*cases: tuple[tf.Tensor, Any], otherwise: Any) -> tf.Tensor:
    """Return the value of the first case whose condition is true."""
    value = _to_tensor(otherwise)
    for condition, case in reversed(cases):
        value = tf.where(condition, _to_tensor(case), value)
    return value


def _walk(
    start: int,
    step: Callable[[tf.Tensor, _State], tuple[Any, Any, tf.Tensor, dict[str, tuple[Any, Any]]]],
    names: Sequence[str],
) -> tuple[tf.Tensor, tf.Tensor, _State]:
    """Visit the segments or chunks of a file; return the problem, the last position, and the state.

    `step` maps the position of one and the state to the problem, whether it is the last, the
    position of the next, and changes of the state: name -> (condition, value). The state has
    numbers of the given names, which start at 0.
    """

    def visit(problem: Any, done: Any, count: Any, at: Any, state: _State) -> tuple[Any, ...]:
        problem, done, at, changes = step(at, state)
        changed = {name: tf.where(*change, state[name]) for name, change in changes.items()}
        return problem, done, count + 1, at, changed

    zero = tf.constant(0, tf.int64)
    problem, done, _, at, state = tf.while_loop(
        lambda problem, done, count, *_: (problem == "") & ~done & (count < MAX_PARTS),
        visit,
        (tf.constant(""), tf.constant(False), zero, zero + start, {name: zero for name in names}),
        parallel_iterations=1,
    )
    too_many = f"it has more than {MAX_PARTS} segments or chunks; save it again"
    return _select(((problem == "") & ~done, too_many), otherwise=problem), at, state


def _read_jpeg(file: _File) -> tuple[Any, ...]:
    """Walk the segments up to the first scan."""

    def after_junk(at: tf.Tensor) -> tf.Tensor:
        following = file.bytes_u8[at:]
        is_marker = (following[:-1] == 0xFF) & (following[1:] >= 0xC0) & (following[1:] < 0xFF)
        places = tf.where(is_marker)[:, 0]
        return tf.concat([at + places, [file.size]], axis=0)[0]

    def step(at: tf.Tensor, state: _State) -> tuple[Any, Any, tf.Tensor, dict]:
        is_junk = file.number(at, 1) != 0xFF
        at = tf.cond(is_junk, lambda: after_junk(at), lambda: at)
        marker, length = file.number(at + 1, 1), file.number(at + 2, 2)
        is_fill = file.has(at, b"\xff\xff")
        is_alone = (marker == 0x01) | ((marker >= 0xD0) & (marker <= 0xD8))
        is_segment = ~is_fill & ~is_alone
        problem = _select(
            (at + 2 > file.size, _CUT),
            (is_segment & (marker == 0xD9), _NO_PICTURE),
            (is_segment & (at + 4 > file.size), _CUT),
            otherwise="",
        )
        # C4, C8 and CC are tables.
        is_frame = (marker == 0xC0) | ((marker > 0xC0) & (marker <= 0xCF) & (marker % 4 != 0))
        is_exif = (marker == 0xE1) & file.has(at + 4, b"Exif\0\0") & (state["exif"] == 0)
        is_adobe = (marker == 0xEE) & file.has(at + 4, b"Adobe")
        changes = {
            "frame": (is_frame, at),
            "exif": (is_exif, at + 4),
            "exif_end": (is_exif, at + 2 + length),
            "adobe": (is_adobe, at),
        }
        is_scan = is_segment & (marker == 0xDA)
        # Stays at the scan, whose bytes are searched below.
        size = _select((is_scan, 0), (is_fill, 1), (is_alone, 2), otherwise=2 + length)
        return problem, is_scan, at + size, changes

    problem, at, state = _walk(2, step, ["frame", "exif", "exif_end", "adobe"])
    frame = state["frame"]
    # Within a scan, 0xFF is followed by 0x00 or by a marker.
    scans = file.bytes_u8[at:]
    is_marker, marker = scans[:-1] == 0xFF, scans[1:]
    has_end = tf.reduce_any(is_marker & (marker == 0xD9))
    is_whole, end, tail = tf.cond(
        has_end,
        lambda: (tf.constant(True), file.size, tf.constant("")),
        lambda: _end_jpeg(file, frame, at),
    )
    problem = _select(
        (problem != "", problem),
        (frame == 0, _NO_PICTURE),
        (~is_whole, _CUT),
        (
            tf.math.count_nonzero(is_marker & (marker == 0xDA)) >= MAX_SCANS,
            f"it has more than {MAX_SCANS} scans; save it again",
        ),
        (
            (file.number(frame + 9, 1) == 4) & (state["adobe"] == 0),
            "its CMYK values may mean ink or light without Adobe's marker; save it as RGB",
        ),
        otherwise="",
    )
    size = file.number(frame + 5, 2), file.number(frame + 7, 2)
    return problem, *size, state["exif"], state["exif_end"], 3, end, tail


def _end_jpeg(
    file: _File, frame: tf.Tensor, start: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return whether a JPEG without its end marker may be whole; its `end` and `tail`."""
    zeros = file.size - 1 - tf.reduce_max(tf.where(file.bytes_u8 > 0))
    is_zero_filled = (zeros >= MIN_ZEROS) & (zeros <= file.size // 2)
    last_but_fill = tf.reduce_max(tf.where(file.bytes_u8[:-1] != 0xFF))
    tail = tf.where(is_zero_filled, b"\0" + _END_OF_JPEG, _END_OF_JPEG)
    return is_zero_filled | _has_all_scans(file, frame, start), last_but_fill + 1, tail


def _has_all_scans(file: _File, frame: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Return whether the scans from `start` on bring all coefficients of all components."""
    is_scan = (file.bytes_u8[:-1] == 0xFF) & (file.bytes_u8[1:] == 0xDA)
    scans = tf.where(is_scan)[:, 0]
    scans = tf.boolean_mask(scans, scans >= start)
    count = file.number(scans + 4, 1)
    first, last, shifts = (file.number(scans + 5 + 2 * count + i, 1) for i in range(3))
    components = file.number(frame + 10 + 3 * tf.range(file.number(frame + 9, 1)), 1)
    named = file.number(scans[:, None] + 5 + 2 * tf.range(4, dtype=tf.int64), 1)
    named = tf.where(tf.range(4, dtype=tf.int64) < count[:, None], named, -1)
    covers = tf.reduce_any(named[:, :, None] == components, axis=1) & (shifts % 16 == 0)[:, None]
    for is_part in (first == 0, last == 63):
        found = tf.reduce_any(covers & is_part[:, None], axis=0)
        components = tf.where(found, components, -1)
    return tf.reduce_all(components >= 0)


def _read_png(file: _File) -> tuple[Any, ...]:
    """Walk the chunks; libpng verifies their checksums, and that all pixels are there.

    The end is always written anew: it may be missing, cut or have a wrong checksum.
    """

    def step(at: tf.Tensor, _state: _State) -> tuple[Any, Any, tf.Tensor, dict]:
        end = at + 12 + file.number(at, 4)
        is_exif, is_alpha, is_pixels = (
            file.has(at + 4, kind) for kind in (b"eXIf", b"tRNS", b"IDAT")
        )
        is_cut = end > file.size
        is_sum_cut = is_pixels & is_cut & (end - 4 <= file.size)
        is_end = is_cut | file.has(at + 4, b"IEND")
        problem = _select((is_cut & is_pixels & ~is_sum_cut, _CUT), otherwise="")
        changes = {
            "exif": (is_exif & ~is_cut, at + 8),
            "exif_end": (is_exif & ~is_cut, end - 4),
            "alpha": (is_alpha & ~is_cut, at),
            "unsummed": (is_sum_cut, at),
        }
        following = _select((is_sum_cut, end - 4), (is_end, at), otherwise=end)
        return problem, is_end, following, changes

    problem, end, state = _walk(8, step, ["exif", "exif_end", "alpha", "unsummed"])
    start = state["unsummed"] + 4
    checksum = tf.cond(start > 4, lambda: _crc32(file.bytes_u8[start:end]), lambda: tf.constant(""))
    has_header = (file.number(8, 4) == 13) & file.has(12, b"IHDR")
    no_header = f"it does not begin with an IHDR chunk; {_COPY_AGAIN}"
    color = file.number(25, 1)  # 4 is gray with alpha, 6 is RGBA
    has_alpha = (color == 4) | (color == 6) | (state["alpha"] > 0)
    return (
        _select(((problem == "") & ~has_header, no_header), otherwise=problem),
        file.number(20, 4),
        file.number(16, 4),
        state["exif"],
        state["exif_end"],
        tf.where(has_alpha, 4, 3),
        end,
        tf.strings.join([checksum, _END_OF_PNG]),
    )


def _crc32(values_u8: tf.Tensor) -> tf.Tensor:
    """Return the checksum of (n,) uint8, n >= 4, as a string of 4 bytes.

    Apart from the complements at both ends, the sum is linear: that of two parts is the left sum,
    moved over as many zero bytes as the right part has, XOR the right sum. Each round joins all
    pairs of neighbors.
    """
    byte = np.arange(256, dtype=np.int64)
    moved = byte
    for _ in range(8):
        moved = moved >> 1 ^ np.where(moved & 1, 0xEDB88320, 0)
    # table[i, b] is the sum whose byte i, from the lowest, is b, moved over zeros: here over one.
    table = tf.constant(np.stack([moved, byte, byte << 8, byte << 16]))
    values = tf.cast(values_u8, tf.int64)
    sums = tf.gather(moved, tf.concat([values[:4] ^ 0xFF, values[4:]], axis=0))

    def move(table: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
        parts = [tf.gather(table[i], sums // (1 << 8 * i) & 0xFF) for i in range(4)]
        return parts[0] ^ parts[1] ^ parts[2] ^ parts[3]

    def join(sums: tf.Tensor, table: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pairs = tf.reshape(tf.pad(sums, [[tf.size(sums) % 2, 0]]), (-1, 2))  # zeros add nothing
        return move(table, pairs[:, 0]) ^ pairs[:, 1], move(table, table)

    sums, _ = tf.while_loop(
        lambda sums, _: tf.size(sums) > 1,
        join,
        (sums, table),
        shape_invariants=(tf.TensorShape((None,)), table.shape),
    )
    numbers = (sums[0] ^ 0xFFFFFFFF) // [1 << 24, 1 << 16, 1 << 8, 1] & 0xFF
    return tf.strings.reduce_join(tf.gather([bytes([i]) for i in range(256)], numbers))


def _read_webp(file: _File) -> tuple[Any, ...]:
    """Walk the chunks; the first one tells the size."""
    file_end = 8 + file.number(4, 4, is_little=True)

    def step(at: tf.Tensor, _state: _State) -> tuple[Any, Any, tf.Tensor, dict]:
        length = file.number(at + 4, 4, is_little=True)
        is_exif = file.has(at, b"EXIF")
        end = at + 8 + length
        changes = {"exif": (is_exif, at + 8), "exif_end": (is_exif, end)}
        following = end + length % 2
        return tf.constant(""), following + 8 > file_end, following, changes

    problem, _, state = _walk(12, step, ["exif", "exif_end"])

    def number(start: int, count: int) -> tf.Tensor:
        return file.number(start, count, is_little=True)

    bits = number(21, 4)
    is_extended, is_lossy, is_lossless = (
        file.has(12, kind) for kind in (b"VP8X", b"VP8 ", b"VP8L")
    )
    height = _select(
        (is_extended, 1 + number(27, 3)),
        (is_lossy, number(28, 2) % (1 << 14)),
        (is_lossless, 1 + bits // (1 << 14) % (1 << 14)),
        otherwise=0,
    )
    width = _select(
        (is_extended, 1 + number(24, 3)),
        (is_lossy, number(26, 2) % (1 << 14)),
        (is_lossless, 1 + bits % (1 << 14)),
        otherwise=0,
    )
    # libwebp reads an animation if and only if this bit is set.
    is_animated = is_extended & (number(20, 1) // 2 % 2 == 1)
    problem = _select(
        (file_end > file.size, _CUT),
        (is_animated, "it is animated; send a single picture"),
        (problem != "", problem),
        (~(is_extended | is_lossy | is_lossless), _NO_PICTURE),
        otherwise="",
    )
    # The decoder returns 3 or 4 channels, as the file has.
    return problem, height, width, state["exif"], state["exif_end"], 4, file.size, ""


def _read_orientation(file: _File, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """Return the EXIF orientation in a block of a file; 1 (upright) if there is none."""
    start = start + tf.where(file.has(start, b"Exif\0\0"), tf.constant(6, tf.int64), 0)
    is_little = file.has(start, b"II*\0")

    def number(at: tf.Tensor, count: int) -> tf.Tensor:
        return file.number(at, count, is_little)

    directory = start + number(start + 4, 4)
    # A truncated block may announce more entries than it has.
    entries = directory + 2 + 12 * tf.range(number(directory, 2))
    kind, at = number(entries + 2, 2), entries + 8
    is_byte, is_short, is_long = ((kind == a) | (kind == b) for a, b in ((1, 6), (3, 8), (4, 9)))
    is_valid = (number(entries, 2) == 0x0112) & (is_byte | is_short | is_long)
    is_valid &= (entries + 10 <= end) & (is_little | file.has(start, b"MM\0*"))
    values = tf.where(is_byte, number(at, 1), tf.where(is_short, number(at, 2), number(at, 4)))
    value = tf.concat([tf.boolean_mask(values, is_valid), [1]], axis=0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _find_error(
    data: tf.Tensor, header: _Header, max_pixels: int, max_side: tf.Tensor
) -> tf.Tensor:
    """Return the error of a picture that must not be decoded, or an empty string."""
    kind = tf.gather(_NAMES, header.kind)
    height, width = header.height, header.width
    picture = _text(kind, " picture of ", width, "x", height, " pixels: ")
    start_u8 = tf.io.decode_raw(tf.strings.substr(data, 0, 8), tf.uint8)
    start = tf.strings.reduce_join(tf.gather(_HEX, tf.cast(start_u8, tf.int32)), separator=" ")
    expected = "expected a JPEG, PNG or WebP picture, got "
    # Compares the sides as well, because the product of two 32-bit numbers may overflow.
    is_too_large = (height > max_pixels) | (width > max_pixels) | (height * width > max_pixels)
    return _select(
        (start == "", expected + "an empty file"),
        (header.kind == _UNKNOWN, _text(expected, "a file that begins with ", start)),
        (header.problem != "", _text(kind, " picture: ", header.problem)),
        ((height < 1) | (width < 1), _text(picture, f"expected more than 0; {_COPY_AGAIN}")),
        (is_too_large, _text(picture, f"expected at most {max_pixels}; make it smaller")),
        (
            (height > max_side) | (width > max_side),
            _text(picture, "expected sides of at most ", max_side, "; make it smaller"),
        ),
        otherwise="",
    )


def _text(*parts: Any) -> tf.Tensor:
    """Join strings and integers."""
    tensors = [tf.convert_to_tensor(part) for part in parts]
    return tf.strings.join(
        [x if x.dtype == tf.string else tf.strings.as_string(x) for x in tensors]
    )


def _find_damage(data: tf.Tensor) -> tf.Tensor:
    """Return the error for a picture that cannot be decoded."""
    message = tf.constant(f"broken picture: its pixels cannot be decoded; {_COPY_AGAIN}")
    for kind, start, end in (
        ("JPEG", b"\xff\xd8\xff", _END_OF_JPEG),
        ("PNG", b"\x89PNG", _END_OF_PNG[4:]),
    ):
        is_kind = tf.strings.substr(data, 0, len(start)) == start
        is_cut = is_kind & ~_contains(data, end)
        message = tf.where(is_cut, f"{kind} picture: {_CUT}", message)
    return message


def _contains(data: tf.Tensor, text: bytes) -> tf.Tensor:
    values = tf.io.decode_raw(data, tf.uint8)
    count = tf.maximum(tf.size(values) - len(text) + 1, 0)
    equal = [values[i : count + i] == byte for i, byte in enumerate(text)]
    return tf.reduce_any(tf.reduce_all(tf.stack(equal), axis=0))


def _head(data: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(data, tf.constant(0, tf.int64), count)


def _has_all_pixels(data: tf.Tensor, header: _Header) -> tf.Tensor:
    """Return whether the picture of a JPEG without its end ignores the bytes that follow."""
    data = _head(data, header.end)
    ways = (tf.strings.join([data, tail, _END_OF_JPEG]) for tail in (b"", _OTHER_TAIL))
    first, second = (tf.io.decode_jpeg(way, channels=3) for way in ways)
    return tf.reduce_all(first == second)


def _decode(data: tf.Tensor, header: _Header) -> tf.Tensor:
    """Decode to uint8 (height, width, 3 or 4), upright; fails if the pixels are broken."""
    whole = tf.strings.join([_head(data, header.end), header.tail])

    def decode_jpeg() -> tf.Tensor:
        # The default transform is fast, but off by several levels.
        return tf.io.decode_jpeg(whole, channels=3, dct_method="INTEGER_ACCURATE")

    def decode_png() -> tf.Tensor:
        is_16_bit = tf.strings.substr(data, 24, 1) == b"\x10"
        return tf.cond(is_16_bit, decode_png16, lambda: tf.io.decode_png(whole, channels=4))

    def decode_png16() -> tf.Tensor:
        values = tf.io.decode_png(whole, channels=4, dtype=tf.uint16)
        # round(x / 257); values + 128 would overflow.
        quotient = values // 257
        return tf.cast(quotient, tf.uint8) + tf.cast(values - quotient * 257 > 128, tf.uint8)

    def decode_webp() -> tf.Tensor:
        # Not decode_webp, which needs TensorFlow 2.20; older servers could not load the graph.
        return tf.raw_ops.DecodeImage(contents=data, channels=0, expand_animations=False)

    decoders = [decode_jpeg, decode_png, decode_webp]
    picture_u8 = tf.switch_case(tf.cast(header.kind, tf.int32), decoders)[..., : header.channels]
    orientation = header.orientation
    transposed = tf.transpose(picture_u8, tf.where(orientation >= 5, [1, 0, 2], [0, 1, 2]))
    flips = [
        tf.reduce_any(orientation == [3, 4, 7, 8]),
        tf.reduce_any(orientation == [2, 3, 6, 7]),
        False,
    ]
    return tf.raw_ops.Reverse(tensor=transposed, dims=tf.stack(flips))
