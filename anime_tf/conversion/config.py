"""Settings of converting legacy weights."""

from __future__ import annotations

from dataclasses import dataclass

from anime_tf.config import Config, setting

SOURCES = ("tf1", "torch", "cartoongan")

MODELS = (
    *("animegan_v1", "animegan_v2", "animegan_v2_light", "animegan_v3", "cartoongan"),
    "whitebox",
)
"""Generators with a name table in `tf1` or `torch`."""

BATCH_NORMS = ("inference", "training")
"""Keys of `tf1.BATCH_NORMS`."""

UPSAMPLINGS = ("align_corners", "half_pixel")
"""Upsampling of animegan2-pytorch: of its network by default, and of its script by default."""


@dataclass(frozen=True)
class ConvertConfig(Config):
    """Settings of the verb ``convert``.

    Attributes:
        source: Kind of weights: a TensorFlow 1 checkpoint (tf1), a PyTorch state dict of
            animegan2-pytorch or CartoonGAN (torch), or CartoonGAN's published arrays (cartoongan).
        input: Legacy weights. tf1: a folder with a checkpoint, its prefix, or its .index file; of a
            training checkpoint only the generator is converted. torch: a .pt or .pth file.
            cartoongan: a folder of .npy files.
        output: Archive to write, FILE.keras; with --training the run directory to write.
        model: Generator; by default recognized by the names of the weights.
        upsampling: Upsampling for weights of animegan2-pytorch: that of its network
            (align_corners, the default here, too) or of its script (half_pixel).
        batch_norm: Values of the attention's batch norm for AnimeGANv3: those of the published
            inference graph (inference, the default), which training never changed, or those that
            training learned.
        verify: Read the archive back, compare its weights with the source, and compare a picture
            with the result of TensorFlow 1's operations, or of PyTorch where it is installed.
        training: Convert a whole TF1 training, with discriminator and optimizers, to a run
            directory for train --resume. Network sizes come from the checkpoint, the settings
            below from the command line, and all others from train --resume.
        epoch: With --training, epochs done; by default computed from global_step, or else from
            the optimizers' counts of updates.
    """

    source: str = setting(choices=SOURCES)
    input: str = setting()
    output: str = setting()
    model: str | None = setting(None, choices=MODELS)
    upsampling: str | None = setting(None, choices=UPSAMPLINGS)
    batch_norm: str | None = setting(None, choices=BATCH_NORMS)
    verify: bool = setting(True)
    training: bool = setting(False)
    epoch: int | None = setting(None, minimum=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        is_archive = self.output.endswith(".keras")
        if self.training and self.source != "tf1":
            raise ValueError(
                f"source: expected tf1 with training, got {self.source}; no other file holds a "
                "whole training"
            )
        if self.training == is_archive:
            kind = "a run directory" if self.training else "a file that ends in .keras"
            raise ValueError(f"output: expected {kind}, got {self.output}")
        if self.epoch is not None and not self.training:
            raise ValueError("epoch: expected only with training; leave it out")
        if self.upsampling is not None and self.source == "tf1":
            raise ValueError("upsampling: expected only for weights of animegan2-pytorch")
