"""Adversarial terms of the discriminator and the generator for each GAN type.

Logits are float tensors of any shape; every function returns a float32 scalar, the mean over all
logits. Real has target 1; fake, gray and smooth have target 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops

Term = Callable[[Any], Any]


def _float32(x: Any) -> Any:
    return ops.cast(x, "float32")


def cross_entropy_to_one(logits: Any) -> Any:
    """Mean -log sigmoid(x) = mean softplus(-x)."""
    return ops.mean(ops.softplus(-_float32(logits)))


def cross_entropy_to_zero(logits: Any) -> Any:
    """Mean -log(1 - sigmoid(x)) = mean softplus(x)."""
    return ops.mean(ops.softplus(_float32(logits)))


def square_to_one(logits: Any) -> Any:
    """Mean (x - 1)^2."""
    return ops.mean(ops.square(_float32(logits) - 1.0))


def square_to_zero(logits: Any) -> Any:
    """Mean x^2."""
    return ops.mean(ops.square(_float32(logits)))


def hinge_real(logits: Any) -> Any:
    """Mean relu(1 - x)."""
    return ops.mean(ops.relu(1.0 - _float32(logits)))


def hinge_fake(logits: Any) -> Any:
    """Mean relu(1 + x)."""
    return ops.mean(ops.relu(1.0 + _float32(logits)))


def negative_mean(logits: Any) -> Any:
    """-mean x."""
    return -ops.mean(_float32(logits))


@dataclass(frozen=True)
class GanType:
    """The three terms of a GAN type.

    Attributes:
        real: Discriminator's term for pictures that are to score 1.
        fake: Discriminator's term for pictures that are to score 0.
        generator: Generator's term for its own pictures.
    """

    real: Term
    fake: Term
    generator: Term


GAN_TYPES: dict[str, GanType] = {
    # Goodfellow et al. 2014, non-saturating
    "gan": GanType(cross_entropy_to_one, cross_entropy_to_zero, cross_entropy_to_one),
    # Mao et al. 2017, without the factor 1/2
    "lsgan": GanType(square_to_one, square_to_zero, square_to_one),
    # Lim, Ye 2017; Miyato et al. 2018
    "hinge": GanType(hinge_real, hinge_fake, negative_mean),
}
"""GAN types by the names of `--gan_type`. Those with a gradient penalty belong here too."""
