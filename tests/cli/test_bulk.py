from __future__ import annotations

import subprocess
import sys

import pytest

from anime_tf.cli import app


def test_no_verb_imports_ray_before_it_is_needed():
    code = (
        "import sys; from anime_tf.cli import app; [*app.commands()]; "
        "print(sorted({'ray', 'pyarrow', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_package_is_named(monkeypatch, tmp_path, capfd):
    pytest.importorskip("pyarrow", reason="pyarrow (the extra cluster) is not installed")
    (tmp_path / "a.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert app.main(["bulk", str(tmp_path), str(tmp_path / "out")]) == app.EXIT_NOTHING_DONE
    error = capfd.readouterr().err
    assert "bulk jobs need Ray" in error and "pip install 'anime_tf[cluster]'" in error
