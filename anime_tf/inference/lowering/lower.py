"""`lower`: a generator of the reference definition -> the same function, fast on one runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

from anime_tf.inference.lowering.cpu import (
    CpuDoubleNorm,
    CpuLADE,
    CpuPictureNorm,
    CpuReflectPad,
)
from anime_tf.inference.lowering.norm_statistics import (
    Choose,
    fuse_norm_statistics,
    override_norm_statistics,
)
from anime_tf.inference.lowering.resize import NativeUpsample2x, TileBox, TileUpsample2x
from anime_tf.inference.lowering.upsample_conv import (
    PhasesConvNormLReLU,
    TransposedConvNormLReLU,
    can_fuse,
)
from anime_tf.models.generator import Generator
from anime_tf.models.layers import ConvNormLReLU, ReflectPad
from anime_tf.models.norms import LADE, DoubleNorm, PictureNorm
from anime_tf.models.tree import Replace, recast, swap_layers
from anime_tf.models.upsampling import Upsample2x


@dataclass(frozen=True)
class LoweringConfig:
    """Choice of implementations for one runtime.

    Attributes:
        cpu_optimized: Use TensorFlow operations that are fast on a CPU. Statistics are then taken
            over the whole batch, so it must hold a single picture.
        fused_upsample_conv: Legacy upsampling and the 3x3 convolution after it as one: by four
            "phases", or "transposed"; see `upsample_conv`. None computes one after the other.
    """

    cpu_optimized: bool = False
    fused_upsample_conv: Literal["phases", "transposed"] | None = None


PORTABLE = LoweringConfig()  # few kinds of operators, which every runtime has: for exports and GPUs
# TensorFlow on a CPU, one picture at a time
CPU = LoweringConfig(cpu_optimized=True, fused_upsample_conv="phases")

# OpenVINO, which optimizes the rest itself
OPENVINO = LoweringConfig(fused_upsample_conv="transposed")


def lower(
    generator: Generator,
    config: LoweringConfig,
    *,
    statistics: Any = None,
    choose: Choose | None = None,
    tile: TileBox | None = None,
) -> Any:
    """Make a copy of a generator whose layers are replaced for a runtime; weights are shared.

    It takes milliseconds and may be called while a graph is traced, with its tensors. `statistics`,
    (k,) of all norms, are fused (`fuse_norm_statistics`); `choose` decides which statistics each
    norm uses (`override_norm_statistics`); `tile` places the input in a larger picture, for
    `align_corners` upsampling.

    Returns a function of pictures (n, height, width, 3) in [-1, 1], with `training=False`; its
    result has the same shape, float32.

    Raises:
        ValueError: The number of statistics does not fit the generator.
    """
    table: dict[Any, Replace] = {Upsample2x: lambda layer: _upsample(layer, config, tile)}
    if config.cpu_optimized:
        table[PictureNorm] = recast(CpuPictureNorm)
        table[LADE] = recast(CpuLADE)
        table[DoubleNorm] = recast(CpuDoubleNorm)
        table[ReflectPad] = recast(CpuReflectPad)
    if config.fused_upsample_conv is not None:
        block = {"phases": PhasesConvNormLReLU, "transposed": TransposedConvNormLReLU}
        fused = recast(block[config.fused_upsample_conv])
        table[ConvNormLReLU] = lambda layer: fused(layer) if can_fuse(layer) else layer
    instances: dict[int, Replace] = {}
    if statistics is not None:
        instances = fuse_norm_statistics(generator, statistics, choose)
    elif choose is not None:
        instances = override_norm_statistics(generator, choose)
    return swap_layers(generator, table, instances)


def tensorflow_lowering() -> LoweringConfig:
    """Return the lowering for TensorFlow on this machine: `PORTABLE` on GPUs, else `CPU`."""
    return PORTABLE if tf.config.list_physical_devices("GPU") else CPU


def _upsample(layer: Any, config: LoweringConfig, tile: TileBox | None) -> Any:
    if tile is not None and layer.mode == "align_corners":
        return recast(TileUpsample2x, tile=tile)(layer)
    # Exports keep aligned corners as reference operations, which all runtimes compute alike.
    if config.cpu_optimized or layer.mode != "align_corners":
        return recast(NativeUpsample2x)(layer)
    return layer
