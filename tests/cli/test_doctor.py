"""The report about an installation."""

import sys

from anime_tf.cli import app
from anime_tf.inference import cache


def test_a_whole_installation_has_no_problem(capsys):
    assert app.main(["doctor"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for word in ("anime_tf ", "CPU ", "GPU ", "cache ", "keras ", "openvino ", "web "):
        assert word in out


def test_what_is_missing_is_told_with_its_remedy(capsys, monkeypatch, tmp_path):
    real = cache.version
    missing = ("keras", "aiohttp")
    monkeypatch.setattr(cache, "version", lambda name: "" if name in missing else real(name))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr(app, "import_tensorflow", lambda: None)
    monkeypatch.setenv(cache.FOLDER_VARIABLE, "")
    assert app.main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert "not installed; pip install aiohttp" in out
    assert "disabled by ANIME_TF_CACHE" in out
    first, second = err.splitlines()
    assert first.startswith("problem: TensorFlow cannot be imported")
    assert second == "problem: keras is missing; run: pip install keras"
