"""Settings of measuring results."""

from __future__ import annotations

from dataclasses import dataclass

from anime_tf.config import Config, setting


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """Settings of the verb ``evaluate``.

    Attributes:
        photos: Folder of photos.
        results: Folders of results under the photos' names; several with commas between are
            compared.
        style: Folder of pictures in the style, whole frames.
        json: File for all numbers.
        sheet: Picture file for a sheet of photos and results side by side.
        sheet_photos: Number of photos on the sheet.
        sheet_side: Longer side of a picture on the sheet in pixels.
        inception: Also compute FID and KID of InceptionV3 features; imagenet, which Keras
            downloads, or a .h5 file of keras.applications without the top.
        perceptual_weights: Also compute the distance of VGG-19 features; imagenet, random or a
            file, as for training.
    """

    photos: str = setting()
    results: tuple[str, ...] = setting()
    style: str = setting()
    json: str | None = setting(None)
    sheet: str | None = setting(None)
    sheet_photos: int = setting(8, minimum=1)
    sheet_side: int = setting(480, minimum=64)
    inception: str | None = setting(None)
    perceptual_weights: str | None = setting(None)
