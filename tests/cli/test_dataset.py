import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from small_videos import write_video
from video_scenes import scene

from anime_tf.cli import app
from anime_tf.cli.dataset import COMMAND
from anime_tf.datasets.extract.manifest import Manifest
from anime_tf.io.folders import find_pictures
from anime_tf.io.pictures import read_picture, write_picture


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mkv"
    write_video(path, [scene(i, 40, 60) for i in range(7)], codec="ffv1", pixels="bgr0")
    return path


def test_from_video_to_smooth_pictures(film, tmp_path, capfd):
    style = tmp_path / "Ink" / "style"
    assert app.run(COMMAND, ["frames", f"--input={film}", f"--output={style}", "--every=3"]) == 0
    line = "film.mkv: 3 written from 3 candidates of 7 frames; rejected: none"
    assert line in capfd.readouterr().err
    names = ["film_000000.png", "film_000003.png", "film_000006.png"]
    listed = [*names, "manifest.jsonl", "videos.json"]
    assert sorted(path.name for path in style.iterdir()) == listed
    smooth = tmp_path / "Ink" / "smooth"
    arguments = ["smooth", f"--style_dir={style}", "--image_size=32"]
    assert app.run(COMMAND, arguments) == 0
    assert sorted(path.name for path in smooth.iterdir()) == [*names, "smooth.json"]
    assert read_picture(smooth / names[0]).size_hw == (32, 32)
    assert app.run(COMMAND, arguments) == 2  # there already
    assert (
        app.run(COMMAND, ["smooth", f"--style_dir={style}", "--image_size=0", "--overwrite"]) == 0
    )
    assert read_picture(smooth / names[0]).size_hw == (40, 60)


def test_broken_pictures_make_exit_code_1(tmp_path, capfd):
    style = tmp_path / "style"
    style.mkdir()
    write_picture(style / "good.png", np.zeros((8, 8, 3), np.uint8))
    (style / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    out = tmp_path / "out"
    assert app.run(COMMAND, ["smooth", f"--style_dir={style}", f"--output={out}"]) == 1
    assert "bad.jpg: broken JPEG" in capfd.readouterr().err
    assert [path.name for path in out.glob("*.png")] == ["good.png"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["frames", "--input=gone.mkv", "--output=out"],
        ["frames", "--input=gone.mkv"],
        ["frames", "--input=gone.mkv", "--output=out", "--every=0"],
        ["frames", "--input=gone.mkv", "--output=out", "--every=2", "--scenes"],
        ["frames", "--input=*.mkv", "--output=out", "--trim=1,2"],
        ["frames", "--input=.", "--output=out"],
        ["smooth", "--style_dir=gone"],
        ["smooth", "--style_dir=gone", "--resampling=cubic"],
        ["check"],
        [],
    ],
)
def test_wrong_command_lines_are_one_line_and_exit_code_2(arguments, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert app.run(COMMAND, arguments) == 2
    assert len(capfd.readouterr().err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_exit_codes_of_frames(film, tmp_path, capfd):
    out, dark = tmp_path / "out", tmp_path / "dark.mkv"
    write_video(dark, [np.full((40, 60, 3), 3, np.uint8)] * 3, codec="ffv1", pixels="bgr0")
    assert app.run(COMMAND, ["frames", f"--input={dark}", f"--output={out}", "--every=1"]) == 2
    assert f"{out}: no picture; all 3 candidates were rejected" in capfd.readouterr().err
    assert not out.exists()
    bad = tmp_path / "bad.mkv"
    bad.write_text("no film")
    arguments = ["frames", f"--input={film},{bad}", f"--output={out}"]
    assert app.run(COMMAND, arguments) == 1
    assert "bad.mkv: expected a video" in capfd.readouterr().err
    assert app.run(COMMAND, ["frames", f"--input={film}", f"--output={out}"]) == 0
    assert "film.mkv: finished before, skipped" in capfd.readouterr().err
    second = tmp_path / "second.mkv"
    second.write_text("no film")
    arguments = ["frames", f"--input={bad},{second}", f"--output={tmp_path / 'none'}"]
    assert app.run(COMMAND, arguments) == 2
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_listed_is_a_failure(film, tmp_path, capfd):
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(film, videos)
    # Its path is longer than the system allows, which holds for root, too, unlike permissions.
    place = os.open(videos, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=place)
        inner = os.open("n" * 250, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    arguments = ["frames", f"--input={videos}", f"--output={tmp_path / 'out'}"]
    assert app.run(COMMAND, arguments) == 1
    assert ": skipped, file name too long" in capfd.readouterr().err
    assert len(find_pictures(tmp_path / "out")) == 2


def test_a_full_disk(film, tmp_path):
    # A limit on the size of files acts like a full disk.
    resource = pytest.importorskip("resource", reason="the limit is one of Unix")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "anime_tf", "dataset", "frames"]
    command += [f"--input={film}", f"--output={out}", "--every=1"]

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limited)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "run the same command again to resume" in line
    written = [path.name for path in out.glob("*.png")]
    assert all(read_picture(out / name).size_hw == (40, 60) for name in written)
    assert not list(out.glob(".*"))
    subprocess.run(command, capture_output=True, check=True)
    assert len(list(out.glob("*.png"))) == 7
    assert list(Manifest(out).entries) == [f"film_{i:06d}.png" for i in range(7)]


def test_as_a_module(film, tmp_path):
    command = [sys.executable, "-m", "anime_tf", "dataset", "frames"]
    command += [f"--input={film}", f"--output={tmp_path / 'out'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert [path.name for path in find_pictures(tmp_path / "out")] == [
        "film_000000.png",
        "film_000005.png",
    ]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0
    assert "frames --input=video.mkv --output=dataset/MyStyle/style --every=5" in shown.stdout
