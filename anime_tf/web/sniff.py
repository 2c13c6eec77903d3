"""Detection of video formats by content; names and MIME types from browsers are ignored."""

from __future__ import annotations

ANIMATED_WEBP = "webp"

HEAD_BYTES = 4 * 188 + 1  # number of bytes that `sniff_clip` needs

_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def sniff_clip(head: bytes) -> str | None:
    """Return FFmpeg's demuxer for a video, `ANIMATED_WEBP`, or None for anything else.

    Formats that refer to other files, such as playlists, are excluded: FFmpeg would open the local
    files and addresses that they name.

    Args:
        head: First `HEAD_BYTES` of the file, or the whole file.
    """
    if head[4:8] in _MOV_BOXES:
        return "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and head[20] & 0x02:
        return ANIMATED_WEBP
    if len(head) >= HEAD_BYTES and all(head[at] == 0x47 for at in range(0, HEAD_BYTES, 188)):
        return "mpegts"
    return None
