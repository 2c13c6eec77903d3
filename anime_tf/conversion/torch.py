"""PyTorch weights of animegan2-pytorch and CartoonGAN: name tables and conversion."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from anime_tf.conversion import name_table
from anime_tf.conversion.config import UPSAMPLINGS
from anime_tf.conversion.name_table import Conversion, NameTable, Source, Transform, select_model
from anime_tf.conversion.torch_file import read_state_dict
from anime_tf.errors import reading
from anime_tf.io.arrays import read_npy
from anime_tf.io.plain_file import MAX_WEIGHTS_BYTES, open_plain_file

PORT_EPSILON = 1e-5  # of animegan2-pytorch's layer norms: PyTorch's default, not the original 1e-12


def kernel(array: np.ndarray) -> np.ndarray:
    """(out, in, height, width) -> (height, width, in, out)."""
    return array.transpose(2, 3, 1, 0)


def depthwise_kernel(array: np.ndarray) -> np.ndarray:
    """(channels, 1, height, width) -> (height, width, channels, 1)."""
    return array.transpose(2, 3, 0, 1)


def first_kernel(array: np.ndarray) -> np.ndarray:
    """`kernel` with input channels flipped from BGR to RGB."""
    return kernel(array)[:, :, ::-1]


def last_kernel(array: np.ndarray) -> np.ndarray:
    """`kernel` with output channels flipped from BGR to RGB."""
    return kernel(array)[..., ::-1]


def last_bias(array: np.ndarray) -> np.ndarray:
    """Channels flipped from BGR to RGB."""
    return array[::-1]


def _animegan_v2() -> dict[str, Source]:
    sources: dict[str, Source] = {}

    def norm(ours: str, theirs: str) -> None:
        sources[f"{ours}/gamma"] = Source(f"{theirs}.weight")
        sources[f"{ours}/beta"] = Source(f"{theirs}.bias")

    def block(ours: str, theirs: str) -> None:
        sources[f"{ours}/conv/kernel"] = Source(f"{theirs}.1.weight", kernel)
        norm(f"{ours}/norm", f"{theirs}.2")

    # Stage -> indices of its CNL blocks; C's residual blocks lie between its own.
    for stage, places in {"A": "012", "B": "01", "C": "05", "D": "01", "E": "012"}.items():
        for number, place in enumerate(places):
            block(f"{stage}_{number}", f"block_{stage.lower()}.{place}")
    for number in (1, 2, 3, 4):
        ours, theirs = f"r{number}", f"block_c.{number}.layers"
        block(f"{ours}/expand", f"{theirs}.0")
        sources[f"{ours}/depthwise/kernel"] = Source(f"{theirs}.1.1.weight", depthwise_kernel)
        sources[f"{ours}/depthwise/bias"] = Source(f"{theirs}.1.1.bias")
        norm(f"{ours}/norm_1", f"{theirs}.1.2")
        sources[f"{ours}/project/kernel"] = Source(f"{theirs}.2.weight", kernel)
        norm(f"{ours}/norm_2", f"{theirs}.3")
    sources["out_layer/kernel"] = Source("out_layer.0.weight", kernel)
    return sources


def _cartoongan() -> dict[str, Source]:
    residuals = [f"{i:02}_{j}" for i in range(4, 12) for j in (1, 2)]
    convs = [f"conv{n}" for n in ("01_1", "02_1", "02_2", "03_1", "03_2", *residuals)]
    convs += [f"deconv{n}" for n in ("01_1", "01_2", "02_1", "02_2", "03_1")]
    sources: dict[str, Source] = {}
    for name in convs:
        # A transposed convolution: (in, out, height, width) -> (height, width, out, in).
        sources[f"{name}/kernel"] = Source(f"{name}.weight", kernel)
        sources[f"{name}/bias"] = Source(f"{name}.bias")
    for name in (f"in{n}" for n in ("01_1", "02_1", "03_1", "12_1", "13_1", *residuals)):
        sources[f"{name}/gamma"] = Source(f"{name}.scale")
        sources[f"{name}/beta"] = Source(f"{name}.shift")
    # The published network works on BGR.
    sources["conv01_1/kernel"] = Source("conv01_1.weight", first_kernel)
    sources["deconv03_1/kernel"] = Source("deconv03_1.weight", last_kernel)
    sources["deconv03_1/bias"] = Source("deconv03_1.bias", last_bias)
    return sources


# Key of a generator in `models.registry` -> its names in PyTorch state dicts.
TABLES: dict[str, NameTable] = {
    "animegan_v2": NameTable(_animegan_v2()),
    "cartoongan": NameTable(_cartoongan()),
}


def convert_torch(
    path: str | os.PathLike[str], model: str | None = None, upsampling: str | None = None
) -> Conversion:
    """Convert a generator's state dict, of animegan2-pytorch or of CartoonGAN's PyTorch code.

    PyTorch need not be installed, and nothing in the file is executed.

    Args:
        path: The file, ``.pt`` or ``.pth``.
        model: The generator, a key of `TABLES`; by default the best match of the names.
        upsampling: Upsampling of animegan2-pytorch, one of `UPSAMPLINGS` for the same weights, by
            default the first. None for other generators.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It cannot be read, or is not such a generator; lists both sides of every
            mismatch.
    """
    return _convert(read_state_dict(path), str(path), TABLES, model, upsampling)


def convert_folder(
    path: str | os.PathLike[str], model: str | None = None, upsampling: str | None = None
) -> Conversion:
    """Convert CartoonGAN's published arrays: a folder of ``NAME.npy`` files, or the ``.pth`` file.

    Raises:
        FileNotFoundError: The folder does not exist or holds no arrays.
        ValueError: An array cannot be read, they are not such a generator, or another `model` or
            an `upsampling` is asked for.
    """
    path = Path(path)
    tables = {"cartoongan": TABLES["cartoongan"]}
    if path.is_file():
        return _convert(read_state_dict(path), str(path), tables, model, upsampling)
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: no such folder; expected one of NAME.npy files, or a .pth"
        )
    arrays = {}
    for file in sorted(path.glob("*.npy")):
        expected = "a whole array of numbers"
        with (
            reading(file, expected),
            open_plain_file(file, expected, MAX_WEIGHTS_BYTES) as opened,
        ):
            arrays[file.name.removesuffix(".npy")] = read_npy(opened, file.stat().st_size)
    if not arrays:
        raise FileNotFoundError(
            f"{path}: expected conv01_1.weight.npy, ..., got a folder without .npy files"
        )
    return _convert(arrays, str(path), tables, model, upsampling)


def _convert(
    arrays: dict[str, np.ndarray],
    source: str,
    tables: Mapping[str, NameTable],
    model: str | None,
    upsampling: str | None,
) -> Conversion:
    model = select_model(tables, arrays, model)
    if model != "animegan_v2" and upsampling is not None:
        raise ValueError(
            f"{source}: {model} has no upsampling to choose, got {upsampling!r}; omit it"
        )
    upsampling = upsampling or UPSAMPLINGS[0]
    if upsampling not in UPSAMPLINGS:
        raise ValueError(
            f"expected upsampling to be one of {', '.join(UPSAMPLINGS)}, got {upsampling!r}"
        )
    options = {"upsampling": upsampling, "epsilon": PORT_EPSILON} if model == "animegan_v2" else {}
    return name_table.convert(
        model,
        tables[model],
        {name: array.shape for name, array in arrays.items()},
        arrays.__getitem__,
        source=source,
        options=options,
        reference=_reference(model, arrays, upsampling),
        reference_name="PyTorch's operations",
    )


def _reference(model: str, arrays: dict[str, np.ndarray], upsampling: str) -> Transform | None:
    """Return the network in PyTorch, or None where PyTorch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    from anime_tf.conversion import torch_reference

    if model == "animegan_v2":
        return partial(torch_reference.animegan2, arrays, upsampling=upsampling)
    return partial(torch_reference.cartoongan, arrays)
