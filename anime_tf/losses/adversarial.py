"""Adversarial losses of discriminator and generator for each GAN type.

Logits are float tensors of any shape; every loss is a float32 scalar, the mean over all logits.
Real pictures have target 1; fake, gray and smooth ones have target 0. Some types add a penalty on
the discriminator's gradient with respect to its input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops

Term = Callable[[Any], Any]

NORM_EPSILON = 1e-12
"""Added to the squared norm of a gradient, since the root has no derivative at 0."""


def _float32(x: Any) -> Any:
    return ops.cast(x, "float32")


def cross_entropy_to_one(logits: Any) -> Any:
    """Mean -log sigmoid(x) = mean softplus(-x)."""
    return ops.mean(ops.softplus(-_float32(logits)))


def cross_entropy_to_zero(logits: Any) -> Any:
    """Mean -log(1 - sigmoid(x)) = mean softplus(x)."""
    return ops.mean(ops.softplus(_float32(logits)))


def square_loss(logits: Any, target: float) -> Any:
    """Mean (x - target)^2."""
    return ops.mean(ops.square(_float32(logits) - target))


def square_to_one(logits: Any) -> Any:
    """Mean (x - 1)^2."""
    return square_loss(logits, 1.0)


def square_to_zero(logits: Any) -> Any:
    """Mean x^2."""
    return square_loss(logits, 0.0)


def hinge_real(logits: Any) -> Any:
    """Mean relu(1 - x)."""
    return ops.mean(ops.relu(1.0 - _float32(logits)))


def hinge_fake(logits: Any) -> Any:
    """Mean relu(1 + x)."""
    return ops.mean(ops.relu(1.0 + _float32(logits)))


def mean(logits: Any) -> Any:
    """Mean x."""
    return ops.mean(_float32(logits))


def negative_mean(logits: Any) -> Any:
    """-mean x."""
    return -mean(logits)


def gradient_norm(gradient: Any) -> Any:
    """The l2 norm |g| of each sample: (n, height, width, channels) to (n,), float32."""
    squares = ops.sum(ops.square(_float32(gradient)), axis=(1, 2, 3))
    return ops.sqrt(squares + NORM_EPSILON)


def unit_penalty(gradient: Any) -> Any:
    """Mean (|g| - 1)^2, the two-sided penalty (Gulrajani et al. 2017, equation 3)."""
    return ops.mean(ops.square(gradient_norm(gradient) - 1.0))


def lipschitz_penalty(gradient: Any) -> Any:
    """Mean max(0, |g| - 1)^2, the one-sided penalty (Petzka et al. 2018, equation 8)."""
    return ops.mean(ops.square(ops.relu(gradient_norm(gradient) - 1.0)))


def toward_generated(_real: Any, generated: Any, _noise: Any) -> Any:
    """End of the line on which WGANs take the gradient: the generated pictures."""
    return generated


def toward_noise(real: Any, _generated: Any, noise: Any) -> Any:
    """DRAGAN's end of that line: real + std noise / 2, std over the whole batch."""
    _, variance = ops.moments(_float32(real), axes=(0, 1, 2, 3))
    return real + 0.5 * ops.sqrt(variance) * noise


@dataclass(frozen=True)
class Penalty:
    """Penalty on the discriminator's gradient at real + alpha (end - real).

    alpha is uniform in [0, 1) for each sample.

    Attributes:
        end: (real, generated, noise) -> pictures of the same shape; the noise is uniform in [0, 1)
            for each value.
        term: Penalty of the gradient, (n, height, width, 3), at that point.
    """

    end: Callable[[Any, Any, Any], Any]
    term: Term


@dataclass(frozen=True)
class GanType:
    """Losses of a GAN type.

    Attributes:
        real: Discriminator's loss for pictures with target 1.
        fake: Discriminator's loss for pictures with target 0.
        generator: Generator's loss.
        penalty: Penalty on the discriminator's gradient, if any.
    """

    real: Term
    fake: Term
    generator: Term
    penalty: Penalty | None = None


GAN_TYPES: dict[str, GanType] = {
    # Goodfellow et al. 2014, non-saturating
    "gan": GanType(cross_entropy_to_one, cross_entropy_to_zero, cross_entropy_to_one),
    # Mao et al. 2017, without the factor 1/2
    "lsgan": GanType(square_to_one, square_to_zero, square_to_one),
    # Lim, Ye 2017; Miyato et al. 2018
    "hinge": GanType(hinge_real, hinge_fake, negative_mean),
    # Gulrajani et al. 2017
    "wgan-gp": GanType(negative_mean, mean, negative_mean, Penalty(toward_generated, unit_penalty)),
    # Petzka et al. 2018
    "wgan-lp": GanType(
        negative_mean, mean, negative_mean, Penalty(toward_generated, lipschitz_penalty)
    ),
    # Kodali et al. 2017
    "dragan": GanType(
        cross_entropy_to_one,
        cross_entropy_to_zero,
        cross_entropy_to_one,
        Penalty(toward_noise, unit_penalty),
    ),
}
"""Value of `--gan_type` -> losses."""
