"""Settings of decoding a video."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageColor

from anime_tf.config import Config, setting


@dataclass(frozen=True)
class VideoDecoding(Config):
    """Conversion of decoded frames.

    Attributes:
        deinterlace: auto deinterlaces what the stream or container marks as interlaced, on
            everything, and off nothing.
        hdr: tonemap converts HDR videos (HLG and PQ) to BT.709, and as_is keeps their values and
            tags.
        background: Color for transparent pixels, such as black or #20a0ff. By default they stay
            transparent in outputs that hold alpha, and are white in others.
    """

    deinterlace: str = setting("auto", choices=("auto", "on", "off"))
    hdr: str = setting("tonemap", choices=("tonemap", "as_is"))
    background: str | None = setting(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.background is not None:
            try:
                ImageColor.getrgb(self.background)
            except ValueError:
                raise ValueError(
                    f"background: expected a color such as black or #20a0ff, got {self.background}"
                ) from None

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        """RGB in 0..255."""
        red, green, blue = ImageColor.getrgb(self.background or "white")[:3]
        return red, green, blue


DEFAULT_DECODING = VideoDecoding()
