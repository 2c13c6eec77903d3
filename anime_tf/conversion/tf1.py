"""TensorFlow 1 checkpoints: their names, and their conversion.

Nothing of a checkpoint is executed; its graph (``.meta``) is not even opened. What a conversion is
compared with are the originals' networks in `tf1_networks`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from anime_tf.conversion.tables import Conversion, Ignored, NameTable, Source, convert, table_of


def _numbered(name: str, number: int) -> str:
    """TensorFlow 1's name of the layer of that number in a scope: Conv, Conv_1, Conv_2, ..."""
    return f"{name}_{number}" if number else name


def _animegan_v1() -> dict[str, Source]:
    root = "generator/G_MODEL"
    names: dict[str, str] = {}

    def norm(ours: str, theirs: str) -> None:
        for weight in ("gamma", "beta"):
            names[f"{ours}/{weight}"] = f"{theirs}/{weight}"

    # Stage -> its blocks in order; of a Downsample the strided half was made first.
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
    return {ours: Source(theirs) for ours, theirs in names.items()}


def _animegan_v2() -> dict[str, Source]:
    root = "generator/G_MODEL"
    names: dict[str, str] = {}
    # CNL blocks of the five stages: stage -> how many.
    for stage, count in {"A": 3, "B": 2, "C": 2, "D": 2, "E": 3}.items():
        for i in range(count):
            names[f"{stage}_{i}/conv/kernel"] = f"{root}/{stage}/{_numbered('Conv', i)}/weights"
            for weight in ("gamma", "beta"):
                norm = f"{root}/{stage}/{_numbered('LayerNorm', i)}"
                names[f"{stage}_{i}/norm/{weight}"] = f"{norm}/{weight}"
    # Inverted residual blocks; their depthwise convolution lies in a scope of the block's own name.
    for block in ("r1", "r2", "r3", "r4"):
        scope = f"{root}/C/{block}"
        names[f"{block}/expand/conv/kernel"] = f"{scope}/Conv/weights"
        names[f"{block}/depthwise/kernel"] = f"{scope}/{block}/w"
        names[f"{block}/depthwise/bias"] = f"{scope}/{block}/bias"
        names[f"{block}/project/kernel"] = f"{scope}/Conv_1/weights"
        for weight in ("gamma", "beta"):
            names[f"{block}/expand/norm/{weight}"] = f"{scope}/LayerNorm/{weight}"
            names[f"{block}/norm_1/{weight}"] = f"{scope}/1/{weight}"
            names[f"{block}/norm_2/{weight}"] = f"{scope}/2/{weight}"
    names["out_layer/kernel"] = f"{root}/out_layer/Conv/weights"
    # Both sides keep kernels as (height, width, in, out), depthwise as (height, width, in, 1).
    return {ours: Source(theirs) for ours, theirs in names.items()}


def _animegan_v2_light() -> dict[str, Source]:
    root = "generator/G_MODEL"
    names: dict[str, str] = {}
    # Flat names, numbered in the order in which the original makes its layers.
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
            for weight in ("gamma", "beta"):
                names[f"{block}/{norm}/{weight}"] = f"{root}/{scope}/{weight}"
    names["out_layer/kernel"] = f"{root}/out_layer/Conv/weights"
    return {ours: Source(theirs) for ours, theirs in names.items()}


TRAINING_ONLY = (
    Ignored(re.compile(r".+/Adam(_\d+)?"), "state of the Adam optimiser"),
    Ignored(re.compile(r"(.+/)?beta[12]_power(_\d+)?"), "state of the Adam optimiser"),
    Ignored(re.compile(r"discriminator/.+"), "discriminator, needed for training only"),
    Ignored(re.compile(r"(.+/)?global_step"), "count of training steps"),
)
"""What a training checkpoint holds beside the generator; the first rule that matches counts."""

TABLES: dict[str, NameTable] = {
    "animegan_v2": NameTable(_animegan_v2(), TRAINING_ONLY),
    "animegan_v2_light": NameTable(_animegan_v2_light(), TRAINING_ONLY),
    "animegan_v1": NameTable(_animegan_v1(), TRAINING_ONLY),
}
"""Name of a generator (as in `models.registry`) -> its names in TensorFlow 1 checkpoints."""


def convert_tf1(path: str | os.PathLike[str], model: str | None = None) -> Conversion:
    """Converts the generator of a TensorFlow 1 checkpoint.

    Args:
        path: A folder with a ``checkpoint`` file (or with one checkpoint), the prefix of a
            checkpoint (``.../Test-1.ckpt``), or one of its files.
        model: Which generator it holds, a key of `TABLES`; None to tell by its names.

    Returns:
        The generator under the float32 policy, and what was left behind.

    Raises:
        FileNotFoundError: There is no checkpoint there.
        ValueError: It cannot be read, or is not such a generator: the message then lists both
            sides of every mismatch.
    """
    if model is not None:
        table_of(TABLES, (), model)  # there is one
    prefix = find_checkpoint(path)
    shapes, read = open_checkpoint(prefix)
    model = table_of(TABLES, shapes, model)

    def run(pictures: np.ndarray) -> np.ndarray:
        from anime_tf.conversion.tf1_networks import NETWORKS

        names = (source.name for source in TABLES[model].sources.values())
        return NETWORKS[model]({name: read(name) for name in names}, pictures)

    by = "TensorFlow 1's operations"
    return convert(model, TABLES[model], shapes, read, source=f"{prefix}", run=run, by=by)


def find_checkpoint(path: str | os.PathLike[str]) -> Path:
    """Finds the prefix of the checkpoint that a user means.

    Args:
        path: A folder, a prefix, or one of a checkpoint's files (``.index``, ``.data-...``,
            ``.meta``, or the file ``checkpoint`` that names the newest one).

    Returns:
        The prefix: the path of the ``.index`` file without that suffix.

    Raises:
        FileNotFoundError: There is none, or one of its files is missing.
        ValueError: A folder with several checkpoints and no word of which one is meant.
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
                    "PREFIX.data-00000-of-00001), found another kind of file"
                )
            raise FileNotFoundError(
                f"{_index(prefix)}: no such file; expected a folder with a TensorFlow 1 "
                "checkpoint, or a prefix PATH such that PATH.index exists"
            )
    if not list(prefix.parent.glob(f"{_escaped(prefix.name)}.data-?????-of-?????")):
        raise FileNotFoundError(
            f"{prefix}.data-00000-of-00001: no such file; a checkpoint's values lie beside its "
            ".index file: copy both"
        )
    return prefix


def _newest_in(folder: Path) -> Path:
    """The checkpoint that the folder's ``checkpoint`` file names, or the only one in it."""
    record = folder / "checkpoint"
    if record.is_file():
        text = record.read_text(encoding="utf-8", errors="replace")
        named = re.search(r'^model_checkpoint_path:\s*"(.*)"', text, re.MULTILINE)
        if named is None:
            raise ValueError(f"{record}: expected a line 'model_checkpoint_path: \"NAME\"'")
        # Usually a path on the machine that trained; its last part lies here.
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
        raise ValueError(f"{folder}: holds several checkpoints ({names}); give the prefix of one")
    if not found:
        raise FileNotFoundError(
            f"{folder}: expected a TensorFlow 1 checkpoint (a file 'checkpoint', or NAME.index "
            "and NAME.data-00000-of-00001), found none"
        )
    return found[0].with_suffix("")


def _index(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def open_checkpoint(prefix: Path) -> tuple[dict[str, tuple[int, ...]], Callable[..., np.ndarray]]:
    """Opens a checkpoint.

    Args:
        prefix: As `find_checkpoint` finds it.

    Returns:
        The shapes of its variables by name, and what reads one of them: a variable of floats, or
        with `whole=True` of whole numbers.

    Raises:
        ValueError: It cannot be read; so does the reader, and for numbers of another kind.
    """
    import tensorflow as tf

    # The reader has Python's nearest error for each status: a file too short is an IndexError.
    failures = (tf.errors.OpError, RuntimeError, ValueError, LookupError)

    def fail(error: Exception) -> ValueError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return ValueError(
            f"{prefix}: the checkpoint is cut off, damaged or none of TensorFlow's ({reason}); "
            "copy or download it anew"
        )

    def read(name: str, whole: bool = False) -> np.ndarray:
        try:
            value: Any = reader.get_tensor(name)
        except failures as error:
            raise fail(error) from error
        if not np.issubdtype(value.dtype, np.integer if whole else np.floating):
            expected = "whole numbers" if whole else "floats"
            raise ValueError(f"{prefix}: {name} holds {value.dtype}, expected {expected}")
        return value

    try:
        reader = tf.train.load_checkpoint(os.fspath(prefix))
        shapes = reader.get_variable_to_shape_map()
    except failures as error:
        raise fail(error) from error
    return {name: tuple(shape) for name, shape in shapes.items()}, read
