"""Name -> generator class, for flags, archives and converters."""

from __future__ import annotations

from anime_tf.models.animegan_v2 import AnimeGANv2Generator
from anime_tf.models.animegan_v2_light import AnimeGANv2LightGenerator
from anime_tf.models.cartoongan import CartoonGANGenerator
from anime_tf.models.discriminator import AnimeGANDiscriminator
from anime_tf.models.mobilenet_v2 import mobilenet_v2_features
from anime_tf.models.vgg19 import vgg19_features

Generator = AnimeGANv2Generator | AnimeGANv2LightGenerator | CartoonGANGenerator

GENERATORS: dict[str, type[Generator]] = {
    "animegan_v2": AnimeGANv2Generator,
    "animegan_v2_light": AnimeGANv2LightGenerator,
    "cartoongan": CartoonGANGenerator,
}
"""Each has `STRIDE` (sides that are multiples of it keep their size) and `MINIMUM_SIDE`, pixels."""

DISCRIMINATORS = {"animegan_v2": AnimeGANDiscriminator}
"""Name -> discriminator."""

PERCEPTUAL = {"vgg19": vgg19_features, "mobilenetv2": mobilenet_v2_features}
"""Name -> maker of a network from pictures to features, given weights, seed and dtype."""
