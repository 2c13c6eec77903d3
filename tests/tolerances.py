"""Tolerances that follow from the number type and the count of roundings, on every CPU.

Each addition and each stored value is rounded by at most half a unit in the last place, and
independent roundings add up like a random walk. Libraries pick the order of additions by the
instruction set (SSE 4.1, AVX2, AVX-512, AMX), so a tolerance that was measured on one machine fails
on the next.
"""

from __future__ import annotations

import math

HALF_UNIT = {
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}
"""Largest relative error of one rounding: half a unit in the last place of the significand."""

LEVEL = 1
"""Of 255: two results that differ by rounding may lie on either side of a border."""

DEVIATIONS = 4
"""The largest of a picture's values lies about this many standard deviations from the mean."""


def rounding(count: int = 1, dtype: str = "float32", scale: float = 1.0) -> float:
    """Returns the largest error of values near `scale` that `count` roundings explain."""
    return DEVIATIONS * HALF_UNIT[dtype] * math.sqrt(count) * scale


FEW_ROUNDINGS = rounding(16)
"""1e-6: of values near 1, or relative, after some sixteen operations in float32."""


def network_rounding(layers: int, terms: int, dtype: str = "float32") -> float:
    """Returns the largest error of a network with outputs in [-1, 1].

    Args:
        layers: convolutions on the way; the norms between them keep values near 1.
        terms: products that a typical convolution sums for one value. They are summed in float32
            in every precision; then convolution, norm and activation round to `dtype`.
    """
    return rounding(layers * terms) if dtype == "float32" else rounding(3 * layers, dtype)


AMPLIFY_ROUNDING = {"animegan_v1", "cartoongan"}
"""Networks with instance norms: over a flat feature map they divide mere rounding by sqrt(epsilon),
layer after layer, so the kernels of the CPU alone decide what becomes of a flat picture."""


def picture_tolerance(tolerance: float, network: str, shape: tuple[int, ...]) -> float:
    """Returns the tolerance between two ways to run a network on a picture.

    Args:
        tolerance: the largest difference that rounding explains.
        network: name in the registry.
        shape: of the picture, (..., height, width, channels).

    Returns:
        `tolerance`; infinity, which still demands numbers of the right shape, for a single pixel
        (padding makes it a flat picture) and a network that amplifies rounding on flat pictures.
    """
    is_flat = shape[-3:-1] == (1, 1)
    return math.inf if is_flat and network in AMPLIFY_ROUNDING else tolerance
