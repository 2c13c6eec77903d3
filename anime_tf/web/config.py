"""Settings of the web server."""

from __future__ import annotations

from dataclasses import dataclass

from anime_tf.config import Config, setting

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits that protect the machine from uploads.

    Attributes:
        picture_bytes: Size of a picture's file.
        pixels: Height x width of a picture, checked before it is decoded.
        queue: Pictures that are uploaded, wait or are stylized at once.
        queue_bytes: Size of all those files together, which are kept in memory.
        clip_bytes: Size of a clip's file.
        clip_pixels: Height x width of its frames.
        clip_seconds: Duration of a clip.
        clip_frames: Number of its frames.
        clips: Clips that are uploaded, wait, are stylized or can be downloaded at once.
        idle_seconds: Longest pause of an upload.
        unseen_seconds: Time without a request for a clip after which it is stopped. Browsers let
            background pages poll only once a minute.
        kept_seconds: Time for which a finished clip can be downloaded.
    """

    picture_bytes: int = 64 * MEBIBYTE
    pixels: int = 100_000_000
    queue: int = 16
    queue_bytes: int = 256 * MEBIBYTE
    clip_bytes: int = 512 * MEBIBYTE
    clip_pixels: int = 4096 * 2304
    clip_seconds: float = 600.0
    clip_frames: int = 72_000
    clips: int = 4
    idle_seconds: float = 30.0
    unseen_seconds: float = 150.0
    kept_seconds: float = 600.0


_LIMITS = Limits()


@dataclass(frozen=True)
class WebConfig(Config):
    """Settings of the verb ``web`` besides those of `StylizerConfig`.

    Attributes:
        weights: Weights to offer besides the built-in styles, as names or paths; the first one is
            the default. May be given several times.
        host: Address to listen at. The default serves this machine alone; 0.0.0.0 serves everyone
            who can reach it, without a password.
        port: Port to listen at; 0 for a free one.
        page: Folder of the built page; by default the one in the package, or deploy/web/dist.
        threads: Pictures that are decoded and encoded at once; the network runs one at a time.
        queue: Pictures that are uploaded, wait or are stylized at once; others are rejected with a
            time to retry.
        clips: The same for clips.
        max_megabytes: Largest file of a picture in MiB.
        max_megapixels: Largest picture in megapixels.
        max_clip_megabytes: Largest file of a clip in MiB.
        max_clip_seconds: Longest clip in seconds.
    """

    weights: tuple[str, ...] = setting((), repeated=True)
    host: str = setting("127.0.0.1")
    port: int = setting(8000, minimum=0, maximum=65535)
    page: str | None = setting(None)
    threads: int = setting(2, minimum=1, maximum=64)
    queue: int = setting(_LIMITS.queue, minimum=1, maximum=10_000)
    clips: int = setting(_LIMITS.clips, minimum=1, maximum=1000)
    max_megabytes: float = setting(_LIMITS.picture_bytes / MEBIBYTE, minimum=0.001)
    max_megapixels: float = setting(_LIMITS.pixels / 1e6, minimum=0.001)
    max_clip_megabytes: float = setting(_LIMITS.clip_bytes / MEBIBYTE, minimum=0.001)
    max_clip_seconds: float = setting(_LIMITS.clip_seconds, minimum=0.001)

    @property
    def limits(self) -> Limits:
        """The limits in bytes and pixels."""
        picture_bytes = round(self.max_megabytes * MEBIBYTE)
        return Limits(
            picture_bytes=picture_bytes,
            pixels=round(self.max_megapixels * 1e6),
            queue=self.queue,
            queue_bytes=max(_LIMITS.queue_bytes, picture_bytes),
            clip_bytes=round(self.max_clip_megabytes * MEBIBYTE),
            clip_seconds=self.max_clip_seconds,
            clips=self.clips,
        )
