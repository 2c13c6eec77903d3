"""The model card of an export: what a network is, whose it is, and what it learnt from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

JSON_NAME = "model_card.json"
MARKDOWN_NAME = "MODEL_CARD.md"

NOT_STATED = "not stated"
"""What a card says where nobody told it: it claims nothing by itself."""


@dataclass(frozen=True)
class Signature:
    """A way in which an exported network is called.

    Attributes:
        name: Of the signature.
        inputs: Name of a tensor -> its type, shape and range, in words.
        outputs: Likewise.
    """

    name: str
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True)
class ModelCard:
    """What is known of a network.

    Attributes:
        style: Name of the style.
        description: What it looks like, in a line.
        license: Of the weights, an SPDX identifier where there is one.
        training_data: What they learnt from, in a line.
        network: Key of `models.registry.GENERATORS`.
        parameters: How many numbers it learnt.
        config: Arguments of its class.
        precision: Of its computations, a Keras dtype policy.
        weights_sha256: Of the archive that it was loaded from, in hexadecimal.
        versions: Name of a package -> its version at export.
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
        """Makes the card of a loaded network.

        Args:
            weights: Name of a built-in style, about which all is known, or the path of an archive.
            model: The generator that was loaded from it.
            style_name: What to call the style; a file is called by its name otherwise.
            license: Of a file's weights.
            training_data: Of a file's weights.

        Returns:
            The card; what neither the table of built-in styles nor the caller tells is
            `NOT_STATED`.

        Raises:
            FileNotFoundError: There are no such weights.
            ValueError: A built-in style is given another license or other training data.
        """
        # Here, so that a card can be read and written without TensorFlow.
        import keras
        import tensorflow as tf

        from anime_tf import __version__
        from anime_tf.models.registry import GENERATORS
        from anime_tf.styles.builtin import BUILTIN, weights_path

        path = weights_path(weights)
        description = ""
        builtin = BUILTIN.get(os.fspath(weights))
        if builtin is not None:
            if license or training_data:
                raise ValueError(
                    f"{os.fspath(weights)}: license and training data of a built-in style are "
                    "known; they are told for weights of your own alone"
                )
            description, license = builtin.description, builtin.license
            training_data = builtin.training_data
        of_no_interest = ("name", "trainable", "dtype")
        config = {k: v for k, v in model.get_config().items() if k not in of_no_interest}
        return cls(
            style=style_name or (os.fspath(weights) if builtin else path.stem),
            description=description or NOT_STATED,
            license=license or NOT_STATED,
            training_data=training_data or NOT_STATED,
            network=next(name for name, kind in GENERATORS.items() if kind is type(model)),
            parameters=model.count_params(),
            config=config,
            precision=model.dtype_policy.name,
            weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            versions={
                "anime_tf": __version__,
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
            },
        )

    def as_json(self, signatures: Sequence[Signature] = ()) -> str:
        """The card for programs: an object with the attributes, and ``signatures``."""
        content = asdict(self) | {"signatures": [asdict(one) for one in signatures]}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def as_markdown(self, signatures: Sequence[Signature] = ()) -> str:
        """The card for people."""
        config = ", ".join(f"{key}={value}" for key, value in self.config.items())
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        rows = [
            ("style", self.style),
            ("looks like", self.description),
            ("license of the weights", self.license),
            ("training data", self.training_data),
            ("network", f"`{self.network}`, {self.parameters:,} parameters"),
            ("config", config or "as published"),
            ("precision", self.precision),
            ("sha256 of the weights", f"`{self.weights_sha256}`"),
            ("made with", versions),
        ]
        lines = [f"# {_cell(self.style)}", "", "Turns photos into pictures of this style.", ""]
        lines += _table(("", ""), rows)
        if signatures:
            lines += ["", "## Signatures", ""]
            lines += _table(
                ("name", "in", "out"),
                [(f"`{s.name}`", _tensors(s.inputs), _tensors(s.outputs)) for s in signatures],
            )
        return "\n".join(lines) + "\n"

    def write(self, folder: str | os.PathLike[str], signatures: Sequence[Signature] = ()) -> None:
        """Writes both forms into a folder, `JSON_NAME` and `MARKDOWN_NAME`.

        Args:
            folder: An existing folder.
            signatures: How the network is called.

        Raises:
            OSError: They cannot be written.
        """
        folder = Path(folder)
        (folder / JSON_NAME).write_text(self.as_json(signatures), encoding="utf-8")
        (folder / MARKDOWN_NAME).write_text(self.as_markdown(signatures), encoding="utf-8")


def _tensors(tensors: dict[str, str]) -> str:
    return "; ".join(f"`{name}`: {words}" for name, words in tensors.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    cells = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def _cell(text: str) -> str:
    """A user's words in a table: in a line, and not as its borders."""
    return " ".join(text.split()).replace("|", "\\|")
