"""Goldens of the original graphs, and our networks filled with the weights they were made with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from golden_recipe import value

from anime_tf.models.discriminator import AnimeGANDiscriminator
from anime_tf.models.registry import GENERATORS
from anime_tf.models.vgg19 import VGG19Features
from anime_tf.weights.tf1 import TABLES

FOLDER = Path(__file__).parent / "golden"


def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as archive:
        return dict(archive)


def numbers(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def generator_names(model: keras.Model) -> dict[str, str]:
    """Path of each of the generator's weights -> the original's variable."""
    name = next(name for name, kind in GENERATORS.items() if type(model) is kind)
    sources = TABLES[name].sources
    return {w.path: sources[w.path.split("/", 1)[1]].name for w in model.weights}


def discriminator_names(model: AnimeGANDiscriminator) -> dict[str, str]:
    """Path of each of the discriminator's weights -> the original's variable."""
    plain = not model.spectral_norm
    return {
        w.path: "discriminator/"
        + w.path.split("/", 1)[1].replace("/kernel", "/conv2d/kernel" if plain else "/kernel")
        for w in model.weights
    }


def fill(model: keras.Model, names: dict[str, str]) -> None:
    for weight in model.weights:
        weight.assign(value(names[weight.path], tuple(weight.shape)))


def golden_generator(name: str = "animegan_v2", **options: Any) -> keras.Model:
    model = GENERATORS[name](**options)
    fill(model, generator_names(model))
    return model


def golden_discriminator(**options: Any) -> AnimeGANDiscriminator:
    model = AnimeGANDiscriminator(**options)
    fill(model, discriminator_names(model))
    return model


def golden_vgg19() -> VGG19Features:
    model = VGG19Features()
    for conv in model.convolutions:
        conv.kernel.assign(value(f"vgg/{conv.name}/filter", tuple(conv.kernel.shape)))
        conv.bias.assign(value(f"vgg/{conv.name}/biases", tuple(conv.bias.shape)))
    return model


def assert_close(actual: Any, expected: Any, *, atol: float = 0.0, rtol: float = 0.0) -> None:
    """Compares; a failure names the largest difference and where it is."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    np.testing.assert_allclose(actual, expected, atol=atol, rtol=rtol)
