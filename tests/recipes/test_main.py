"""The commands of the recipes."""

from __future__ import annotations

import numpy as np
import pytest

from anime_tf.cli import app
from anime_tf.io.pictures import read_picture, write_picture
from recipes.__main__ import COMMAND


def test_broken_pictures_make_exit_code_1(tmp_path, capfd):
    photos = tmp_path / "photos"
    photos.mkdir()
    write_picture(photos / "good.png", np.zeros((8, 8, 3), np.uint8))
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    out = tmp_path / "painted"
    assert app.run(COMMAND, ["paint", f"--input={photos}", f"--output={out}"]) == 1
    assert "bad.jpg: broken JPEG" in capfd.readouterr().err
    assert [path.name for path in out.iterdir()] == ["good.png"]


def test_paint_shrinks(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    picture = np.random.RandomState(0).randint(0, 256, (40, 80, 3)).astype(np.uint8)
    write_picture(photos / "a.jpg", picture)
    out = tmp_path / "painted"
    arguments = ["paint", f"--input={photos}", f"--output={out}", "--max_side=40"]
    assert app.run(COMMAND, arguments) == 0
    assert read_picture(out / "a.png").size_hw == (20, 40)


def test_scenes_then_paint(tmp_path, capfd):
    photos, scenes = tmp_path / "photos", tmp_path / "train_photo"
    photos.mkdir()
    picture = np.random.RandomState(0).randint(0, 256, (40, 60, 3)).astype(np.uint8)
    write_picture(photos / "a.jpg", picture)
    (photos / "b.jpg").write_bytes(b"\xff\xd8\xff")
    assert app.run(COMMAND, ["scenes", f"--input={photos}", f"--output={scenes}"]) == 1
    assert "b.jpg: broken JPEG" in capfd.readouterr().err
    assert sorted(path.name for path in scenes.iterdir()) == ["a.png", "a_night.png"]
    arguments = ["paint", f"--input={scenes}", f"--output={tmp_path / 'paired'}"]
    assert app.run(COMMAND, arguments) == 0


def test_all_paintings_broken_is_exit_code_2(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    arguments = ["paint", f"--input={tmp_path / 'photos'}", f"--output={tmp_path / 'out'}"]
    assert app.run(COMMAND, arguments) == 2


@pytest.mark.parametrize("verb", ["paint", "scenes"])
def test_wrong_command_lines_are_one_line_and_exit_code_2(verb, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert app.run(COMMAND, [verb, "--input=gone", "--output=out"]) == 2
    assert len(capfd.readouterr().err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
