"""Model card of an export: network, license and training data."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_tf.io.plain_file import MAX_WEIGHTS_BYTES, read_plain_file

if TYPE_CHECKING:
    import keras

JSON_NAME = "model_card.json"
MARKDOWN_NAME = "MODEL_CARD.md"

NOT_STATED = "not stated"  # value of unknown properties


@dataclass(frozen=True)
class Signature:
    """Signature of an export: name of a tensor -> description of dtype, shape and range."""

    name: str
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True)
class ModelCard:
    """Properties of a network.

    Attributes:
        style: Name of the style.
        description: Description of the style in one line.
        license: License of the weights, preferably an SPDX identifier.
        training_data: Training data in one line.
        network: Key of `models.registry.GENERATORS`.
        parameters: Number of parameters.
        config: Arguments of its class.
        precision: Keras dtype policy of its arithmetic.
        weights_sha256: SHA-256 of its archive, in hexadecimal.
        versions: Name of a package -> its version at export.
        license_text: Text of the license and its address; empty if not stated.
    """

    style: str
    description: str
    license: str
    training_data: str
    network: str
    parameters: int
    config: dict[str, Any]
    precision: str
    weights_sha256: str
    versions: dict[str, str]
    license_text: str = ""

    @classmethod
    def from_weights(
        cls,
        weights: str | os.PathLike[str],
        model: keras.Model,
        *,
        style_name: str = "",
        license: str = "",
        training_data: str = "",
    ) -> ModelCard:
        """Make the card of a network loaded from `weights`; unknown properties are `NOT_STATED`.

        `weights` is the path of an archive, or a built-in style, whose properties are known.

        Raises:
            FileNotFoundError: There are no such weights.
            ValueError: License or training data are given for a built-in style.
        """
        # Cards can be read and written without TensorFlow.
        import keras
        import tensorflow as tf

        from anime_tf import __version__
        from anime_tf.models.registry import GENERATORS
        from anime_tf.styles.registry import style_of, weights_path

        path = weights_path(weights)
        description = ""
        style = style_of(weights)
        if style is not None:
            if license or training_data:
                raise ValueError(
                    f"{os.fspath(weights)}: expected no license and training data for a style, "
                    "which has its own"
                )
            description, training_data = style.good_for, style.training_data
            license = style.license.name
        return cls(
            style=style_name or (style.name if style else path.stem),
            description=description or NOT_STATED,
            license=license or NOT_STATED,
            license_text=f"{style.license.text} {style.license.url}".strip() if style else "",
            training_data=training_data or NOT_STATED,
            network=next(name for name, kind in GENERATORS.items() if kind is type(model)),
            parameters=model.count_params(),
            config={
                key: value
                for key, value in model.get_config().items()
                if key not in ("name", "trainable", "dtype")
            },
            precision=model.dtype_policy.name,
            weights_sha256=hashlib.sha256(
                read_plain_file(path, "weights", MAX_WEIGHTS_BYTES)
            ).hexdigest(),
            versions={
                "anime_tf": __version__,
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
            },
        )

    def as_json(self, signatures: Sequence[Signature] = ()) -> str:
        """Return a JSON object of the attributes and ``signatures``."""
        content = asdict(self) | {"signatures": [asdict(one) for one in signatures]}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self, signatures: Sequence[Signature] = ()) -> str:
        """Return the card as a page of Markdown."""
        config = ", ".join(f"{key}={value}" for key, value in self.config.items())
        rows = [
            ("style", self.style),
            ("description", self.description),
            ("license of the weights", " ".join([self.license, self.license_text]).rstrip()),
            ("training data", self.training_data),
            ("network", f"`{self.network}`, {self.parameters:,} parameters"),
            ("config", config or "as published"),
            ("precision", self.precision),
            ("sha256 of the weights", f"`{self.weights_sha256}`"),
            ("made with", ", ".join(" ".join(item) for item in self.versions.items())),
        ]
        lines = [f"# {_escape(self.style)}", "", "Turns photos into pictures of this style.", ""]
        lines += _table(("", ""), rows)
        if signatures:
            lines += ["", "## Signatures", ""]
            lines += _table(
                ("name", "inputs", "outputs"),
                [(f"`{s.name}`", _tensors(s.inputs), _tensors(s.outputs)) for s in signatures],
            )
        return "\n".join(lines) + "\n"

    def write(self, folder: str | os.PathLike[str], signatures: Sequence[Signature] = ()) -> None:
        """Write `JSON_NAME` and `MARKDOWN_NAME` into an existing folder."""
        Path(folder, JSON_NAME).write_text(self.as_json(signatures), encoding="utf-8")
        Path(folder, MARKDOWN_NAME).write_text(self.as_markdown(signatures), encoding="utf-8")


def _tensors(tensors: dict[str, str]) -> str:
    return "; ".join(f"`{name}`: {text}" for name, text in tensors.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [head, ["---"] * len(head), *([_escape(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
