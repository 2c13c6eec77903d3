"""PyTorch's weights: the names of animegan2-pytorch and of CartoonGAN, and their conversion."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from anime_tf.conversion.tables import Conversion, NameTable, Source, convert, table_of
from anime_tf.conversion.torch_file import read_state_dict

PORT_EPSILON = 1e-5
"""Of the port's layer norms: PyTorch's default, where the original has 1e-12."""

RESIZES = ("align_corners", "half_pixel")
"""How the port upsamples: its network by default, and its script by default."""

RESIDUAL_BLOCKS = range(4, 12)
"""Numbers of CartoonGAN's residual blocks."""


def kernel(array: np.ndarray) -> np.ndarray:
    """(out, in, height, width) -> (height, width, in, out)."""
    return array.transpose(2, 3, 1, 0)


def depthwise_kernel(array: np.ndarray) -> np.ndarray:
    """(channels, 1, height, width) -> (height, width, channels, 1)."""
    return array.transpose(2, 3, 0, 1)


def first_kernel(array: np.ndarray) -> np.ndarray:
    """`kernel`, with channels in turned from BGR to RGB."""
    return kernel(array)[:, :, ::-1]


def last_kernel(array: np.ndarray) -> np.ndarray:
    """`kernel`, with channels out turned from BGR to RGB."""
    return kernel(array)[..., ::-1]


def last_bias(array: np.ndarray) -> np.ndarray:
    """Channels turned from BGR to RGB."""
    return array[::-1]


def _animegan_v2() -> dict[str, Source]:
    sources: dict[str, Source] = {}

    def norm(ours: str, theirs: str) -> None:
        sources[f"{ours}/gamma"] = Source(f"{theirs}.weight")
        sources[f"{ours}/beta"] = Source(f"{theirs}.bias")

    def block(ours: str, theirs: str) -> None:
        sources[f"{ours}/conv/kernel"] = Source(f"{theirs}.1.weight", kernel)
        norm(f"{ours}/norm", f"{theirs}.2")

    # Stage -> places of its CNL blocks; between those of C lie the residual blocks.
    for stage, places in {
        "A": (0, 1, 2),
        "B": (0, 1),
        "C": (0, 5),
        "D": (0, 1),
        "E": (0, 1, 2),
    }.items():
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
    residuals = [f"{i:02}_{j}" for i in RESIDUAL_BLOCKS for j in (1, 2)]
    convs = [f"conv{n}" for n in ("01_1", "02_1", "02_2", "03_1", "03_2", *residuals)]
    convs += [f"deconv{n}" for n in ("01_1", "01_2", "02_1", "02_2", "03_1")]
    sources: dict[str, Source] = {}
    for name in convs:
        # Strided ones of "deconv" too: (in, out, height, width) -> (height, width, out, in).
        sources[f"{name}/kernel"] = Source(f"{name}.weight", kernel)
        sources[f"{name}/bias"] = Source(f"{name}.bias")
    for name in (f"in{n}" for n in ("01_1", "02_1", "03_1", "12_1", "13_1", *residuals)):
        sources[f"{name}/gamma"] = Source(f"{name}.scale")
        sources[f"{name}/beta"] = Source(f"{name}.shift")
    # The published network takes and gives BGR.
    sources["conv01_1/kernel"] = Source("conv01_1.weight", first_kernel)
    sources["deconv03_1/kernel"] = Source("deconv03_1.weight", last_kernel)
    sources["deconv03_1/bias"] = Source("deconv03_1.bias", last_bias)
    return sources


TABLES: dict[str, NameTable] = {
    "animegan_v2": NameTable(_animegan_v2()),
    "cartoongan": NameTable(_cartoongan()),
}
"""Name of a generator -> its names in PyTorch's state dicts."""


def convert_torch(
    path: str | os.PathLike[str], model: str | None = None, resize: str | None = None
) -> Conversion:
    """Converts a generator's state dict, of animegan2-pytorch or of CartoonGAN's PyTorch code.

    PyTorch need not be installed, and nothing in the file is executed.

    Args:
        path: The file, ``.pt`` or ``.pth``.
        model: Which generator it holds, a key of `TABLES`; None to tell by its names.
        resize: How animegan2-pytorch is to upsample, one of `RESIZES`; the weights serve both.
            None: the first, and the only choice for another generator.

    Returns:
        The generator under the float32 policy, equal to the port: with its epsilon and its resize.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, or is not such a generator: the message then lists both
            sides of every mismatch.
    """
    return convert_arrays(read_state_dict(path), str(path), TABLES, model, resize)


def convert_folder(
    path: str | os.PathLike[str], model: str | None = None, resize: str | None = None
) -> Conversion:
    """Converts CartoonGAN's published arrays: a folder with a ``NAME.npy`` for each.

    Args:
        path: The folder, of ``conv01_1.weight.npy`` and so on, or the ``.pth`` file.
        model: "cartoongan" or None.
        resize: None; there is nothing to choose.

    Returns:
        The generator under the float32 policy; it takes and gives RGB.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It cannot be read, or is not such a generator.
    """
    path = Path(path)
    tables = {"cartoongan": TABLES["cartoongan"]}
    if path.is_file():
        return convert_arrays(read_state_dict(path), str(path), tables, model, resize)
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: no such folder; expected one of NAME.npy files, or a .pth"
        )
    arrays = {}
    for file in sorted(path.glob("*.npy")):
        try:
            arrays[file.name.removesuffix(".npy")] = np.load(file, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(f"{file}: not a whole array of numbers ({reason})") from error
    if not arrays:
        raise FileNotFoundError(f"{path}: holds no .npy files; expected conv01_1.weight.npy, ...")
    return convert_arrays(arrays, str(path), tables, model, resize)


def convert_arrays(
    arrays: dict[str, np.ndarray],
    source: str,
    tables: dict[str, NameTable],
    model: str | None,
    resize: str | None,
) -> Conversion:
    """Converts the arrays of a state dict; see `convert_torch`."""
    model = table_of(tables, arrays, model)
    if model != "animegan_v2" and resize is not None:
        raise ValueError(f"{source}: {model} has no resize to choose; leave {resize!r} out")
    resize = resize or RESIZES[0]
    if resize not in RESIZES:
        raise ValueError(f"resize must be one of {', '.join(RESIZES)}, received {resize!r}")
    options = {"upsampling": resize, "epsilon": PORT_EPSILON} if model == "animegan_v2" else {}
    shapes = {name: array.shape for name, array in arrays.items()}
    return convert(
        model,
        tables[model],
        shapes,
        arrays.__getitem__,
        source=source,
        options=options,
        run=_runner(model, arrays, resize),
        by="PyTorch's operations",
    )


def _runner(
    model: str, arrays: dict[str, np.ndarray], resize: str
) -> Callable[[np.ndarray], np.ndarray] | None:
    """What the source makes of pictures, by PyTorch where that is installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    from anime_tf.conversion import torch_networks

    run: dict[str, Callable[..., np.ndarray]] = {
        "animegan_v2": partial(torch_networks.animegan2, resize=resize),
        "cartoongan": torch_networks.cartoongan,
    }
    return partial(run[model], arrays)
