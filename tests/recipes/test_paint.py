import numpy as np
import pytest

pytest.importorskip("numba", reason="the painter needs numba")

from anime_tf.io.pictures import read_picture, write_picture
from recipes import paint


def test_paints_resumes_and_names_failures(tmp_path, capfd):
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos / "deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        picture = np.random.default_rng(0).integers(0, 256, (24, 48, 3)).astype(np.uint8)
        write_picture(photos / f"{name}.png", picture)
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    (out / "deep").mkdir(parents=True)
    (out / "deep/b.png").write_bytes(b"kept")
    arguments = [f"--input={photos}", f"--output={out}", "--style=cel"]
    assert paint.main([*arguments, "--max_side=32", "--workers=1"]) == 1
    assert "bad.jpg" in capfd.readouterr().err
    assert read_picture(out / "a.png").size_hw == (16, 32)
    assert (out / "deep/b.png").read_bytes() == b"kept"


def test_a_missing_folder(tmp_path, capfd):
    arguments = [f"--input={tmp_path / 'gone'}", f"--output={tmp_path / 'out'}", "--style=cel"]
    assert paint.main(arguments) == 2
    assert "gone" in capfd.readouterr().err
