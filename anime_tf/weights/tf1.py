"""TensorFlow 1 checkpoints: name tables, and the strict converter that works from them.

A table names every weight of a generator and the variable of the original that fills it. The
conversion is a bijection or an error: every weight is filled, and every variable of the checkpoint
is used or falls under a rule that says why it is not needed. Nothing of a checkpoint is executed;
its graph (``.meta``) is not even opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

Transform = Callable[[np.ndarray], np.ndarray]


def unchanged(array: np.ndarray) -> np.ndarray:
    """The transform of a variable that both sides keep alike."""
    return array


@dataclass(frozen=True)
class Source:
    """Where the value of a weight comes from.

    Attributes:
        name: Full name of the variable.
        transform: What turns the variable's value into the weight's.
    """

    name: str
    transform: Transform = unchanged


@dataclass(frozen=True)
class Ignored:
    """Variables that a generator has no use for.

    Attributes:
        pattern: What a variable's full name must match as a whole.
        reason: Why it is not needed.
    """

    pattern: re.Pattern[str]
    reason: str


@dataclass(frozen=True)
class NameTable:
    """How the weights of a generator are named in a legacy format.

    Attributes:
        sources: Path of a weight within its generator -> source.
        ignored: Rules for variables that are left behind.
    """

    sources: Mapping[str, Source]
    ignored: tuple[Ignored, ...] = ()


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
    "animegan_v1": NameTable(_animegan_v1(), TRAINING_ONLY),
    "animegan_v2": NameTable(_animegan_v2(), TRAINING_ONLY),
    "animegan_v2_light": NameTable(_animegan_v2_light(), TRAINING_ONLY),
}
"""Name of a generator (as in `models.registry`) -> its names in TensorFlow 1 checkpoints."""


@dataclass(frozen=True)
class Conversion:
    """A converted generator, and what of its source was left behind.

    Attributes:
        model: The generator with the converted weights.
        used: How many variables of the source it took.
        ignored: Reason -> how many variables were left behind for it.
    """

    model: keras.Model
    used: int
    ignored: Mapping[str, int]


def convert_tf1(path: str | os.PathLike[str], model: str = "animegan_v2") -> Conversion:
    """Converts the generator of a TensorFlow 1 checkpoint.

    Args:
        path: A folder with a ``checkpoint`` file (or with one checkpoint), the prefix of a
            checkpoint (``.../Test-1.ckpt``), or one of its files.
        model: Which generator it holds, a key of `TABLES`.

    Returns:
        The generator under the float32 policy, and what was left behind.

    Raises:
        FileNotFoundError: There is no checkpoint there.
        ValueError: It cannot be read, or is not such a generator: the message then lists both
            sides of every mismatch.
    """
    if model not in TABLES:
        raise ValueError(f"model must be one of {', '.join(TABLES)}, received {model!r}")
    prefix = find_checkpoint(path)
    shapes, read = _open(prefix)

    from anime_tf.models.registry import GENERATORS

    generator = GENERATORS[model](name=model)
    ignored = fill(generator, TABLES[model], shapes, read, source=f"{prefix}", kind=model)
    return Conversion(generator, len(TABLES[model].sources), ignored)


def fill(
    model: keras.Model,
    table: NameTable,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[[str], np.ndarray],
    *,
    source: str,
    kind: str,
) -> dict[str, int]:
    """Fills every weight of a generator from the variables of a legacy file, or none.

    Args:
        model: The generator, built.
        table: Its names in the legacy format.
        shapes: Name of each variable of the file -> shape.
        read: Gives the value of a variable.
        source: What to call the file in errors.
        kind: What to call the generator in errors.

    Returns:
        Reason -> how many variables were left behind for it.

    Raises:
        ValueError: Table, generator and file do not match one to one; lists both sides of every
            mismatch. Or a value that is not finite.
    """
    weights = {weight.path.partition("/")[2]: weight for weight in model.weights}
    ignored: dict[str, int] = {}
    missing, extra, misshapen = [], [], []
    values: dict[str, np.ndarray] = {}

    for name in sorted(weights.keys() - table.sources.keys()):
        missing.append(f"{name} {tuple(weights[name].shape)} <- (no name in the table)")
    for name in sorted(table.sources.keys() - weights.keys()):
        extra.append(f"{table.sources[name].name} -> {name} (not in the network)")
    for name, weight in weights.items():
        entry = table.sources.get(name)
        if entry is None:
            continue
        wanted = tuple(weight.shape)
        if entry.name not in shapes:
            missing.append(f"{name} {wanted} <- {entry.name}")
            continue
        # The transform decides about the shape, so it is asked, with a value that costs nothing.
        empty = np.broadcast_to(np.float32(0), shapes[entry.name])
        try:
            shape = entry.transform(empty).shape
        except ValueError:  # a transposition of other than its number of axes
            shape = empty.shape
        if shape != wanted:
            misshapen.append(f"{name} {wanted} <- {entry.name} {shapes[entry.name]}")

    known = {entry.name for entry in table.sources.values()}
    for name in sorted(shapes.keys() - known):
        rule = next((rule for rule in table.ignored if rule.pattern.fullmatch(name)), None)
        if rule is None:
            extra.append(f"{name} {shapes[name]}")
        else:
            ignored[rule.reason] = ignored.get(rule.reason, 0) + 1

    if missing or extra or misshapen:
        raise ValueError(_report(source, kind, missing, extra, misshapen))

    for name in weights:
        entry = table.sources[name]
        value = np.asarray(entry.transform(read(entry.name)), np.float32)
        if not np.isfinite(value).all():
            raise ValueError(
                f"{source}: the values of {entry.name} are not all finite; "
                "the training that wrote it has failed, take an earlier checkpoint"
            )
        values[name] = value
    for name, weight in weights.items():
        weight.assign(values[name])
    return ignored


def _report(
    source: str, kind: str, missing: list[str], extra: list[str], misshapen: list[str]
) -> str:
    lines = [f"{source}: this is not the generator {kind}; nothing was converted"]
    for title, rows in (
        ("missing, wanted <- expected in the file", missing),
        ("extra, in the file and not used", extra),
        ("misshapen, wanted <- found in the file", misshapen),
    ):
        if rows:
            lines.append(f"  {title}: {len(rows)}")
            lines += [f"    {row}" for row in rows]
    return "\n".join(lines)


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


def _open(prefix: Path) -> tuple[dict[str, tuple[int, ...]], Callable[[str], np.ndarray]]:
    """Opens a checkpoint: the shapes of its variables, and what reads one of them."""
    import tensorflow as tf

    # The reader has Python's nearest error for each status: a file too short is an IndexError.
    failures = (tf.errors.OpError, RuntimeError, ValueError, LookupError)

    def fail(error: Exception) -> ValueError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return ValueError(
            f"{prefix}: the checkpoint is cut off, damaged or none of TensorFlow's ({reason}); "
            "copy or download it anew"
        )

    def read(name: str) -> np.ndarray:
        try:
            value: Any = reader.get_tensor(name)
        except failures as error:
            raise fail(error) from error
        if not np.issubdtype(value.dtype, np.floating):
            raise ValueError(f"{prefix}: {name} holds {value.dtype}, expected floats")
        return value

    try:
        reader = tf.train.load_checkpoint(os.fspath(prefix))
        shapes = reader.get_variable_to_shape_map()
    except failures as error:
        raise fail(error) from error
    return {name: tuple(shape) for name, shape in shapes.items()}, read
