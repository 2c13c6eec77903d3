"""Name tables of legacy weights, and the strict filling of a model from one.

A table maps every weight of a model to the array of a legacy file that fills it. Filling is a
bijection or an error: every weight is filled, and every array of the file is used or ignored by a
rule that states its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from anime_tf.errors import ReportError, printable

if TYPE_CHECKING:
    import keras

Transform = Callable[[np.ndarray], np.ndarray]
Read = Callable[[str], np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]


class Source(NamedTuple):
    """Origin of a weight: full name of an array in the legacy file, and its change of layout."""

    name: str
    transform: Transform = np.asarray


class Ignored(NamedTuple):
    """Rule for arrays that no weight needs: a pattern of their full names, and the reason."""

    pattern: re.Pattern[str]
    reason: str


@dataclass(frozen=True)
class NameTable:
    """Names of a model's weights in a legacy format."""

    sources: Mapping[str, Source]  # path of a weight within its model -> source
    ignored: tuple[Ignored, ...] = ()  # the first that matches counts

    @property
    def names(self) -> set[str]:
        """Names of all arrays that the table uses."""
        return {source.name for source in self.sources.values()}


@dataclass(frozen=True)
class Conversion:
    """A converted generator.

    Attributes:
        reference: An independent implementation of the network with the source's weights, from
            pictures (n, h, w, 3) in [-1, 1], RGB, to the same; None if there is none.
    """

    model: keras.Model
    name: str  # key in `models.registry.GENERATORS`
    values: Mapping[str, np.ndarray]  # path of each weight in the generator -> transformed value
    ignored: Mapping[str, int]  # reason -> number of arrays ignored for it
    reference: Transform | None = None
    reference_name: str = ""  # in messages


def select_model(
    tables: Mapping[str, NameTable], names: Iterable[str], model: str | None = None
) -> str:
    """Return `model`, or else the model that shares the most names with the file.

    Raises:
        ValueError: There is no table for `model`.
    """
    if model is None:
        found = set(names)
        return max(tables, key=lambda name: len(found & tables[name].names))
    if model not in tables:
        raise ValueError(f"expected model to be one of {', '.join(tables)}, got {model!r}")
    return model


def convert(
    model: str,
    table: NameTable,
    shapes: Shapes,
    read: Read,
    source: str,
    *,
    options: Mapping[str, Any] | None = None,
    reference: Transform | None = None,
    reference_name: str = "",
) -> Conversion:
    """Make a generator under the float32 policy with `options` and fill it; see `fill`."""
    from anime_tf.models.registry import GENERATORS

    generator = GENERATORS[model](name=model, **(options or {}))
    weights = {weight.path.partition("/")[2]: weight for weight in generator.weights}
    ignored = fill(weights, table, shapes, read, source=source, target=f"the generator {model}")
    # Read again: verification must not depend on the network that it checks.
    values = {
        name: np.asarray(entry.transform(read(entry.name)), np.float32)
        for name, entry in table.sources.items()
    }
    return Conversion(generator, model, values, ignored, reference, reference_name)


def fill(
    weights: Mapping[str, Any],
    table: NameTable,
    shapes: Shapes,
    read: Read,
    source: str,
    target: str,
) -> dict[str, int]:
    """Fill variables from the arrays of a legacy file: all of them or none.

    Args:
        weights: Name of each variable in the table -> Keras variable.
        table: Their names in the legacy format.
        shapes: Name of each array of the file -> shape.
        read: Reads an array by name.
        source: Name of the file in errors.
        target: Name of the model in errors.

    Returns:
        Reason -> number of arrays ignored for it.

    Raises:
        ValueError: Table, variables and file do not match one to one, with both sides of every
            mismatch; or a value is not finite.
    """
    ignored: dict[str, int] = {}
    missing, extra, mismatched = [], [], []

    for name in sorted(weights.keys() - table.sources.keys()):
        missing.append(f"{name} {tuple(weights[name].shape)} <- (no name in the table)")
    for name in sorted(table.sources.keys() - weights.keys()):
        extra.append(f"{table.sources[name].name} -> {name} (not in the network)")
    for name, weight in weights.items():
        entry = table.sources.get(name)
        if entry is None:
            continue
        expected = tuple(weight.shape)
        if entry.name not in shapes:
            missing.append(f"{name} {expected} <- {entry.name}")
            continue
        # Only the transform knows the resulting shape; a broadcast scalar needs no memory.
        empty = np.broadcast_to(np.float32(0), shapes[entry.name])
        try:
            shape = entry.transform(empty).shape
        except ValueError:  # a transposition of another number of axes
            shape = empty.shape
        if shape != expected:
            mismatched.append(f"{name} {expected} <- {entry.name} {shapes[entry.name]}")

    for name in sorted(shapes.keys() - table.names):
        rule = next((rule for rule in table.ignored if rule.pattern.fullmatch(name)), None)
        if rule is None:
            extra.append(f"{name} {shapes[name]}")
        else:
            ignored[rule.reason] = ignored.get(rule.reason, 0) + 1

    if missing or extra or mismatched:
        source = printable(source)
        lines = [f"{source}: expected {target}, got other names or shapes; nothing was converted"]
        for title, rows in (
            ("missing: weight <- array that the file lacks", missing),
            ("extra: array that no weight uses", extra),
            ("wrong shape: weight <- array", mismatched),
        ):
            if rows:
                lines += [f"  {title}: {len(rows)}", *(f"    {printable(row)}" for row in rows)]
        raise ReportError("\n".join(lines))

    values: dict[str, np.ndarray] = {}
    for name in weights:
        entry = table.sources[name]
        values[name] = np.asarray(entry.transform(read(entry.name)), np.float32)
        if not np.isfinite(values[name]).all():
            raise ValueError(
                f"{source}: expected finite values, got NaN or infinity in {entry.name}; the "
                "training that wrote it has failed, take an earlier checkpoint"
            )
    for name, weight in weights.items():
        weight.assign(values[name])
    return ignored
