"""Registry of networks by name, for flags, archives and converters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras

from anime_tf.models.animegan_v1 import AnimeGANv1Generator
from anime_tf.models.animegan_v2 import AnimeGANv2Generator
from anime_tf.models.animegan_v2_light import AnimeGANv2LightGenerator
from anime_tf.models.animegan_v3 import AnimeGANv3Generator
from anime_tf.models.animegan_v3_discriminator import DoubleDiscriminator
from anime_tf.models.cartoongan import CartoonGANGenerator
from anime_tf.models.discriminator import AnimeGANDiscriminator
from anime_tf.models.generator import Generator
from anime_tf.models.live import LiveGenerator
from anime_tf.models.live_large import LiveLargeGenerator
from anime_tf.models.mobilenet_v1 import MobileNetV1Features
from anime_tf.models.mobilenet_v2 import MobileNetV2Features
from anime_tf.models.ue_animegan_v2 import UEAnimeGANv2Generator
from anime_tf.models.vgg19 import VGG19Features
from anime_tf.models.whitebox import WhiteboxGenerator

GENERATORS: dict[str, type[Generator]] = {
    "animegan_v1": AnimeGANv1Generator,
    "animegan_v2": AnimeGANv2Generator,
    "animegan_v2_light": AnimeGANv2LightGenerator,
    "animegan_v3": AnimeGANv3Generator,
    "cartoongan": CartoonGANGenerator,
    "live": LiveGenerator,
    "live_large": LiveLargeGenerator,
    "ue_animegan_v2": UEAnimeGANv2Generator,
    "whitebox": WhiteboxGenerator,
}
DISCRIMINATORS: dict[str, Callable[..., keras.Model]] = {
    "animegan_v1": partial(AnimeGANDiscriminator, norm="instance"),
    "animegan_v2": AnimeGANDiscriminator,
    "animegan_v3": DoubleDiscriminator,
    # CartoonGAN's has biases; its recipe has no spectral norm.
    "cartoongan": partial(AnimeGANDiscriminator, norm="instance", use_bias=True),
}
"""Factories of discriminators, called with width, depth, spectral_norm and Keras' arguments."""

# networks from pictures to features
PERCEPTUAL = {
    "vgg19": VGG19Features,
    "mobilenetv2": MobileNetV2Features,
    "mobilenetv1": MobileNetV1Features,
}
