"""Readers of legacy weights by kind."""

from __future__ import annotations

from collections.abc import Callable

from anime_tf.conversion import tf1, torch
from anime_tf.conversion.config import ConvertConfig
from anime_tf.conversion.name_table import Conversion

SOURCES: dict[str, Callable[[ConvertConfig], Conversion]] = {
    "tf1": lambda config: tf1.convert_tf1(config.input, config.model),
    "torch": lambda config: torch.convert_torch(config.input, config.model, config.upsampling),
    "cartoongan": lambda config: torch.convert_folder(
        config.input, config.model, config.upsampling
    ),
}
"""Kind of weights -> function that reads and converts them."""
