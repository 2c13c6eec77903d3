"""Settings of stylizing a video."""

from __future__ import annotations

from dataclasses import dataclass

from anime_tf.config import Config, setting
from anime_tf.inference.config import check_pitch


@dataclass(frozen=True)
class StabilizerConfig(Config):
    """Settings against flicker.

    Attributes:
        stabilize: Method. statistics averages the network's norm statistics over the frames of a
            shot, blend mixes each frame with the warped previous one, both does both, and off
            stylizes each frame on its own.
        statistics_seconds: Half-life of the averaged statistics. Longer is steadier and slower to
            follow a change of light.
        measure_seconds: Longest time between measurements of the statistics; they are also measured
            at cuts and when colors change. The frames between run faster. 0 measures every frame.
        blend_seconds: Half-life of the blend. Longer is steadier and softer.
    """

    stabilize: str = setting("both", choices=("off", "statistics", "blend", "both"))
    statistics_seconds: float = setting(0.2, minimum=0)
    measure_seconds: float = setting(1.0, minimum=0)
    blend_seconds: float = setting(0.065, minimum=0)

    @property
    def uses_statistics(self) -> bool:
        """Whether norm statistics are averaged."""
        return self.stabilize in ("statistics", "both") and self.statistics_seconds > 0

    @property
    def uses_blend(self) -> bool:
        """Whether frames are blended."""
        return self.stabilize in ("blend", "both") and self.blend_seconds > 0


@dataclass(frozen=True)
class VideoConfig(Config):
    """Settings of the verb ``video``.

    Attributes:
        input: A video or animation in any format that FFmpeg reads, or an animated WebP; a folder
            of numbered pictures or their pattern, frames/%04d.png; or the number of a camera, 0 for
            the first.
        output: A video in .mp4, .mkv, .mov or .webm; an animation in .gif or .webp; or numbered
            pictures, as a folder that ends in / or a pattern, out/%05d.png.
        resume: Continue an interrupted output, NAME.partial.mp4; start anew if there is none.
        faces: blend stylizes faces separately, the same person alike in every frame, and pastes
            them back.
        face_every: Frames between runs of the face detector; faces are tracked between them.
        screentone: Print the result in black dots on white, this many pixels apart, as manga; 0 is
            off. It suits the style manga.
        compare: Show the photo and the result side by side.
        preview: Show the result in a window while it is made; by default only for a camera, where
            there is a display.
        keep_foreign: Refuse to replace pictures and videos that other programs wrote.
    """

    input: str = setting()
    output: str = setting()
    resume: bool = setting(False)
    faces: str = setting("off", choices=("off", "blend"))
    face_every: int = setting(5, minimum=1)
    screentone: int = setting(0, convert=check_pitch)
    compare: bool = setting(False)
    preview: bool | None = setting(None)
    keep_foreign: bool = setting(False, flag=False)
