"""Goldens of the original graphs, and networks with the weights of the goldens."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from golden_recipe import img, value, value_v3

from anime_tf.conversion.tf1 import TABLES, v3_tail
from anime_tf.models.animegan_v3 import DoubleTail
from anime_tf.models.discriminator import AnimeGANDiscriminator
from anime_tf.models.registry import GENERATORS
from anime_tf.models.vgg19 import VGG19Features

FOLDER = Path(__file__).parent / "golden"

# Relative to the original's losses, as rounding alone moves them from step to step.
INIT = 1e-4
LOSSES = {
    "d": 5e-3,
    "g": 1e-2,
    "content": 5e-3,
    "style": 5e-3,
    "color": 1e-2,
    "tv": 1e-2,
}
D_PARTS = 2e-2
# Of the variables after six steps.
L2, MEAN, FIRST = 3e-5, 3e-6, 1e-4
FIRST_MEDIAN = {"generator": 5e-6, "discriminator": 2e-6}


def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as archive:
        return dict(archive)


def numbers(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def generator_names(model: keras.Model) -> dict[str, str]:
    """Map the path of each of G's weights to the original's variable."""
    name = next(name for name, kind in GENERATORS.items() if type(model) is kind)
    sources = TABLES[name].sources
    return {w.path: sources[w.path.split("/", 1)[1]].name for w in model.weights}


def discriminator_names(model: AnimeGANDiscriminator) -> dict[str, str]:
    """Map the path of each of D's weights to the original's variable."""
    plain = not model.spectral_norm
    return {
        w.path: "discriminator/"
        + w.path.split("/", 1)[1].replace("/kernel", "/conv2d/kernel" if plain else "/kernel")
        for w in model.weights
    }


def fill(
    model: keras.Model, names: dict[str, str], recipe: Callable[..., np.ndarray] = value
) -> None:
    for weight in model.weights:
        weight.assign(recipe(names[weight.path], tuple(weight.shape)))


def golden_generator(name: str = "animegan_v2", **options: Any) -> keras.Model:
    model = GENERATORS[name](**options)
    fill(model, generator_names(model), value_v3 if name == "animegan_v3" else value)
    return model


def double_tail_names(model: DoubleTail, batch_norm: str = "training") -> dict[str, str]:
    """Map the path of each weight of both tails to the original's variable."""
    names = {}
    for weight in model.weights:
        tail = "support" if "support/" in weight.path else "main"
        inner = weight.path.split(f"{tail}/", 1)[-1]
        if "/base/" in weight.path:
            names[weight.path] = generator_names(model.generator)[weight.path]
        else:
            names[weight.path] = v3_tail(tail, batch_norm)[inner]
    return names


def golden_double_tail(batch_norm: str = "training") -> DoubleTail:
    model = DoubleTail(GENERATORS["animegan_v3"]())
    fill(model, double_tail_names(model, batch_norm), value_v3)
    return model


def golden_discriminator(**options: Any) -> AnimeGANDiscriminator:
    model = AnimeGANDiscriminator(**options)
    fill(model, discriminator_names(model))
    return model


@functools.cache
def golden_vgg19() -> VGG19Features:
    model = VGG19Features()
    for conv in model.convolutions:
        conv.kernel.assign(value(f"vgg/{conv.name}/filter", tuple(conv.kernel.shape)))
        conv.bias.assign(value(f"vgg/{conv.name}/biases", tuple(conv.bias.shape)))
    return model


def assert_close(actual: Any, expected: Any, *, atol: float = 0.0, rtol: float = 0.0) -> None:
    """Compare; a failure reports the largest difference."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    np.testing.assert_allclose(actual, expected, atol=atol, rtol=rtol)


def assert_trajectory(trainer: Any, expected: Any) -> None:
    """Run the golden's six steps; compare every loss, and every variable at the end."""
    for row in expected["rows"]:
        kinds = ("photo", "anime", "anime_gray", "smooth_gray")
        pictures = {
            kind: tf.constant(img(6000 + 10 * row["step"] + i)) for i, kind in enumerate(kinds)
        }
        if row["phase"] == "init":
            losses = trainer.init_step({"photo": pictures["photo"]})
            assert_close(losses["g/loss"], row["init"], rtol=INIT)
            continue
        losses = trainer.gan_step(pictures)
        for key, tolerance in LOSSES.items():
            name = f"{key}/loss" if key in "dg" else f"g/{key}"
            assert_close(losses[name], row[key], rtol=tolerance)
        parts = [losses[f"d/{kind}"] for kind in ("real", "gray", "fake", "smooth")]
        assert_close(parts, row["d_parts"], rtol=D_PARTS)

    assert int(trainer.step) == len(expected["rows"])
    for network, names in (
        (trainer.generator, generator_names(trainer.generator)),
        (trainer.discriminator, discriminator_names(trainer.discriminator)),
    ):
        deviations = []
        for weight in network.weights:
            final = expected["final"][names[weight.path]]
            values = weight.numpy().astype(np.float64)
            assert_close(np.linalg.norm(values), final["l2"], rtol=L2)
            assert_close(values.mean(), final["mean"], atol=MEAN)
            first = values.ravel()[:4]
            assert_close(first, final["first"], atol=FIRST)
            deviations.extend(np.abs(first - final["first"]))
        assert np.median(deviations) < FIRST_MEDIAN[network.name]
