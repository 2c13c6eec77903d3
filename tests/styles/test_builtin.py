"""Built-in styles and how weights are named."""

from __future__ import annotations

import hashlib
import re

import pytest

from anime_tf.styles import builtin
from anime_tf.styles.builtin import BUILTIN, BuiltinStyle, builtin_file

MAX_BYTES = 5_000_000  # what a built-in style may add to the package


@pytest.mark.parametrize("name", BUILTIN)
def test_entries_are_complete_and_files_are_those_of_the_table(name):
    style = BUILTIN[name]
    if not style.sha256:
        pytest.skip(f"the style {name} is not trained yet")
    assert re.fullmatch("[0-9a-f]{64}", style.sha256)
    assert style.description
    assert style.license and style.training_data
    assert builtin_file(name).stat().st_size < MAX_BYTES


def entry(sha256):
    return {
        "tiny": BuiltinStyle("live", "tiny.keras", sha256, "small", "none", "waves", "docs/tiny.md")
    }


def test_a_name_gives_the_packaged_file(tmp_path, monkeypatch):
    (tmp_path / "tiny.keras").write_bytes(b"weights")
    monkeypatch.setattr(builtin, "STYLES_DIR", tmp_path)
    monkeypatch.setattr(builtin, "BUILTIN", entry(hashlib.sha256(b"weights").hexdigest()))
    assert builtin_file("tiny") == tmp_path / "tiny.keras"
    (tmp_path / "tiny.keras").write_bytes(b"weighty")
    with pytest.raises(ValueError, match="tiny.keras: .*the file is damaged"):
        builtin_file("tiny")
    (tmp_path / "tiny.keras").unlink()
    with pytest.raises(FileNotFoundError, match="built-in style tiny is missing"):
        builtin_file("tiny")
