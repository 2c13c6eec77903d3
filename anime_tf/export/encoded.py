"""Encoded pictures in, encoded pictures out, as a graph: what a server runs on files as they are.

The counterpart of `data.pictures.decode_picture` in TensorFlow's operators, for a SavedModel takes
no Python along. The same rules hold: a picture lies the way a viewer shows it, alpha is handed
through, 16-bit values become round(value / 257). What a file claims about itself is checked before
anything is decoded, and a picture that cannot be read is an error of its own, not of its batch.

GIF and BMP are not taken: TensorFlow decodes all frames of the one at once, however many they are,
and of the other only some kinds, others wrongly. Animated WebP is not either: without alpha, its
decoder writes beyond its own memory (TensorFlow 2.21).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from anime_tf.inference.padded_generator import PaddedGenerator

PICTURE_BYTES = tf.TensorSpec((None,), tf.string, name="picture_bytes")

MAX_BYTES = 1 << 25
"""Of a file: 33.5 MB. More than photos of `MAX_PIXELS` take, also as 16-bit PNG of most of them."""

MAX_PIXELS = 1 << 24
"""Of a picture: 16.8 million, 4096x4096; phones make 12 million.

The network needs the most memory, 650 bytes a pixel in ``animegan_v2_light`` and 2,200 in
``animegan_v2`` (float32, on CPU): 11 and 37 GB at the limit. A server with less memory needs a
lower limit, or the first large picture that anybody sends ends it.
"""

MAX_JPEG_SIDE = 65500
"""Height and width that JPEG libraries write."""

MAX_PARTS = 1 << 14
"""Segments or chunks of a file that are looked at, 20 to 50 microseconds each.

A PNG of `MAX_BYTES` in the usual parts of 8 KB has a quarter of them. A file made of nothing but
empty parts would take minutes.
"""

MAX_SCANS = 100
"""Of a progressive JPEG. Encoders write about ten; each costs a pass over all pixels."""

JPEG_QUALITY = 95
"""The same as of `data.pictures.encode_picture`."""

PNG_COMPRESSION = 1
"""zlib's level. 6, the default, takes five times as long for files that are 4% smaller."""

_UNDECODABLE = "broken picture: its pixels cannot be decoded; copy or download it anew"


@dataclass(frozen=True)
class Limits:
    """What a picture may be at most.

    Attributes:
        max_bytes: Of its file.
        max_pixels: Height times width.
    """

    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True)
class Encoding:
    """A kind of file that pictures come out as.

    Attributes:
        encode: Graph of a uint8 picture (height, width, 3 or 4), RGB or RGBA -> its file's bytes.
        max_side: Pixels of a side that such a file can have.
    """

    encode: Callable[[tf.Tensor], tf.Tensor]
    max_side: int


ENCODINGS: dict[str, Encoding] = {
    # Its sides are 31-bit numbers.
    "png": Encoding(lambda x: tf.io.encode_png(x, compression=PNG_COMPRESSION), (1 << 31) - 1),
    # Without chroma subsampling, as `data.pictures.encode_picture` writes it, and without alpha.
    "jpeg": Encoding(
        lambda x: tf.io.encode_jpeg(
            x[..., :3], "rgb", quality=JPEG_QUALITY, chroma_downsampling=False
        ),
        MAX_JPEG_SIDE,
    ),
}
"""Name -> how pictures are written."""


class EncodedPictures:
    """Stylises files; each method of an encoding is a graph of its own, their readers are one.

    Takes JPEG (gray, colour, CMYK as Adobe writes it), PNG (all kinds, up to 16 bits) and WebP
    (without animation). EXIF orientation is applied, alpha is handed through to PNG. The pictures
    of a batch may differ in size and kind; they pass the network one after the other.

    Args:
        network: What stylises; it stands in the graphs once.
        limits: What is refused; `Limits()` where it is left out.
    """

    def __init__(self, network: PaddedGenerator, limits: Limits | None = None) -> None:
        self._network = network
        self._limits = limits or Limits()
        signature = [tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int64)]
        self._read = tf.function(self._read_file, input_signature=signature, autograph=False)

    def function(self, encoding: str = "png") -> Any:
        """Makes the function for a kind of output.

        Args:
            encoding: A key of `ENCODINGS`.

        Returns:
            A tf.function of ``picture_bytes``, (n,) strings, the contents of files. It returns
            ``{"anime_bytes": ..., "error": ...}``, (n,) strings: a file, and an empty string; or
            for a picture that could not be read no bytes, and what was wrong with it in a line.

        Raises:
            ValueError: No such encoding.
        """
        if encoding not in ENCODINGS:
            raise ValueError(
                f"encoding must be one of {', '.join(ENCODINGS)}, received {encoding!r}"
            )
        kind = ENCODINGS[encoding]

        def stylise(picture_u8: tf.Tensor) -> tf.Tensor:
            photo_u8 = tf.ensure_shape(picture_u8[..., :3], (None, None, 3))
            anime_u8 = self._network.u8(photo_u8[None])["anime_u8"][0]
            return kind.encode(tf.concat([anime_u8, picture_u8[..., 3:]], axis=-1))

        def one(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            picture_u8, error = self._read(data, tf.constant(kind.max_side, tf.int64))
            anime = tf.cond(error == "", lambda: stylise(picture_u8), lambda: tf.constant(""))
            return anime, error

        def encoded(picture_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            # One after the other: each of them takes all cores, and many at once all memory.
            anime_bytes, error = tf.map_fn(
                one,
                picture_bytes,
                fn_output_signature=(tf.string, tf.string),
                parallel_iterations=1,
            )
            return {"anime_bytes": anime_bytes, "error": error}

        return tf.function(encoded, input_signature=[PICTURE_BYTES], autograph=False)

    def _read_file(self, data: tf.Tensor, max_side: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads a file: a uint8 picture (height, width, 3 or 4), and an error; one is empty."""
        limits, nothing = self._limits, tf.zeros((0, 0, 3), tf.uint8)

        def read(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            size = tf.strings.length(data)
            too_large = _text(
                "a file of ",
                size,
                f" bytes, more than the {limits.max_bytes} that are taken; make "
                "the picture smaller first",
            )
            return tf.cond(
                size > limits.max_bytes, lambda: (nothing, too_large), lambda: read_small(data)
            )

        def read_small(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            header = _header(data)
            error = _checked(header, limits.max_pixels, max_side)
            picture_u8 = tf.cond(error == "", lambda: _decoded(data, header), lambda: nothing)
            return picture_u8, error

        # Graphs know no exceptions, but a data set can leave out what fails: the decoders may. It
        # also keeps the many small steps of reading a header off a GPU, wherever the graph runs.
        wanted = tf.data.Dataset.from_tensors(data).map(read).ignore_errors()
        otherwise = tf.data.Dataset.from_tensors((nothing, tf.constant(_UNDECODABLE)))
        return wanted.concatenate(otherwise).take(1).get_single_element()


# --- what a file says of itself ---------------------------------------------------------------

_JPEG, _PNG, _PNG16, _WEBP, _UNKNOWN = range(5)
_NAMES = ("JPEG", "PNG", "PNG", "WebP", "")

_PROBLEMS = (
    "",
    "",
    "it is cut off; copy or download it anew",
    "there is no marker where one must be; copy or download it anew",
    "it does not begin with an IHDR chunk; copy or download it anew",
    "no picture is in it; copy or download it anew",
    f"it has more than {MAX_PARTS} segments or chunks; save it anew",
    f"it has more than {MAX_SCANS} scans; save it anew",
    "its CMYK values may mean ink or light, for Adobe's marker is missing; save it as RGB",
    "it is animated; send one picture of it",
)
_WALKING, _WHOLE, _CUT, _NO_MARKER, _NO_IHDR, _NO_PICTURE, _PARTS, _SCANS, _CMYK, _ANIMATED = range(
    len(_PROBLEMS)
)

_HEX = [f"{byte:02x}" for byte in range(256)]

_State = dict[str, tf.Tensor]


class _Header(NamedTuple):
    """What is known of a picture before it is decoded; all but `start_u8` are scalars, int64.

    Attributes:
        kind: One of `_JPEG` to `_UNKNOWN`, int32.
        start_u8: The first bytes.
        problem: Index into `_PROBLEMS`.
        height: Pixels, before orientation; likewise `width`.
        width: Pixels.
        orientation: EXIF orientation, 1 to 8.
        channels: At most so many of the decoded ones are the picture's: 3 or 4.
    """

    kind: tf.Tensor
    start_u8: tf.Tensor
    problem: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor
    orientation: tf.Tensor
    channels: tf.Tensor


class _File:
    """Bytes and numbers of a file; past its end there are zeros.

    Attributes:
        size: Bytes, int64.
        bytes_u8: All of them, and a zero.
    """

    def __init__(self, data: tf.Tensor) -> None:
        self.bytes_u8 = tf.io.decode_raw(tf.strings.join([data, b"\0"]), tf.uint8)
        self.size = tf.size(self.bytes_u8, tf.int64) - 1

    def number(self, start: Any, count: int, order: str = "big") -> tf.Tensor:
        """Unsigned numbers of `count` bytes that begin at `start`, of any shape; int64."""
        weights = [1 << 8 * i for i in range(count)]
        places = tf.convert_to_tensor(start, tf.int64)[..., None] + tf.range(count, dtype=tf.int64)
        values = tf.gather(self.bytes_u8, tf.clip_by_value(places, 0, self.size))
        weights = weights[::-1] if order == "big" else weights
        return tf.reduce_sum(tf.cast(values, tf.int64) * tf.constant(weights, tf.int64), axis=-1)

    def has(self, start: Any, text: bytes) -> tf.Tensor:
        """Whether `text`, 7 bytes at most, stands at `start`."""
        return self.number(start, len(text)) == int.from_bytes(text, "big")


def _header(data: tf.Tensor) -> _Header:
    file = _File(data)
    png = tf.where(file.number(24, 1) == 16, _PNG16, _PNG)  # bits of a value
    kind = _first(
        (file.has(0, b"\xff\xd8\xff"), _JPEG),
        (file.has(0, b"\x89PNG") & file.has(4, b"\r\n\x1a\n"), png),
        (file.has(0, b"RIFF") & file.has(8, b"WEBP"), _WEBP),
        otherwise=_UNKNOWN,
    )
    kind = tf.cast(kind, tf.int32)
    found = tf.switch_case(
        kind,
        {
            _JPEG: lambda: _jpeg(file),
            _PNG: lambda: _png(file),
            _PNG16: lambda: _png(file),
            _WEBP: lambda: _webp(file),
            _UNKNOWN: lambda: _found(_WHOLE, 0, 0, 1, 3),
        },
    )
    return _Header(kind, file.bytes_u8[: tf.minimum(file.size, 8)], *found)


def _found(problem: Any, height: Any, width: Any, orientation: Any, channels: Any) -> list:
    """The part of a `_Header` that depends on the format."""
    return [tf.cast(x, tf.int64) for x in (problem, height, width, orientation, channels)]


def _first(*cases: tuple[tf.Tensor, Any], otherwise: Any) -> tf.Tensor:
    """The value of the first case that is true; numbers as int64, or strings."""

    def tensor(value: Any) -> tf.Tensor:
        value = tf.convert_to_tensor(value)
        return value if value.dtype == tf.string else tf.cast(value, tf.int64)

    value = tensor(otherwise)
    for condition, here in reversed(cases):
        value = tf.where(condition, tensor(here), value)
    return value


def _walk(
    start: int,
    step: Callable[[tf.Tensor, _State], tuple[tf.Tensor, tf.Tensor, _State]],
    names: Sequence[str],
) -> tuple[tf.Tensor, tf.Tensor, _State]:
    """Goes through the parts of a file.

    Args:
        start: Where its first part begins.
        step: Of where a part begins and what was found before it: `_WALKING`, or how it ends here;
            where the next part begins; and what was found with it.
        names: Of what is looked for; 0 where it was not found.

    Returns:
        How it ended, where, and what was found.
    """

    def goes_on(problem: tf.Tensor, parts: tf.Tensor, at: tf.Tensor, found: _State) -> tf.Tensor:
        return (problem == _WALKING) & (parts < MAX_PARTS)

    def go(problem: tf.Tensor, parts: tf.Tensor, at: tf.Tensor, found: _State) -> tuple:
        problem, at, found = step(at, found)
        return problem, parts + 1, at, found

    zero = tf.constant(0, tf.int64)
    begin = (zero + _WALKING, zero, zero + start, {name: zero for name in names})
    problem, _, at, found = tf.while_loop(goes_on, go, begin, parallel_iterations=1)
    return _first((problem == _WALKING, _PARTS), otherwise=problem), at, found


def _jpeg(file: _File) -> list:
    """Walks the segments of a JPEG up to its first scan."""

    def step(at: tf.Tensor, found: _State) -> tuple[tf.Tensor, tf.Tensor, _State]:
        marker, length = file.number(at + 1, 1), file.number(at + 2, 2)
        fill = file.has(at, b"\xff\xff")
        alone = (marker == 0x01) | ((marker >= 0xD0) & (marker <= 0xD8))
        problem = _first(
            (at + 2 > file.size, _CUT),
            (file.number(at, 1) != 0xFF, _NO_MARKER),
            (fill | alone, _WALKING),
            (marker == 0xD9, _NO_PICTURE),
            (at + 4 > file.size, _CUT),
            (marker == 0xDA, _WHOLE),
            otherwise=_WALKING,
        )
        # C4, C8 and CC are tables and the like.
        frame = (marker == 0xC0) | ((marker > 0xC0) & (marker <= 0xCF) & (marker % 4 != 0))
        exif = (marker == 0xE1) & file.has(at + 4, b"Exif\0\0") & (found["exif"] == 0)
        found = {
            "frame": tf.where(frame, at, found["frame"]),
            "exif": tf.where(exif, at + 4, found["exif"]),
            "exif_end": tf.where(exif, at + 2 + length, found["exif_end"]),
            "adobe": tf.where((marker == 0xEE) & file.has(at + 4, b"Adobe"), at, found["adobe"]),
        }
        return problem, at + _first((fill, 1), (alone, 2), otherwise=2 + length), found

    problem, at, found = _walk(2, step, ["frame", "exif", "exif_end", "adobe"])
    frame = found["frame"]
    # Within a scan, 0xFF is followed by 0x00 or by a marker.
    scans = file.bytes_u8[at:]
    marked, marker = scans[:-1] == 0xFF, scans[1:]
    problem = _first(
        (problem != _WHOLE, problem),
        (frame == 0, _NO_PICTURE),
        (~tf.reduce_any(marked & (marker == 0xD9)), _CUT),
        (tf.math.count_nonzero(marked & (marker == 0xDA)) >= MAX_SCANS, _SCANS),
        ((file.number(frame + 9, 1) == 4) & (found["adobe"] == 0), _CMYK),
        otherwise=_WHOLE,
    )
    orientation = _orientation(file, found["exif"], found["exif_end"])
    return _found(problem, file.number(frame + 5, 2), file.number(frame + 7, 2), orientation, 3)


def _png(file: _File) -> list:
    """Walks the chunks of a PNG; their checksums are libpng's to check."""

    def step(at: tf.Tensor, found: _State) -> tuple[tf.Tensor, tf.Tensor, _State]:
        kind, end = at + 4, at + 12 + file.number(at, 4)
        exif = file.has(kind, b"eXIf")
        found = {
            "exif": tf.where(exif, at + 8, found["exif"]),
            "exif_end": tf.where(exif, end - 4, found["exif_end"]),
            "clear": tf.where(file.has(kind, b"tRNS"), at, found["clear"]),
        }
        problem = _first(
            (end > file.size, _CUT), (file.has(kind, b"IEND"), _WHOLE), otherwise=_WALKING
        )
        return problem, end, found

    problem, _, found = _walk(8, step, ["exif", "exif_end", "clear"])
    is_whole = (file.number(8, 4) == 13) & file.has(12, b"IHDR")
    colour = file.number(25, 1)  # 4 is gray with alpha, 6 is RGBA
    has_alpha = (colour == 4) | (colour == 6) | (found["clear"] > 0)
    return _found(
        _first((problem == _WHOLE, tf.where(is_whole, _WHOLE, _NO_IHDR)), otherwise=problem),
        file.number(20, 4),
        file.number(16, 4),
        _orientation(file, found["exif"], found["exif_end"]),
        tf.where(has_alpha, 4, 3),
    )


def _webp(file: _File) -> list:
    """Walks the chunks of a WebP file."""
    end_of_file = 8 + file.number(4, 4, "little")

    def step(at: tf.Tensor, found: _State) -> tuple[tf.Tensor, tf.Tensor, _State]:
        body, length = at + 8, file.number(at + 4, 4, "little")

        def size(start: int, count: int) -> tf.Tensor:
            return file.number(body + start, count, "little")

        # Where height and width stand, and in how many bits, is different in each kind of chunk.
        bits = size(1, 4)
        kinds = (
            (b"VP8X", 1 + size(7, 3), 1 + size(4, 3)),
            (b"VP8 ", size(8, 2) % (1 << 14), size(6, 2) % (1 << 14)),
            (b"VP8L", 1 + bits // (1 << 14) % (1 << 14), 1 + bits % (1 << 14)),
        )
        new = [(found["height"] == 0) & file.has(at, kind) for kind, _, _ in kinds]
        heights = [(is_new, height) for is_new, (_, height, _) in zip(new, kinds, strict=True)]
        widths = [(is_new, width) for is_new, (_, _, width) in zip(new, kinds, strict=True)]
        exif = file.has(at, b"EXIF")
        found = {
            "height": _first(*heights, otherwise=found["height"]),
            "width": _first(*widths, otherwise=found["width"]),
            "exif": tf.where(exif, body, found["exif"]),
            "exif_end": tf.where(exif, body + length, found["exif_end"]),
        }
        following = body + length + length % 2
        problem = _first((following + 8 > end_of_file, _WHOLE), otherwise=_WALKING)
        return problem, following, found

    problem, _, found = _walk(12, step, ["height", "width", "exif", "exif_end"])
    # libwebp reads an animation where this bit is set, and nowhere else.
    animated = file.has(12, b"VP8X") & (file.number(20, 1) // 2 % 2 == 1)
    problem = _first(
        (end_of_file > file.size, _CUT),
        (animated, _ANIMATED),
        (problem != _WHOLE, problem),
        (found["height"] == 0, _NO_PICTURE),
        otherwise=_WHOLE,
    )
    orientation = _orientation(file, found["exif"], found["exif_end"])
    # The decoder gives 3 or 4 channels, as there are.
    return _found(problem, found["height"], found["width"], orientation, 4)


def _orientation(file: _File, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """EXIF orientation in the block from `start` to `end`; 1, upright, where none is told."""
    start = start + tf.where(file.has(start, b"Exif\0\0"), tf.constant(6, tf.int64), 0)
    is_little = file.has(start, b"II*\0")

    def number(at: tf.Tensor, count: int) -> tf.Tensor:
        return tf.where(is_little, file.number(at, count, "little"), file.number(at, count))

    directory = start + number(start + 4, 4)
    # A block that is cut off may claim more entries than it has.
    entries = directory + 2 + 12 * tf.range(number(directory, 2))
    told = (number(entries, 2) == 0x0112) & (number(entries + 2, 2) == 3) & (entries + 10 <= end)
    told &= is_little | file.has(start, b"MM\0*")
    value = tf.concat([tf.boolean_mask(number(entries + 8, 2), told), [1]], axis=0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _checked(header: _Header, max_pixels: int, max_side: tf.Tensor) -> tf.Tensor:
    """What is wrong with a picture before it is decoded; an empty string where nothing is."""
    kind = tf.gather(_NAMES, header.kind)
    height, width = header.height, header.width
    size = _text(kind, " picture of ", width, "x", height, " pixels")
    start = tf.strings.reduce_join(
        tf.gather(_HEX, tf.cast(header.start_u8, tf.int32)), -1, separator=" "
    )
    expected = "expected a JPEG, PNG or WebP picture, found "
    # Each side by itself as well: the product of two 32-bit numbers is too large for 64 bits.
    too_many = (height > max_pixels) | (width > max_pixels) | (height * width > max_pixels)
    return _first(
        (start == "", expected + "an empty file"),
        (header.kind == _UNKNOWN, _text(expected, "a file that begins with ", start)),
        (header.problem != _WHOLE, _text(kind, " picture: ", tf.gather(_PROBLEMS, header.problem))),
        ((height < 1) | (width < 1), _text(size, ": it is empty; copy or download it anew")),
        (
            too_many,
            _text(size, f", more than the {max_pixels} that are taken; make it smaller first"),
        ),
        (
            (height > max_side) | (width > max_side),
            _text(
                size, ", but what is written can have ", max_side, " a side; make it smaller first"
            ),
        ),
        otherwise="",
    )


def _text(*parts: Any) -> tf.Tensor:
    """Joins strings and integers."""
    tensors = [tf.convert_to_tensor(part) for part in parts]
    return tf.strings.join(
        [x if x.dtype == tf.string else tf.strings.as_string(x) for x in tensors]
    )


# --- decoding ---------------------------------------------------------------------------------


def _decoded(data: tf.Tensor, header: _Header) -> tf.Tensor:
    """Decodes a checked file: uint8 (height, width, 3 or 4), upright; fails where it cannot."""

    def jpeg() -> tf.Tensor:
        # TensorFlow's default is the fast transform, which is off by several levels.
        return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")

    def png16() -> tf.Tensor:
        values = tf.io.decode_png(data, channels=4, dtype=tf.uint16)
        # round(x / 257), with the remainder apart, for the sum would not fit 16 bits.
        quotient = values // 257
        return tf.cast(quotient, tf.uint8) + tf.cast(values - quotient * 257 > 128, tf.uint8)

    def webp() -> tf.Tensor:
        # The decoder of everything, for that of WebP alone came with TensorFlow 2.20, and older
        # servers would not load the graph at all. No channels asked for: 3 or 4 as there are.
        return tf.raw_ops.DecodeImage(contents=data, channels=0, expand_animations=False)

    picture_u8 = tf.switch_case(
        header.kind,
        {
            _JPEG: jpeg,
            _PNG: lambda: tf.io.decode_png(data, channels=4),
            _PNG16: png16,
            _WEBP: webp,
        },
    )
    picture_u8 = picture_u8[..., : header.channels]
    # As `data.pictures` turns and mirrors it.
    orientation = header.orientation
    turned = tf.transpose(picture_u8, tf.where(orientation >= 5, [1, 0, 2], [0, 1, 2]))
    mirrored = [
        tf.reduce_any(orientation == [3, 4, 7, 8]),
        tf.reduce_any(orientation == [2, 3, 6, 7]),
        False,
    ]
    return tf.raw_ops.Reverse(tensor=turned, dims=tf.stack(mirrored))
