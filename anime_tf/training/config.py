"""`TrainConfig`, everything that a run depends on, and the presets: tables, no code."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anime_tf.datasets.pipeline import FITS

# The keys of `GENERATORS`, `DISCRIMINATORS` and `PERCEPTUAL` in `models.registry` and of
# `GAN_TYPES` in `losses.adversarial`, which cannot be imported here: the command line shows them,
# and its help must not wait for TensorFlow.
MODELS = ("animegan_v1", "animegan_v2", "animegan_v2_light", "cartoongan", "ue_animegan_v2")
DISCRIMINATORS = ("animegan_v1", "animegan_v2", "cartoongan")
DISTRIBUTE = ("none", "mirrored", "multi_worker")
GAN_TYPES = ("gan", "lsgan", "hinge", "wgan-gp", "wgan-lp", "dragan")
PERCEPTUAL = ("vgg19", "mobilenetv2")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def _setting(default: Any, help: str, choices: tuple[str, ...] = (), fixed: bool = False) -> Any:
    """A field whose help and choices the command line shows.

    `fixed` ones cannot change when a run is resumed: checkpoint or order of pictures hang on them.
    """
    return field(default=default, metadata={"help": help, "choices": choices, "fixed": fixed})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a training run depends on; `config.json` of a run directory.

    Attributes:
        dataset_dir: Folder with `train_photo`, `<style>/style`, `<style>/smooth` and `val`.
        style: Name of the style's folder below `dataset_dir`.
        run_dir: Folder that the run writes; see `training.run_dir`.
        model: Name of the generator, a key of `models.registry.GENERATORS`.
        discriminator: Name of the discriminator, a key of `models.registry.DISCRIMINATORS`.
        gan_type: Adversarial objective, a key of `losses.adversarial.GAN_TYPES`.
        epochs: Epochs in all, those of the initialisation phase among them.
        init_epochs: Epochs of the initialisation phase, which trains G on content alone.
        steps_per_epoch: Steps an epoch; 0 takes the longer of photos and style pictures once.
        batch_size: Pictures a step, photos and style pictures alike.
        image_size: Side of the square pictures trained on, pixels; a multiple of 8.
        fit: How pictures come to that size: "resize" as the originals, or a random "crop".
        augment_flip: Whether pictures are mirrored left-right at random, counterparts together.
        augment_resize: Whether windows of random size are cut and brought to `image_size`; see
            `data.pipeline.LARGEST_ZOOM`.
        precision: Dtype policy of the networks.
        seed: Seed of weights, order and crops.
        init_learning_rate: Adam's learning rate of G in the initialisation phase.
        g_learning_rate: Adam's learning rate of G afterwards.
        d_learning_rate: Adam's learning rate of D.
        training_rate: Updates of G for each update of D.
        accumulation: Chunks that a batch is worked on in, one after the other, for small memories;
            the update is that of the whole batch (but for dragan's noise, whose spread is that of
            a chunk).
        ema_decay: Decay of the moving average of G's weights, which is then what is saved, shown
            and exported; 0 for none.
        xla: Whether the steps are compiled by XLA.
        distribute: Where the networks live: "none" for one device, "mirrored" for all of this
            machine's, "multi_worker" for the machines of TF_CONFIG. A batch is shared out.
        generator_width: Channels of G's first convolution; 32 as published.
        discriminator_width: `ch` of the originals.
        discriminator_depth: `n_dis` of the originals.
        spectral_norm: Whether D's kernels are divided by their spectral norm.
        discriminator_dropout: Part of the values that D drops after each normalised block.
        perceptual: Network that content and style are compared in, a key of
            `models.registry.PERCEPTUAL`.
        perceptual_weights: "imagenet", "random" or a file.
        g_adv_weight: Weight of G's adversarial term.
        d_adv_weight: Weight of D's adversarial terms together.
        content_weight: Weight of the content loss, in both phases.
        style_weight: Weight of the style loss.
        color_weight: Weight of the colour loss.
        tv_weight: Weight of the total variation loss.
        edge_weight: Weight of the distance of photo and generated picture in their edges.
        paired_weight: Weight of the L1 distance to the painted counterpart of each photo, in both
            phases; needs the folder `<style>/paired`. 0, as in all published recipes, for unpaired.
        paired_detail_weight: Weight of that distance after the tones are matched.
        paired_edge_weight: Weight of the distance of their differences of neighbouring pixels,
            after the tones are matched.
        d_real_weight: Weight of D's term of anime pictures.
        d_fake_weight: Weight of D's term of generated pictures.
        d_gray_weight: Weight of D's term of anime pictures in gray.
        d_smooth_weight: Weight of D's term of edge-smoothed anime pictures.
        smooth_color: Whether D sees edge-smoothed pictures in colour, not in gray.
        style_color: Whether the style loss is drawn to anime pictures in colour, not in gray.
        penalty_weight: Weight of the penalty on D's gradient, for the GAN types that have one;
            lambda of the papers.
        checkpoint_minutes: Minutes between checkpoints; one is written at each epoch's end as well.
        checkpoint_steps: Steps between checkpoints; 0 leaves it to the minutes.
        keep_checkpoints: Newest checkpoints that are kept.
        keep_every_epochs: Every so many epochs a checkpoint is kept for good; 0 for none.
        log_steps: Steps between lines of the log.
        samples: Photos on the sheets of samples, the first of `val`.
        sample_epochs: Epochs between sheets.
        histogram_epochs: Epochs between histograms of all weights, in TensorBoard; 0 for none.
        collapse_epochs: The run ends when D has been right about everything, or has only guessed,
            for so many epochs; see `training.collapse`. 0 for never.
    """

    dataset_dir: str = _setting("", "folder with train_photo, <style>/style, <style>/smooth, val")
    style: str = _setting("", "name of the style's folder below dataset_dir")
    run_dir: str = _setting("", "folder that the run writes")
    model: str = _setting("animegan_v2", "generator", MODELS, fixed=True)
    discriminator: str = _setting("animegan_v2", "discriminator", DISCRIMINATORS, fixed=True)
    gan_type: str = _setting("lsgan", "adversarial objective", GAN_TYPES, fixed=True)
    epochs: int = _setting(101, "epochs in all, initialisation included")
    init_epochs: int = _setting(10, "epochs of the initialisation phase (content alone)")
    steps_per_epoch: int = _setting(
        0, "steps an epoch; 0: the longer of photos and style once", fixed=True
    )
    batch_size: int = _setting(12, "pictures a step", fixed=True)
    image_size: int = _setting(256, "side of the training pictures, pixels", fixed=True)
    fit: str = _setting("resize", "how pictures come to that size", FITS, fixed=True)
    augment_flip: bool = _setting(False, "mirror pictures at random", fixed=True)
    augment_resize: bool = _setting(False, "cut windows of random size", fixed=True)
    precision: str = _setting("float32", "dtype policy of the networks", PRECISIONS, fixed=True)
    seed: int = _setting(0, "seed of weights, order and crops", fixed=True)
    init_learning_rate: float = _setting(2e-4, "Adam's rate of G in the initialisation phase")
    g_learning_rate: float = _setting(2e-5, "Adam's rate of G")
    d_learning_rate: float = _setting(4e-5, "Adam's rate of D")
    training_rate: int = _setting(1, "updates of G for each update of D")
    accumulation: int = _setting(1, "chunks that a batch is worked on in, for small memories")
    ema_decay: float = _setting(
        0.0, "decay of the moving average of G, which is then exported; 0: none", fixed=True
    )
    xla: bool = _setting(False, "compile the steps by XLA")
    distribute: str = _setting(
        "none", "one device, all of this machine, or the machines of TF_CONFIG", DISTRIBUTE
    )
    generator_width: int = _setting(32, "channels of G's first convolution", fixed=True)
    discriminator_width: int = _setting(64, "ch of the originals", fixed=True)
    discriminator_depth: int = _setting(3, "n_dis of the originals", fixed=True)
    spectral_norm: bool = _setting(True, "spectral norm in D", fixed=True)
    discriminator_dropout: float = _setting(0.0, "dropout rate in D", fixed=True)
    perceptual: str = _setting("vgg19", "perceptual network", PERCEPTUAL, fixed=True)
    perceptual_weights: str = _setting(
        "imagenet", "imagenet, random, or a file: .h5, .weights.h5, or for VGG-19 vgg19.npy"
    )
    g_adv_weight: float = _setting(300.0, "weight of G's adversarial term")
    d_adv_weight: float = _setting(300.0, "weight of D's adversarial terms")
    content_weight: float = _setting(1.5, "weight of the content loss, in both phases")
    style_weight: float = _setting(2.5, "weight of the style loss")
    color_weight: float = _setting(15.0, "weight of the colour loss")
    tv_weight: float = _setting(1.0, "weight of the total variation loss")
    edge_weight: float = _setting(0.0, "weight of the edge loss")
    paired_weight: float = _setting(
        0.0, "weight of the L1 distance to <style>/paired, in both phases"
    )
    paired_detail_weight: float = _setting(
        0.0, "weight of that distance after the tones are matched, in both phases"
    )
    paired_edge_weight: float = _setting(
        0.0, "weight of the L1 distance of pixel differences to <style>/paired, in both phases"
    )
    d_real_weight: float = _setting(1.2, "weight of D's term of anime pictures")
    d_fake_weight: float = _setting(1.2, "weight of D's term of generated pictures")
    d_gray_weight: float = _setting(1.2, "weight of D's term of anime in gray")
    d_smooth_weight: float = _setting(0.8, "weight of D's term of edge-smoothed anime")
    smooth_color: bool = _setting(False, "edge-smoothed anime in colour, not in gray")
    style_color: bool = _setting(False, "style loss on anime in colour, not in gray")
    penalty_weight: float = _setting(
        10.0, "weight of the penalty on D's gradient, in wgan-gp, wgan-lp and dragan"
    )
    checkpoint_minutes: float = _setting(10.0, "minutes between checkpoints")
    checkpoint_steps: int = _setting(0, "steps between checkpoints; 0: by the minutes")
    keep_checkpoints: int = _setting(3, "newest checkpoints that are kept")
    keep_every_epochs: int = _setting(
        0, "epochs between checkpoints that are kept for good; 0: none"
    )
    log_steps: int = _setting(1, "steps between lines of the log")
    samples: int = _setting(4, "photos of val on the sheets of samples")
    sample_epochs: int = _setting(1, "epochs between sheets of samples")
    histogram_epochs: int = _setting(0, "epochs between histograms of all weights; 0: none")
    collapse_epochs: int = _setting(
        3, "end the run when D has collapsed for so many epochs; 0: never"
    )

    def __post_init__(self) -> None:
        for name, setting in self.__dataclass_fields__.items():
            value, choices = getattr(self, name), setting.metadata["choices"]
            if choices and value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, received {value!r}")
            if name.endswith(("_weight", "_rate")) and value < 0:
                raise ValueError(f"{name} must not be negative, received {value}")
        at_least = {
            "epochs": 1,
            "init_epochs": 0,
            "steps_per_epoch": 0,
            "batch_size": 1,
            "training_rate": 1,
            "accumulation": 1,
            "generator_width": 1,
            "discriminator_width": 2,
            "discriminator_depth": 1,
            "checkpoint_steps": 0,
            "keep_checkpoints": 1,
            "log_steps": 1,
            "samples": 0,
            "sample_epochs": 1,
            "histogram_epochs": 0,
            "keep_every_epochs": 0,
            "collapse_epochs": 0,
        }
        for name, minimum in at_least.items():
            if getattr(self, name) < minimum:
                raise ValueError(
                    f"{name} must be at least {minimum}, received {getattr(self, name)}"
                )
        for name in ("ema_decay", "discriminator_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must lie in 0..1, 1 excluded, received {getattr(self, name)}"
                )
        if self.image_size < 32 or self.image_size % 8:
            raise ValueError(
                f"image_size must be a multiple of 8 and at least 32, received {self.image_size}"
            )

    @property
    def is_paired(self) -> bool:
        """Whether the run needs a painted counterpart of each photo."""
        return bool(self.paired_weight or self.paired_detail_weight or self.paired_edge_weight)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Makes a config from a mapping, as `config.json` holds it.

        Raises:
            ValueError: A key is unknown, or a value is not allowed.
        """
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(unknown)}")
        return cls(**values)

    def replace(self, **changes: Any) -> TrainConfig:
        """A copy with some settings changed, checked like a new one."""
        return self.from_dict({**dataclasses.asdict(self), **changes})


PRESETS: dict[str, dict[str, Any]] = {
    # AnimeGANv2's three styles, as its authors trained them.
    "hayao": {},
    "paprika": {
        "content_weight": 2.0,
        "style_weight": 0.6,
        "color_weight": 50.0,
        "tv_weight": 0.1,
        "d_real_weight": 1.0,
        "d_fake_weight": 1.0,
        "d_gray_weight": 1.0,
        "d_smooth_weight": 0.005,
    },
    "shinkai": {
        "content_weight": 1.2,
        "style_weight": 2.0,
        "color_weight": 10.0,
        "d_real_weight": 1.7,
        "d_fake_weight": 1.7,
        "d_gray_weight": 1.7,
        "d_smooth_weight": 1.0,
    },
    # The first AnimeGAN (Chen, Liu, ISICA 2019), as its paper and its code have it.
    "animegan_v1": {
        "model": "animegan_v1",
        "discriminator": "animegan_v1",
        "init_epochs": 5,
        "batch_size": 6,
        "init_learning_rate": 1e-4,
        "g_learning_rate": 8e-5,
        "d_learning_rate": 16e-5,
        "style_weight": 3.0,
        "color_weight": 10.0,
        "tv_weight": 0.0,
        "d_real_weight": 1.0,
        "d_fake_weight": 1.0,
        "d_gray_weight": 1.0,
        "d_smooth_weight": 0.1,
    },
    # Two recipes by others, with what they state; where they say nothing it is Hayao's.
    # AnimeGAN's port to MindSpore:
    "mindspore": {
        "epochs": 40,
        "init_epochs": 5,
        "batch_size": 4,
        "init_learning_rate": 1e-3,
        "g_learning_rate": 2e-4,
        "d_learning_rate": 4e-4,
        "g_adv_weight": 1.2,
        "content_weight": 1.8,
        "style_weight": 2.0,
        "color_weight": 10.0,
    },
    # A course report on AnimeGANv2:
    "course_report": {
        "epochs": 100,
        "init_epochs": 1,
        "style_weight": 3.0,
        "color_weight": 10.0,
    },
    # CartoonGAN (Chen, Lai, Liu, CVPR 2018): cross-entropy, edge-smoothed pictures in colour, and
    # content; batch, epochs and rate are those of a reproduction, which crops as well, since
    # resizing blurs the lines.
    "cartoongan": {
        "model": "cartoongan",
        "discriminator": "cartoongan",
        "gan_type": "gan",
        "epochs": 100,
        "batch_size": 8,
        "fit": "crop",
        "init_learning_rate": 2e-4,
        "g_learning_rate": 2e-4,
        "d_learning_rate": 2e-4,
        "g_adv_weight": 1.0,
        "d_adv_weight": 1.0,
        "content_weight": 10.0,
        "style_weight": 0.0,
        "color_weight": 0.0,
        "tv_weight": 0.0,
        "d_real_weight": 1.0,
        "d_fake_weight": 1.0,
        "d_gray_weight": 0.0,
        "d_smooth_weight": 1.0,
        "smooth_color": True,
    },
    # Hayao's recipe with an edge loss. What was published of it is one sentence; the weight is
    # ours, such that the edge loss weighs about as much as the colour loss.
    "ue_animegan_v2": {"model": "ue_animegan_v2", "edge_weight": 100.0},
    # The built-in style: painted counterparts of the photos, in the initialisation phase alone;
    # docs/cel.md. Neither a perceptual network nor the discriminator takes part.
    "cel": {
        "model": "animegan_v2_light",
        "fit": "crop",
        "batch_size": 2,
        "steps_per_epoch": 250,
        "epochs": 40,
        "init_epochs": 40,
        "init_learning_rate": 8e-4,
        "content_weight": 0.0,
        "style_weight": 0.0,
        "paired_weight": 50.0,
        "paired_detail_weight": 100.0,
        "paired_edge_weight": 250.0,
    },
}
"""What a preset changes of `TrainConfig`'s defaults, which are Hayao's."""

DEFAULT_PRESET = "hayao"

MODEL_PRESETS: dict[str, str] = {
    "animegan_v1": "animegan_v1",
    "cartoongan": "cartoongan",
    "ue_animegan_v2": "ue_animegan_v2",
}
"""Generator -> preset with its own recipe; the others take the style's, or the default."""


def preset_of(model: str | None, style: str) -> str:
    """The preset for a run that names none.

    Args:
        model: Name of the generator, if one is named.
        style: Name of the style.

    Returns:
        The generator's own, else the style's, else `DEFAULT_PRESET`.
    """
    if model in MODEL_PRESETS:
        return MODEL_PRESETS[model]
    return style.lower() if style.lower() in PRESETS else DEFAULT_PRESET
