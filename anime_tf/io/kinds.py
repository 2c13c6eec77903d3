"""Kinds of files by suffix and content: pictures that are read, other pictures, and videos."""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".webp", ".tif"),
    *(".tiff", ".gif", ".heic", ".heif", ".hif", ".avif"),
)
VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogm", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)


def _suffixes(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


_RAW_SUFFIXES = _suffixes(
    "3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf pef raf raw rw2 "
    "rwl sr2 srf srw x3f"
)
_OTHER_PICTURE_SUFFIXES = {
    ".ai": "Illustrator", ".bpg": "BPG", ".clip": "Clip Studio", ".cur": "icon", ".dcm": "DICOM",
    ".dds": "DDS", ".djvu": "DjVu", ".dpx": "DPX", ".emf": "EMF", ".eps": "EPS",
    ".exr": "OpenEXR", ".fits": "FITS", ".flif": "FLIF", ".hdr": "Radiance HDR", ".icns": "icon",
    ".ico": "icon", ".j2c": "JPEG 2000", ".j2k": "JPEG 2000", ".jp2": "JPEG 2000",
    ".jpf": "JPEG 2000", ".jpx": "JPEG 2000", ".jps": "stereo JPEG", ".jxl": "JPEG XL",
    ".jxr": "JPEG XR", ".kra": "Krita", ".ora": "OpenRaster", ".pbm": "netpbm", ".pcx": "PCX",
    ".pgm": "netpbm", ".pnm": "netpbm", ".pam": "netpbm", ".pct": "PICT", ".pict": "PICT",
    ".ppm": "netpbm", ".psb": "Photoshop", ".psd": "Photoshop", ".qoi": "QOI", ".sai": "SAI",
    ".svg": "SVG", ".svgz": "SVG", ".tga": "Targa", ".wbmp": "WBMP", ".wdp": "JPEG XR",
    ".wmf": "WMF", ".xbm": "XBM", ".xcf": "GIMP", ".xpm": "XPM",
}  # fmt: skip
_OTHER_VIDEO_SUFFIXES = _suffixes(
    "3g2 amv av1 divx dv f4v h264 h265 hevc insv ivf m1v m2v mj2 mjpeg mjpg mod mpe mxf ogx qt rm "
    "rmvb tod y4m"
)

_HEIF_BRANDS = rb"(?:heic|heix|heim|heis|hevc|hevx|hevm|hevs|mif1|mif2|msf1|miaf|MiHE)"
# first bytes of the formats that `containers` parses; the first match counts
READABLE = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP"),
    (re.compile(rb"BM.{4}\0{4}|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), "BMP"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"....ftyp(?:avi[fs]|m(?:if1|sf1|iaf).{4}(?:....)*?avi[fs])", re.DOTALL), "AVIF"),
    (re.compile(rb"....ftyp" + _HEIF_BRANDS, re.DOTALL), "HEIF"),
    (re.compile(rb"II[*+]\0(?!.{4}CR)|MM\0[*+]", re.DOTALL), "TIFF"),
)  # fmt: skip
_OTHER_PICTURES = (
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"8BPS"), "Photoshop"),
    (re.compile(rb"II\xbc"), "JPEG XR"),
    (
        re.compile(
            rb"II\*\0.{4}CR|....ftypcrx |FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0|\0MRM|FOVb|HEAPCCDR",
            re.DOTALL,
        ),
        "raw",
    ),
    (re.compile(rb"v/1\x01"), "OpenEXR"),
    (re.compile(rb"#\?(RADIANCE|RGBE)"), "Radiance HDR"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml.{0,400}?|<!--.{0,400}?)?<svg", re.DOTALL), "SVG"),
    (re.compile(rb"P[1-7]\s+(?:#|\d|WIDTH)"), "netpbm"),
    (re.compile(rb"DDS \x7c"), "DDS"),
    (re.compile(rb"qoif"), "QOI"),
    (re.compile(rb"gimp xcf"), "GIMP"),
    (re.compile(rb"AT&TFORM....DJV", re.DOTALL), "DjVu"),
    (re.compile(rb"%!PS-Adobe-\d\.\d EPSF|\xc5\xd0\xd3\xc6"), "EPS"),
    (re.compile(rb"FLIF"), "FLIF"),
    (re.compile(rb"BPG\xfb"), "BPG"),
    (re.compile(rb"SDPX|XPDS"), "DPX"),
    (re.compile(rb"SIMPLE  ="), "FITS"),
    (re.compile(rb".{128}DICM", re.DOTALL), "DICOM"),
    (re.compile(rb"\0\0[\1\2]\0[\1-\x40]\0[\0-\xff]{3}\0", re.DOTALL), "icon"),
    (re.compile(rb"icns"), "icon"),
)
_VIDEOS = re.compile(
    rb"....(?:ftyp(?!M4[ABP] )|moov|mdat|wide|pnot)|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01"
    rb"|\x30\x26\xb2\x75\x8e\x66|\x00\x00\x01[\xba\xb3]|\.RMF|\x06\x0e\x2b\x34\x02\x05|OggS.{25}.(?:theora|video)"
    rb"|YUV4MPEG2|DKIF|(?:.{4})?\x47.{187}(?:.{4})?\x47.{187}(?:.{4})?\x47",
    re.DOTALL,
)
EMPTY, TEXT = "an empty file", "a text file"
HEAD_BYTES = 1024  # that the patterns need
_A_VIDEO = "a video; stylize it with: anime-tf video"


def readable_format(head: bytes) -> str | None:
    """Return the name of the picture format that is read of a file's first bytes, or None."""
    return _first_match(READABLE, head)


def is_picture_or_video(head: bytes) -> bool:
    """Tell whether a file's first bytes are those of any known format, also of one not read."""
    picture = _first_match((*READABLE, *_OTHER_PICTURES), head)
    return picture is not None or _VIDEOS.match(head) is not None


def _first_match(formats: tuple[tuple[re.Pattern[bytes], str], ...], head: bytes) -> str | None:
    return next((name for magic, name in formats if magic.match(head)), None)


def describe(head: bytes) -> str:
    """Describe a file that is not read as a picture by its first bytes."""
    other = _first_match(_OTHER_PICTURES, head)
    if other:
        return f"{_article(other)} picture, which is not supported; convert it to PNG first"
    if _VIDEOS.match(head):
        return _A_VIDEO
    return describe_unknown(head)


def describe_unknown(head: bytes) -> str:
    """Describe a file of no known format by its first bytes."""
    if not head:
        return EMPTY
    return TEXT if _is_text(head) else f"a file that begins with {head[:8].hex(' ')}"


def _is_text(head: bytes) -> bool:
    """Tell whether a file's first bytes are printable text in UTF-8, the last letter maybe cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)


def _article(name: str) -> str:
    return (
        f"an {name}" if name[0] in "AEIO" or name.startswith(("SVG", "XC", "XB")) else f"a {name}"
    )


def classify(path: Path) -> tuple[str, str]:
    """Tell the kind of a file in a folder of pictures, by its suffix or else its content.

    Returns:
        ("picture", ""); ("unreadable", reason) for other pictures and files that cannot be opened;
        ("video", reason); or ("other", "").
    """
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:  # its reader tells if it is none, or a pipe
        return "picture", ""
    # .ts and .mts are TypeScript, too.
    is_named_video = suffix in _OTHER_VIDEO_SUFFIXES or (
        suffix in VIDEO_SUFFIXES and suffix not in (".ts", ".mts")
    )
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ("video", _A_VIDEO) if is_named_video else ("other", "")
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        if is_named_video:
            return "video", _A_VIDEO
        return "unreadable", (error.strerror or str(error)).lower()
    found = readable_format(head)
    if suffix in _RAW_SUFFIXES and found in (None, "TIFF"):
        return "unreadable", "a raw photo, which is not supported; develop it to JPEG or TIFF first"
    if found is not None:
        return "picture", ""
    if is_named_video:
        return "video", _A_VIDEO
    if _first_match(_OTHER_PICTURES, head) is not None:  # first: CR3 looks like MP4
        return "unreadable", describe(head)
    if _VIDEOS.match(head):
        return "video", _A_VIDEO
    if suffix in _OTHER_PICTURE_SUFFIXES:
        name = _OTHER_PICTURE_SUFFIXES[suffix]
        return "unreadable", f"{_article(name)} picture, which is not supported; convert it to PNG"
    return "other", ""
