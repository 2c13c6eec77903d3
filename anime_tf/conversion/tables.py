"""Name tables of legacy weights, and the strict filling of a generator from one.

A table names every weight of a generator and the array of a legacy file that fills it. Filling is a
bijection or an error: every weight is filled, and every array of the file is used or falls under a
rule that says why it is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Conversion:
    """A converted generator, and what of its source was left behind.

    Attributes:
        model: The generator with the converted weights.
        name: Name of the generator, a key of `models.registry.GENERATORS`.
        values: Path of each weight within the generator -> value of the source, transformed.
        ignored: Reason -> how many arrays were left behind for it.
        run: What the source's arrays make of pictures (n, height, width, 3) in [-1, 1], RGB, in
            another implementation of their network; None where there is none.
        by: That implementation, in words.
    """

    model: keras.Model
    name: str
    values: Mapping[str, np.ndarray]
    ignored: Mapping[str, int]
    run: Callable[[np.ndarray], np.ndarray] | None = None
    by: str = ""


def table_of(
    tables: Mapping[str, NameTable], names: Iterable[str], model: str | None = None
) -> str:
    """Which generator a file holds.

    Args:
        tables: Name of a generator -> its names in that kind of file.
        names: Those of the arrays in the file.
        model: The generator that the user named, if any.

    Returns:
        `model`, or else the generator that has the most names in common with the file.

    Raises:
        ValueError: There is no table for `model`.
    """
    if model is not None:
        if model not in tables:
            raise ValueError(f"model must be one of {', '.join(tables)}, received {model!r}")
        return model
    found = set(names)

    def common(name: str) -> int:
        return len(found.intersection(source.name for source in tables[name].sources.values()))

    return max(tables, key=common)


def convert(
    model: str,
    table: NameTable,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[[str], np.ndarray],
    *,
    source: str,
    options: Mapping[str, Any] | None = None,
    run: Callable[[np.ndarray], np.ndarray] | None = None,
    by: str = "",
) -> Conversion:
    """Makes a generator and fills it from a legacy file.

    Args:
        model: Name of the generator.
        table: Its names in the legacy format.
        shapes: As for `fill`.
        read: As for `fill`.
        source: As for `fill`.
        options: Arguments of the generator.
        run: As in `Conversion`.
        by: As in `Conversion`.

    Returns:
        The generator under the float32 policy, and what it came from.

    Raises:
        ValueError: As for `fill`.
    """
    from anime_tf.models.registry import GENERATORS

    generator = GENERATORS[model](name=model, **(options or {}))
    ignored = fill(generator, table, shapes, read, source=source, kind=model)
    # Read anew: a check must not be told by the network that it is of.
    values = {
        name: np.asarray(entry.transform(read(entry.name)), np.float32)
        for name, entry in table.sources.items()
    }
    return Conversion(generator, model, values, ignored, run, by)


def fill(
    model: keras.Model,
    table: NameTable,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[[str], np.ndarray],
    *,
    source: str,
    kind: str,
) -> dict[str, int]:
    """Fills every weight of a generator from the arrays of a legacy file, or none.

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
        ValueError: As for `fill_variables`.
    """
    weights = {weight.path.partition("/")[2]: weight for weight in model.weights}
    return fill_variables(weights, table, shapes, read, source=source, what=f"the generator {kind}")


def fill_variables(
    weights: Mapping[str, Any],
    table: NameTable,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[[str], np.ndarray],
    *,
    source: str,
    what: str,
) -> dict[str, int]:
    """Fills variables from the arrays of a legacy file, all of them or none.

    Args:
        weights: Name of each variable, as in the table -> Keras variable.
        table: As for `fill`.
        shapes: As for `fill`.
        read: As for `fill`.
        source: As for `fill`.
        what: What to call them all in errors.

    Returns:
        As `fill`.

    Raises:
        ValueError: Table, variables and file do not match one to one; lists both sides of every
            mismatch. Or a value that is not finite.
    """
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
        raise ValueError(_report(source, what, missing, extra, misshapen))

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
    source: str, what: str, missing: list[str], extra: list[str], misshapen: list[str]
) -> str:
    lines = [f"{source}: this is not {what}; nothing was converted"]
    for title, rows in (
        ("missing, wanted <- expected in the file", missing),
        ("extra, in the file and not used", extra),
        ("misshapen, wanted <- found in the file", misshapen),
    ):
        if rows:
            lines.append(f"  {title}: {len(rows)}")
            lines += [f"    {row}" for row in rows]
    return "\n".join(lines)
