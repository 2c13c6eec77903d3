"""The table of styles, and how weights are named."""

from __future__ import annotations

import json
import os

import pytest

from anime_tf import styles
from anime_tf.models.registry import GENERATORS
from anime_tf.styles.builtin import BUILTIN
from anime_tf.styles.registry import (
    SETTINGS,
    Style,
    read_registry,
    remove_style,
    style_of,
    weights_path,
)

ENTRY = {
    "name": "mine",
    "model": "live",
    "license": {"name": "MIT"},
    "base_url": "https://example.org/styles",
    "files": [{"path": "mine.keras", "sha256": "0" * 64}],
}


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("ANIME_TF_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_published_styles():
    found = {style.name: style for style in styles.list()}
    assert len(found) == 13 + len(BUILTIN) and next(iter(found)) == "cel"
    assert found["cel"].state == "built in" and found["hayao"].state == "available"
    for style in found.values():
        assert style.model in GENERATORS
        assert style.good_for and style.authors and style.training_data and style.license.name
        assert set(style.settings) <= set(SETTINGS)
        if style.state == "built in":
            continue
        assert len(style.commit) == 40 and style.license.url and style.license.text
        assert style.url.startswith("https://raw.githubusercontent.com/")
        for file in style.files:
            pinned = file.sha256 or file.git_blob or style.source == "tf1"
            assert pinned, "without a hash, the index of a TensorFlow 1 checkpoint has checksums"
        assert Style.from_dict(style.as_dict(), "table") == style
    assert {name for name, style in found.items() if style.license.noncommercial} == {
        *("hayao", "shinkai", "paprika", "paprika-pytorch", "animegan-v1-hayao", "whitebox")
    }
    unclear = {name for name, style in found.items() if style.license.name.startswith("unclear")}
    assert unclear == {name for name in found if name.startswith("cartoongan-")}
    assert len(unclear) == 4
    assert found["whitebox"].size == 5_868_300
    assert all(file.sha256 for file in found["cartoongan-shinkai"].files)


def test_entries_are_checked(tmp_path):
    def read(**changes):
        path = tmp_path / "x.json"
        path.write_text(json.dumps({**ENTRY, **changes}))
        return read_registry(path)[0]

    assert read().url == "https://example.org/styles"
    for changes, message in (
        ({"name": "../evil"}, "wrong name of the style '../evil'"),
        ({"files": [{"path": "../../x"}]}, "wrong files"),
        ({"files": [{"path": "/etc/passwd"}]}, "wrong files"),
        ({"files": [{"path": "a/x"}, {"path": "b/x"}]}, "wrong files"),
        ({"files": []}, "wrong files"),
        ({"source": "exe"}, "wrong source"),
        ({"settings": {"output": "/"}}, "wrong settings"),
        ({"repository": "a/b", "commit": "c"}, "wrong base_url"),
        ({"licence": 1}, "wrong entry of a style"),
        ({"license": "MIT"}, "wrong entry of a style"),
    ):
        with pytest.raises(ValueError, match=message):
            read(**changes)
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(ValueError, match="y.json: expected JSON"):
        read_registry(tmp_path / "y.json")


def test_own_entries(tmp_path, monkeypatch):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(ENTRY))
    assert [style.name for style in styles.list(path)][-1] == "mine"
    monkeypatch.setenv("ANIME_TF_REGISTRY", str(path))
    assert styles.show("mine").license.name == "MIT"
    monkeypatch.delenv("ANIME_TF_REGISTRY")
    with pytest.raises(ValueError, match="mine: no such style"):
        styles.show("mine")
    styles.add(path)
    assert styles.show("mine").state == "available"
    assert "entry" in remove_style("mine")
    with pytest.raises(ValueError, match="mine: nothing to remove"):
        styles.remove("mine")
    for name in ("cel", "../x"):
        with pytest.raises(ValueError, match=name):
            styles.remove(name)
    path.write_text(json.dumps({**ENTRY, "name": "cel"}))
    with pytest.raises(ValueError, match="cel: this is a built-in style"):
        styles.add(path)


def test_weights_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.keras"
    file.touch()
    assert weights_path(file) == file
    assert weights_path(str(file)) == file
    assert weights_path("cel").name == "cel.keras"
    with pytest.raises(FileNotFoundError, match=r"^cell: .*did you mean cel\?"):
        weights_path("cell")
    with pytest.raises(FileNotFoundError, match=r"^runs/x.keras: no such weights; expected a"):
        weights_path("runs/x.keras")
    with pytest.raises(FileNotFoundError, match="^hayao: .* run anime-tf styles get hayao$"):
        weights_path("hayao")
    (tmp_path / "hayao").mkdir()
    assert str(weights_path("hayao")) == "hayao", "a SavedModel of the user's own"


def test_the_style_of_weights(tmp_path):
    assert style_of("cel").name == style_of(weights_path("cel")).name == "cel"
    assert style_of("hayao") is None, "not here yet"
    assert style_of(tmp_path / "x.keras") is None


def test_a_photo_in_place_of_weights_names_the_command():
    for name, verb in (("me.jpg", "infer"), ("clip.MP4", "video")):
        with pytest.raises(ValueError) as error:
            weights_path(name)
        assert f"run anime-tf {verb} {name}" in str(error.value)


@pytest.mark.parametrize(
    ("names", "given", "source", "named"),
    [
        (["a.pt"], "a.pt", "torch", "a.pt"),
        (["a.pth"], "a.pth", "torch", "a.pth"),
        (["a.npy"], "a.npy", "cartoongan", ""),
        (["arrays/a.npy"], "arrays", "cartoongan", "arrays"),
        (["ckpt/checkpoint", "ckpt/m-9.index"], "ckpt", "tf1", "ckpt"),
        (["m-9.index", "m-9.data-00000-of-00001"], "m-9", "tf1", "m-9"),
        (["m-9.index"], "m-9.index", "tf1", "m-9.index"),
        (["m-9.index", "m-9.meta"], "m-9.meta", "tf1", "m-9.index"),
    ],
)
def test_legacy_weights_name_the_command_that_converts_them(names, given, source, named, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ValueError) as raised:
        weights_path(tmp_path / given)
    assert f"anime-tf convert --source={source} --input={tmp_path / named} " in str(raised.value)


def test_exports_are_no_legacy_weights(tmp_path):
    for name in ("saved_model.pb", "variables.index"):
        (tmp_path / name).touch()
    assert weights_path(tmp_path) == tmp_path


def test_a_registry_is_a_plain_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ValueError, match="pipe.json: expected a registry of styles, got a named"):
        styles.list(tmp_path / "pipe.json")
