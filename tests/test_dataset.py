import subprocess
import sys

import av
import cv2
import numpy as np
import pytest

from anime_tf import cli
from anime_tf.data.pictures import read_picture, write_picture
from anime_tf.dataset import COMMAND


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 40, 60, "bgr0"
        for i in range(7):
            picture = np.full((40, 60, 3), 200, np.uint8)
            cv2.circle(picture, (20 + 2 * i, 20), 12, (30, 60, 90), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_from_film_to_smooth_pictures(film, tmp_path):
    style = tmp_path / "Ink" / "style"
    assert cli.run(COMMAND, ["frames", f"--input={film}", f"--output={style}", "--every=3"]) == 0
    names = ["film_000000.png", "film_000003.png", "film_000006.png"]
    assert sorted(path.name for path in style.iterdir()) == names
    smooth = tmp_path / "Ink" / "smooth"
    arguments = ["smooth", f"--style_dir={style}", "--image_size=32"]
    assert cli.run(COMMAND, arguments) == 0
    assert sorted(path.name for path in smooth.iterdir()) == [*names, "smooth.json"]
    assert read_picture(smooth / names[0]).size_hw == (32, 32)
    assert cli.run(COMMAND, arguments) == 2  # there already
    assert (
        cli.run(COMMAND, ["smooth", f"--style_dir={style}", "--image_size=0", "--overwrite"]) == 0
    )
    assert read_picture(smooth / names[0]).size_hw == (40, 60)


def test_broken_pictures_make_exit_code_1(tmp_path, capfd):
    style = tmp_path / "style"
    style.mkdir()
    write_picture(style / "good.png", np.zeros((8, 8, 3), np.uint8))
    (style / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    out = tmp_path / "out"
    assert cli.run(COMMAND, ["smooth", f"--style_dir={style}", f"--output={out}"]) == 1
    assert "bad.jpg: broken JPEG" in capfd.readouterr().err
    assert [path.name for path in out.glob("*.png")] == ["good.png"]
    out = tmp_path / "painted"
    assert cli.run(COMMAND, ["paint", f"--input={style}", f"--output={out}"]) == 1
    assert "bad.jpg: broken JPEG" in capfd.readouterr().err
    assert [path.name for path in out.iterdir()] == ["good.png"]


def test_paint_shrinks(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    picture = np.random.RandomState(0).randint(0, 256, (40, 80, 3)).astype(np.uint8)
    write_picture(photos / "a.jpg", picture)
    out = tmp_path / "painted"
    arguments = ["paint", f"--input={photos}", f"--output={out}", "--max_side=40"]
    assert cli.run(COMMAND, arguments) == 0
    assert read_picture(out / "a.png").size_hw == (20, 40)


@pytest.mark.parametrize(
    "arguments",
    [
        ["frames", "--input=gone.mkv", "--output=out"],
        ["frames", "--input=gone.mkv"],
        ["frames", "--input=gone.mkv", "--output=out", "--every=0"],
        ["smooth", "--style_dir=gone"],
        ["smooth", "--style_dir=gone", "--resampling=cubic"],
        ["paint", "--input=gone", "--output=out"],
        ["check"],
        [],
    ],
)
def test_wrong_command_lines_are_one_line_and_exit_code_2(arguments, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(COMMAND, arguments) == 2
    assert len(capfd.readouterr().err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_all_paintings_broken_is_exit_code_2(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    arguments = ["paint", f"--input={tmp_path / 'photos'}", f"--output={tmp_path / 'out'}"]
    assert cli.run(COMMAND, arguments) == 2


def test_as_a_module(film, tmp_path):
    command = [sys.executable, "-m", "anime_tf.dataset", "frames"]
    command += [f"--input={film}", f"--output={tmp_path / 'out'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "film_000000.png",
        "film_000005.png",
    ]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0
    assert "frames --input=film.mkv --output=dataset/MyStyle/style --every=5" in shown.stdout
