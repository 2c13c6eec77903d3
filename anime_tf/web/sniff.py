"""What an upload is, by its content; names and types that browsers send are not looked at."""

from __future__ import annotations

ANIMATED_WEBP = "webp"

HEAD_BYTES = 4 * 188 + 1
"""How many bytes from the beginning of a file `clip_kind` looks at."""

_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def clip_kind(head: bytes) -> str | None:
    """The kind of a clip.

    Only kinds whose files name no others are known here: FFmpeg opens what a playlist names, be
    it a file of this machine or an address, and would find playlists by itself.

    Args:
        head: The first `HEAD_BYTES` of the file, or all of it.

    Returns:
        FFmpeg's name of the only demuxer to be used; `ANIMATED_WEBP`; None for anything else.
    """
    if head[4:8] in _BOXES:
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
