"""Settings of building and checking data sets."""

from __future__ import annotations

from dataclasses import dataclass

from anime_tf.config import Config, setting

MAX_SIDE = 4096  # largest side of a training picture, pixels
RESAMPLINGS = ("area", "linear")
"""Ways to resize before or while smoothing; see `edge_smooth.smooth_folder`."""


@dataclass(frozen=True)
class FramesConfig(Config):
    """Settings of ``dataset frames`` besides `FrameSettings` and `QualityLimits`.

    Attributes:
        input: A video in any format that FFmpeg reads, a folder of videos, a glob, or several of
            these with commas between.
        output: Folder of the pictures, NAME_000123.png with the number of the frame; for training,
            DATASET/STYLE/style.
        max_pictures: Stop after this number of pictures; 0 is no limit.
    """

    input: str = setting()
    output: str = setting()
    max_pictures: int = setting(0, minimum=0)


@dataclass(frozen=True)
class SmoothConfig(Config):
    """Settings of ``dataset smooth``.

    Attributes:
        style_dir: Folder with the pictures of the style, DATASET/STYLE/style.
        output: Folder of the smooth pictures; by default smooth beside the style folder, where
            training looks for it.
        image_size: Side of the training pictures in pixels; 0 keeps the size, for training on
            crops.
        resampling: area resizes as training resizes the style pictures; linear as the original
            implementation.
        overwrite: Replace the smooth pictures of an earlier run.
        workers: Number of threads; 0 is one per CPU.
    """

    style_dir: str = setting()
    output: str | None = setting(None)
    image_size: int = setting(256, minimum=0, maximum=MAX_SIDE)
    resampling: str = setting("area", choices=RESAMPLINGS)
    overwrite: bool = setting(False)
    workers: int = setting(0, minimum=0, maximum=256)


@dataclass(frozen=True)
class CheckConfig(Config):
    """Settings of ``dataset check``.

    Attributes:
        dataset_dir: Folder with train_photo and the style's folder, as for training.
        style: Name of the style's folder.
        image_size: Side of the training pictures in pixels.
        json: File for the report with all names and numbers.
        workers: Number of threads; 0 is one per CPU.
    """

    dataset_dir: str = setting()
    style: str = setting()
    image_size: int = setting(256, minimum=1, maximum=MAX_SIDE)
    json: str | None = setting(None)
    workers: int = setting(0, minimum=0, maximum=256)
