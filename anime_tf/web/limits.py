"""What the server takes at most, so that no upload can use the machine up."""

from __future__ import annotations

import dataclasses

MEBIBYTE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the server takes at most.

    Attributes:
        picture_bytes: Of a picture's file.
        pixels: Height x width of a picture, read from its header before it is decoded.
        queue: Pictures that are uploaded, waited for and worked on at once; what comes beyond them
            is told to come again.
        queue_bytes: Of all those files together, which lie in memory.
        clip_bytes: Of a clip's file.
        clip_pixels: Height x width of its frames.
        clip_seconds: Its length.
        clips: Clips that are uploaded, waiting, worked on or ready to be fetched at once.
        idle_seconds: For how long an upload may bring nothing.
        unseen_seconds: After how long nobody is waiting for a clip any more that nobody asks for.
            Browsers let pages in the background ask only once a minute.
        kept_seconds: For how long a clip that is done can be fetched.
    """

    picture_bytes: int = 64 * MEBIBYTE
    pixels: int = 100_000_000
    queue: int = 16
    queue_bytes: int = 256 * MEBIBYTE
    clip_bytes: int = 512 * MEBIBYTE
    clip_pixels: int = 4096 * 2304
    clip_seconds: float = 600.0
    clips: int = 4
    idle_seconds: float = 30.0
    unseen_seconds: float = 150.0
    kept_seconds: float = 600.0
