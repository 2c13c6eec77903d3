"""Conversion of legacy weights to `.keras` archives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from anime_tf.conversion import tf1, torch
from anime_tf.conversion.config import ConvertConfig
from anime_tf.conversion.name_table import Conversion
from anime_tf.conversion.verify import Verification, check_archive
from anime_tf.io.atomic import atomic_file
from anime_tf.models.archive import save_generator

SOURCES: dict[str, Callable[[ConvertConfig], Conversion]] = {
    "tf1": lambda config: tf1.convert_tf1(config.input, config.model, config.batch_norm),
    "torch": lambda config: torch.convert_torch(config.input, config.model, config.upsampling),
    "cartoongan": lambda config: torch.convert_folder(
        config.input, config.model, config.upsampling
    ),
}
"""Kind of weights -> function that reads and converts them."""


def convert_file(config: ConvertConfig) -> tuple[Conversion, Verification | None]:
    """Convert weights and write the archive, unless its verification fails.

    Returns:
        The conversion, and the result of `check_archive`; None without `config.verify`.
    """
    conversion = SOURCES[config.source](config)
    with atomic_file(Path(config.output), ".keras") as temporary:
        save_generator(conversion.model, temporary)
        verification = check_archive(temporary, conversion) if config.verify else None
        if verification is not None and verification.failure:
            temporary.unlink()
    return conversion, verification
