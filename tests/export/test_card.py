"""Model cards."""

from __future__ import annotations

import hashlib
import json

import keras
import pytest

from anime_tf import __version__
from anime_tf.export.card import JSON_NAME, MARKDOWN_NAME, NOT_STATED, ModelCard, Signature
from anime_tf.models.archive import load_generator
from anime_tf.styles.builtin import BUILTIN
from anime_tf.styles.registry import weights_path

SIGNATURE = Signature("uint8", {"pictures_u8": "uint8 RGB"}, {"anime_u8": "likewise"})


def test_built_in_style():
    card = ModelCard.from_weights("cel", load_generator(weights_path("cel")))
    assert (card.style, card.license) == ("cel", BUILTIN["cel"].license)
    assert card.license_text == (
        "The weights are under the license Apache-2.0. https://www.apache.org/licenses/LICENSE-2.0"
    )
    assert card.description == BUILTIN["cel"].description
    assert BUILTIN["cel"].recipe in card.training_data
    assert card.weights_sha256 == BUILTIN["cel"].sha256
    assert (card.network, card.parameters) == ("live_large", 2_265_987)
    assert (card.config, card.precision) == ({"width": 64}, "float32")
    assert card.versions["anime_tf"] == __version__
    assert card.versions["keras"] == keras.__version__
    with pytest.raises(ValueError, match="cel: expected no license and training data for a style"):
        ModelCard.from_weights("cel", load_generator(weights_path("cel")), license="MIT")


def test_properties_of_a_file_are_not_stated(exports):
    model, archive, _ = exports["animegan_v2"]
    card = ModelCard.from_weights(archive, model)
    assert card.style == archive.stem
    assert {card.description, card.license, card.training_data} == {NOT_STATED}
    assert card.weights_sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()

    told = ModelCard.from_weights(
        archive, model, style_name="Mine", license="CC-BY-4.0", training_data="my | drawings\n"
    )
    assert (told.style, told.license) == ("Mine", "CC-BY-4.0")
    text = told.as_markdown([SIGNATURE])
    assert text.startswith("# Mine\n")
    assert "| training data | my \\| drawings |\n" in text
    assert "| `uint8` | `pictures_u8`: uint8 RGB | `anime_u8`: likewise |\n" in text
    assert "Signatures" not in told.as_markdown()


def test_files(exports, tmp_path):
    model, archive, folder = exports["animegan_v2"]
    card = ModelCard.from_weights(archive, model, license="日本")
    card.write(tmp_path, [SIGNATURE])
    content = json.loads((tmp_path / JSON_NAME).read_text(encoding="utf-8"))
    signatures = content.pop("signatures")
    assert ModelCard(**content) == card
    assert Signature(**signatures[0]) == SIGNATURE
    assert "日本" in (tmp_path / MARKDOWN_NAME).read_text(encoding="utf-8")

    exported = json.loads((folder / "saved_model/assets.extra" / JSON_NAME).read_text())
    assert exported["network"] == "animegan_v2"
    assert [s["name"] for s in exported["signatures"]] == [
        "serving_default",
        "uint8",
        "bytes",
        "bytes_jpeg",
    ]
