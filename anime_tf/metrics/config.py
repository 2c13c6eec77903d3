"""Settings of measuring results."""

from __future__ import annotations

from dataclasses import dataclass

from anime_tf.config import Config, setting


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """Settings of the verb ``evaluate``.

    Attributes:
        photos: Folder of photos.
        results: Folders of results under the photos' names, or videos with --video; several with
            commas between are compared.
        video: Source video of --results; their flicker is measured then, and nothing else.
        style: Folder of pictures in the style, whole frames.
        targets: Folder of what each photo should become, under the photos' names: such as the
            paintings that a network learns from.
        json: File for all numbers.
        sheet: Picture file for a sheet of photos and results side by side.
        sheet_photos: Number of photos on the sheet.
        sheet_side: Longer side of a picture on the sheet in pixels.
        blind: New folder for a blind comparison of two folders of results: pairs in random order on
            random sides, and votes.csv to fill in with left, right or equal.
        blind_key: JSON file for the key of --blind, outside its folder.
        votes: Filled-in votes.csv files, one a viewer, to count by --blind_key; nothing else is
            measured then.
        inception: Also compute FID and KID of InceptionV3 features; imagenet, which Keras
            downloads, or a .h5 file of keras.applications without the top.
        perceptual_weights: Also compute the distance of VGG-19 features; imagenet, random or a
            file, as for training.
    """

    photos: str = setting("")
    results: tuple[str, ...] = setting(())
    video: str = setting("")
    style: str = setting("")
    targets: str = setting("")
    json: str | None = setting(None)
    sheet: str | None = setting(None)
    sheet_photos: int = setting(8, minimum=1)
    sheet_side: int = setting(480, minimum=64)
    blind: str = setting("")
    blind_key: str = setting("")
    votes: tuple[str, ...] = setting(())
    inception: str | None = setting(None)
    perceptual_weights: str | None = setting(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.votes:
            if not self.blind_key:
                raise ValueError("expected --blind_key=FILE with --votes, got none")
            return
        if self.video:
            pictures = (self.photos, self.style, self.targets, self.blind, self.sheet)
            if not self.results or any(pictures):
                raise ValueError(
                    "expected videos as --results with --video, and no --photos, --style, "
                    "--targets, --blind or --sheet"
                )
            return
        purposes = (self.style, self.targets, self.blind, self.sheet)
        if not self.photos or not self.results or not any(purposes):
            raise ValueError(
                "expected --photos, --results and one of --style, --targets, --blind, --sheet; or "
                "--video and --results; or --votes and --blind_key"
            )
        if self.blind and (len(self.results) != 2 or not self.blind_key):
            raise ValueError(
                "expected two folders in --results and --blind_key=FILE with --blind, got "
                f"{len(self.results)} and {self.blind_key or 'no key'}"
            )
