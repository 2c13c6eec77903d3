"""TensorFlow 1 checkpoints: name tables and conversion.

Nothing in a checkpoint is executed; its graph (``.meta``) is not even opened.
"""

from __future__ import annotations

import contextlib
import glob
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anime_tf.conversion import name_table
from anime_tf.conversion.name_table import (
    Conversion,
    Ignored,
    NameTable,
    Shapes,
    Source,
    select_model,
)
from anime_tf.errors import reading
from anime_tf.io.plain_file import check_plain_file


def _numbered(name: str, number: int) -> str:
    """Return TensorFlow 1's name of the nth layer in a scope: Conv, Conv_1, Conv_2, ..."""
    return f"{name}_{number}" if number else name


class _Names(dict[str, str]):
    """Path of a weight -> name of its variable."""

    def add_norm(self, ours: str, theirs: str) -> None:
        self.update({f"{ours}/{weight}": f"{theirs}/{weight}" for weight in ("gamma", "beta")})

    @property
    def sources(self) -> dict[str, Source]:
        return {ours: Source(theirs) for ours, theirs in self.items()}


def _animegan_v1() -> dict[str, Source]:
    root, names = "generator/G_MODEL", _Names()
    norm = names.add_norm
    # Stage -> its blocks in order; the originals made the strided half of a Downsample first.
    for stage, blocks in {
        "b1": ("conv 0", "conv 1", "sep down/strided", "sep down/resized"),
        "b2": ("conv 0", "sep 1", "sep down/strided", "sep down/resized"),
        "m": ("conv 0", "conv 1"),
        "u2": ("sep 0", "sep 1", "conv 2"),
        "u1": ("sep 0", "conv 1", "conv 2"),
    }.items():
        convs = seps = 0
        for kind, block in (words.split() for words in blocks):
            ours = f"{stage}_{block}"
            if kind == "conv":
                names[f"{ours}/conv/kernel"] = f"{root}/{stage}/{_numbered('Conv', convs)}/weights"
                norm(f"{ours}/norm", f"{root}/{stage}/{_numbered('InstanceNorm', convs)}")
                convs += 1
            else:
                scope = f"{root}/{stage}/{_numbered('SeparableConv2d', seps)}"
                names[f"{ours}/depthwise/kernel"] = f"{scope}/depthwise_weights"
                names[f"{ours}/pointwise/kernel"] = f"{scope}/pointwise_weights"
                norm(f"{ours}/norm", f"{scope}/InstanceNorm")
                seps += 1
    for block in (f"r{i}" for i in range(1, 9)):
        scope = f"{root}/m/{block}"
        names[f"{block}/expand/conv/kernel"] = f"{scope}/Conv/weights"
        names[f"{block}/depthwise/kernel"] = f"{scope}/{block}/w"
        names[f"{block}/project/kernel"] = f"{scope}/Conv_1/weights"
        norm(f"{block}/expand/norm", f"{scope}/InstanceNorm")
        norm(f"{block}/norm_1", f"{scope}/1")
        norm(f"{block}/norm_2", f"{scope}/2")
    names["out_layer/kernel"] = f"{root}/Conv/weights"
    return names.sources


def _animegan_v2() -> dict[str, Source]:
    root, names = "generator/G_MODEL", _Names()
    # Stage -> number of its CNL blocks.
    for stage, count in {"A": 3, "B": 2, "C": 2, "D": 2, "E": 3}.items():
        for i in range(count):
            names[f"{stage}_{i}/conv/kernel"] = f"{root}/{stage}/{_numbered('Conv', i)}/weights"
            names.add_norm(f"{stage}_{i}/norm", f"{root}/{stage}/{_numbered('LayerNorm', i)}")
    # Inverted residual blocks; the depthwise convolution's scope repeats the block's name.
    for block in ("r1", "r2", "r3", "r4"):
        scope = f"{root}/C/{block}"
        names[f"{block}/expand/conv/kernel"] = f"{scope}/Conv/weights"
        names[f"{block}/depthwise/kernel"] = f"{scope}/{block}/w"
        names[f"{block}/depthwise/bias"] = f"{scope}/{block}/bias"
        names[f"{block}/project/kernel"] = f"{scope}/Conv_1/weights"
        for ours, theirs in (("expand/norm", "LayerNorm"), ("norm_1", "1"), ("norm_2", "2")):
            names.add_norm(f"{block}/{ours}", f"{scope}/{theirs}")
    names["out_layer/kernel"] = f"{root}/out_layer/Conv/weights"
    # Both sides store kernels as (height, width, in, out), depthwise as (height, width, in, 1).
    return names.sources


def _animegan_v2_light() -> dict[str, Source]:
    root, names = "generator/G_MODEL", _Names()
    # Flat names, numbered in the original's order of construction.
    convs = norms = 0
    for block in (
        *("x0", "x1_0", "x1_1", "x2_0", "x2_1", "x3_0", "x3_1"),
        *("res1", "res2", "res3", "res4"),
        *("x4_0", "x4_1", "x5_0", "x5_1", "x6_0", "x6_1"),
    ):
        if block.startswith("res"):
            kernels: tuple[str, ...] = ("reduce/conv/kernel", "conv/conv/kernel", "expand/kernel")
            scopes = {"reduce/norm": f"{block}_1", "conv/norm": f"{block}_2"}
        else:
            kernels, scopes = ("conv/kernel",), {"norm": _numbered("LayerNorm", norms)}
            norms += 1
        for kernel in kernels:
            names[f"{block}/{kernel}"] = f"{root}/{_numbered('Conv', convs)}/weights"
            convs += 1
        for norm, scope in scopes.items():
            names.add_norm(f"{block}/{norm}", f"{root}/{scope}")
    names["out_layer/kernel"] = f"{root}/out_layer/Conv/weights"
    return names.sources


def _reversed(axis: int) -> Callable[[np.ndarray], np.ndarray]:
    """Reverse an axis of channels from BGR to RGB."""
    return lambda array: np.flip(array, axis)


def _whitebox() -> dict[str, Source]:
    convs = ("x0", "x1_0", "x1_1", "x2_0", "x2_1", "x2_up", "x3_0", "x3_1", "x4_0", "x4_1")
    scopes = {name: f"generator/{_numbered('Conv', i)}" for i, name in enumerate(convs)}
    for i in range(4):
        for conv in ("conv1", "conv2"):
            scopes[f"block_{i}_{conv}"] = f"generator/block_{i}/{conv}"
    sources = {}
    for name, scope in scopes.items():
        sources[f"{name}/kernel"] = Source(f"{scope}/weights")
        sources[f"{name}/bias"] = Source(f"{scope}/biases")
    # The published network works on BGR.
    sources["x0/kernel"] = Source("generator/Conv/weights", _reversed(2))
    sources["x4_1/kernel"] = Source("generator/Conv_9/weights", _reversed(3))
    sources["x4_1/bias"] = Source("generator/Conv_9/biases", _reversed(0))
    return sources


V3_NORM = {"gamma": "", "beta": "_1", "moving_mean": "_2", "moving_variance": "_3"}
"""Weight of the attention's batch norm -> suffix of the original's `Variable`."""

BATCH_NORMS = {"inference": "generator_1", "training": "generator"}
"""Set of batch norm values in an AnimeGANv3 checkpoint -> its scope. The published inference graph
made a set of its own, which training never changes (y / sqrt(1.001)), and the published models use
it; the set that training learned was never used for inference."""


def v3_tail(tail: str, batch_norm: str) -> dict[str, str]:
    """Map the weights of a tail of AnimeGANv3 to the original's names."""
    names = _v3_blocks(f"generator/{tail}", ("u4_0", "u4_1", "u5_0", "u5_1", "u6_0", "u6_1"))
    names["out_layer/kernel"] = f"generator/{tail}/Conv_12/weights"
    attention = f"{tail}/External_attention"
    names["attention/kernel"] = f"generator/{attention}/kernel"
    names["attention/conv_0/kernel"] = f"generator/{attention}/Conv/weights"
    names["attention/conv_1/kernel"] = f"generator/{attention}/Conv_1/weights"
    for weight, suffix in V3_NORM.items():
        scope = BATCH_NORMS[batch_norm]
        names[f"attention/norm/{weight}"] = f"{scope}/{attention}/Variable{suffix}"
    return names


def _v3_blocks(scope: str, blocks: Sequence[str]) -> dict[str, str]:
    names = {}
    for i, block in enumerate(blocks):  # each has its convolution, then LADE's
        names[f"{block}/conv/kernel"] = f"{scope}/{_numbered('Conv', 2 * i)}/weights"
        names[f"{block}/norm/conv/kernel"] = f"{scope}/{_numbered('Conv', 2 * i + 1)}/weights"
    return names


def _animegan_v3(batch_norm: str) -> dict[str, Source]:
    base = ("x0", "x1_0", "x1_1", "x2_0", "x2_1", "x3_0", "x3_1")
    names = _Names({f"base/{k}": v for k, v in _v3_blocks("generator/base", base).items()})
    names.update({f"main/{k}": v for k, v in v3_tail("main", batch_norm).items()})
    return names.sources


# Variables of a training checkpoint that the generator does not need.
TRAINING_ONLY = (
    Ignored(re.compile(r".+/Adam(_\d+)?"), "state of the Adam optimizer"),
    Ignored(re.compile(r"(.+/)?beta[12]_power(_\d+)?"), "state of the Adam optimizer"),
    Ignored(re.compile(r"discriminator(_main)?/.+"), "discriminator, needed for training only"),
    Ignored(re.compile(r"(.+/)?global_step"), "count of training steps"),
)

V3_TABLES = {
    batch_norm: NameTable(
        _animegan_v3(batch_norm),
        (
            *TRAINING_ONLY,
            Ignored(re.compile(r"generator(_1)?/support/.+"), "support tail, of training only"),
            Ignored(
                re.compile(r"generator(_1)?/main/External_attention/Variable(_\d)?"),
                "values of the attention's batch norm that were not asked for",
            ),
        ),
    )
    for batch_norm in BATCH_NORMS
}
"""Set of batch norm values -> the name table of AnimeGANv3."""

# Key of a generator in `models.registry` -> its names in TensorFlow 1 checkpoints.
TABLES: dict[str, NameTable] = {
    "animegan_v2": NameTable(_animegan_v2(), TRAINING_ONLY),
    "animegan_v2_light": NameTable(_animegan_v2_light(), TRAINING_ONLY),
    "animegan_v1": NameTable(_animegan_v1(), TRAINING_ONLY),
    "whitebox": NameTable(_whitebox()),
    "animegan_v3": V3_TABLES["inference"],
}


def convert_tf1(
    path: str | os.PathLike[str], model: str | None = None, batch_norm: str | None = None
) -> Conversion:
    """Convert the generator of a TensorFlow 1 checkpoint.

    Args:
        path: As for `find_checkpoint`.
        model: The generator, a key of `TABLES`; by default the best match of the names.
        batch_norm: For AnimeGANv3 a key of `BATCH_NORMS`; by default "inference".

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: It cannot be read, or is not such a generator; lists both sides of every
            mismatch.
    """
    if model is not None:
        select_model(TABLES, (), model)
    source = Checkpoint(path)
    prefix, shapes, read = source.prefix, source.shapes, source.read
    model = select_model(TABLES, shapes, model)
    table = TABLES[model]
    if batch_norm is not None:
        if model != "animegan_v3":
            raise ValueError(f"{prefix}: expected no batch_norm for {model}, got {batch_norm!r}")
        table = V3_TABLES[batch_norm]
    if model == "animegan_v3":
        shapes, read = _add_identity_norm(shapes, read)

    def reference(pictures: np.ndarray) -> np.ndarray:
        from anime_tf.conversion.tf1_reference import NETWORKS

        return NETWORKS[model]({name: read(name) for name in table.names}, pictures)

    return name_table.convert(
        *(model, table, shapes, read, str(prefix)),
        reference=reference,
        reference_name="TensorFlow 1's operations",
    )


def _add_identity_norm(
    shapes: dict[str, tuple[int, ...]], read: Callable[..., np.ndarray]
) -> tuple[dict[str, tuple[int, ...]], Callable[..., np.ndarray]]:
    """Add the inference graph's batch norm to a checkpoint that lacks it: it is the identity."""
    scope = f"{BATCH_NORMS['inference']}/main/External_attention/Variable"
    memory = shapes.get("generator/main/External_attention/kernel")
    if memory is None or any(name.startswith(scope) for name in shapes):
        return shapes, read
    values = {f"{scope}{suffix}": float(suffix in ("", "_3")) for suffix in V3_NORM.values()}
    channels = memory[1:2]

    def read_all(name: str, **options: Any) -> np.ndarray:
        return np.full(channels, values[name]) if name in values else read(name, **options)

    return {**shapes, **dict.fromkeys(values, channels)}, read_all


def find_checkpoint(path: str | os.PathLike[str]) -> Path:
    """Find a checkpoint's prefix: the path of its ``.index`` file without that suffix.

    Args:
        path: A folder with a ``checkpoint`` file or a single checkpoint, a prefix, or one of a
            checkpoint's files (``checkpoint``, ``.index``, ``.data-...``, ``.meta``).

    Raises:
        FileNotFoundError: There is none, or one of its files is missing.
        ValueError: The folder holds several and names none.
    """
    path = Path(path)
    if path.name == "checkpoint" and path.is_file():
        path = path.parent
    if path.is_dir():
        prefix = _newest_in(path)
    else:
        name = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path.name)
        prefix = path.with_name(name)
        if not _index(prefix).is_file():
            if path.is_file() and name == path.name:
                raise ValueError(
                    f"{path}: expected a TensorFlow 1 checkpoint (files PREFIX.index and "
                    "PREFIX.data-00000-of-00001), got another kind of file"
                )
            raise FileNotFoundError(
                f"{_index(prefix)}: no such file; expected a folder with a TensorFlow 1 "
                "checkpoint, or a prefix PATH such that PATH.index exists"
            )
    if not list(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-?????-of-?????")):
        raise FileNotFoundError(
            f"{prefix}.data-00000-of-00001: no such file; a checkpoint's values lie beside its "
            ".index file: copy both"
        )
    return prefix


def _newest_in(folder: Path) -> Path:
    """Return the prefix that the folder's ``checkpoint`` file names, or the only one in it."""
    record = folder / "checkpoint"
    if record.is_file():
        text = record.read_text(encoding="utf-8", errors="replace")
        named = re.search(r'^model_checkpoint_path:\s*"(.*)"', text, re.MULTILINE)
        if named is None:
            raise ValueError(
                f"{record}: expected a line 'model_checkpoint_path: \"NAME\"', got none"
            )
        # Usually a path on the machine that trained; only its last part exists here.
        name = re.split(r"[/\\]", named[1])[-1]
        for prefix in (folder / named[1], folder / name):
            if _index(prefix).is_file():
                return prefix
        raise FileNotFoundError(
            f"{folder / name}.index: no such file, though {record} names it; copy it there, or "
            "give the prefix of another checkpoint"
        )
    found = sorted(folder.glob("*.index"))
    if len(found) > 1:
        names = ", ".join(index.stem for index in found)
        raise ValueError(
            f"{folder}: expected one checkpoint, got several checkpoints ({names}); give the "
            "prefix of one"
        )
    if not found:
        raise FileNotFoundError(
            f"{folder}: expected a TensorFlow 1 checkpoint (a file 'checkpoint', or NAME.index "
            "and NAME.data-00000-of-00001), got a folder without one"
        )
    return found[0].with_suffix("")


def _index(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")


def check_declared(prefix: Path, shapes: Shapes) -> None:
    """Raise ValueError if a checkpoint declares more values than its files have bytes."""
    files = list(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))
    for file in files:
        check_plain_file(file, "the values of a checkpoint")
    count, size = sum(map(math.prod, shapes.values())), sum(file.stat().st_size for file in files)
    if count > size + len(shapes):  # strings may be empty
        raise ValueError(f"expected variables within {size} bytes, got {count} values")


class Checkpoint:
    """A checkpoint: its prefix, and name of each variable -> shape.

    Args:
        path: As for `find_checkpoint`, like its errors; ValueError for a damaged one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import tensorflow as tf

        self.prefix = find_checkpoint(path)
        with self._reading():
            self._reader = tf.train.load_checkpoint(os.fspath(self.prefix))
            shapes = self._reader.get_variable_to_shape_map()
            check_declared(self.prefix, shapes)
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}

    def read(self, name: str, integer: bool = False) -> np.ndarray:
        """Read a variable of floats, or of integers; ValueError for numbers of another kind."""
        with self._reading():
            value: Any = self._reader.get_tensor(name)
        if not np.issubdtype(value.dtype, np.integer if integer else np.floating):
            kind = "integers" if integer else "floats"
            raise ValueError(f"{self.prefix}: {name}: expected {kind}, got {value.dtype}")
        return value

    def _reading(self) -> contextlib.AbstractContextManager[None]:
        remedy = "; it is cut off, damaged or none of TensorFlow's: copy or download it anew"
        return reading(self.prefix, "a TensorFlow checkpoint", remedy)
