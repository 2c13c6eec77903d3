"""The verb video, through its command line, on real files."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from small_videos import moving, read, write_video

from anime_tf import Stylizer
from anime_tf.cli import app
from anime_tf.cli.video import COMMAND
from anime_tf.io.pictures import write_picture
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS

ROOT = Path(__file__).parents[2]

# Mean error of x264 at crf 1 with halved chroma on small noisy frames, in levels.
FILM_MEAN_STEPS = 12


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    keras.utils.set_random_seed(5)
    path = tmp_path_factory.mktemp("weights") / "small.keras"
    save_generator(GENERATORS["animegan_v3"](width=4), path)  # the fewest layers with norms
    return path


@pytest.fixture
def film(tmp_path) -> Path:
    path = tmp_path / "in" / "film.mp4"
    path.parent.mkdir()
    write_video(path, moving(5, 36, 50), audio="aac")
    return path


def video(archive, *flags) -> int:
    return app.run(COMMAND, [f"--weights={archive}", *map(str, flags)])


def test_a_video_is_stylized(archive, film, tmp_path, capfd):
    out = tmp_path / "out" / "film.mp4"
    assert video(archive, f"--input={film}", f"--output={out}", "--crf=1") == 0
    outcome = capfd.readouterr()
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1, outcome.err  # no warnings, no bar
    assert f"5 frames written to {out}" in outcome.err
    before, after = read(film), read(out)
    assert after.times == before.times
    assert after.audio == before.audio
    stylizer = Stylizer(archive)
    with VideoFileReader(film) as reader:
        for frame, written in zip(reader.frames(), after.frames, strict=True):
            expected = stylizer(frame.rgb_u8).astype(float)
            assert np.abs(written - expected).mean() <= FILM_MEAN_STEPS


def test_a_camera_is_stylized(archive, tmp_path, capfd, monkeypatch):
    """A camera that gives twelve frames and then ends."""

    class Camera:
        rate = 20.0

        def __init__(self, _number, rate):
            assert rate == 10
            self.frames = iter(moving(12, 36, 50))

        def read(self):
            time.sleep(1 / self.rate)
            return next(self.frames, None)

        def close(self):
            pass

    monkeypatch.setattr("anime_tf.io.video.open.OpenCVCamera", Camera)
    out = tmp_path / "me.mp4"
    assert video(archive, "0", out, "--stabilize=off", "--nopreview", "--fps=10") == 0
    log = capfd.readouterr().err
    assert re.search(r"camera 0: \d+x\d+ stylized, \d+ dropped", log)
    assert {frame.shape for frame in read(out).frames} == {(36, 50, 3)}


def test_options(archive, film, tmp_path):
    out = tmp_path / "film.mkv"
    flags = ("--strength=0", "--max_side=24", "--crf=10", "--engine=keras")
    assert video(archive, f"--input={film}", f"--output={out}", *flags) == 0
    before, after = read(film), read(out)
    assert {frame.shape for frame in after.frames} == {(18, 24, 3)}  # 17 rows and one more
    means = [[frame.mean() for frame in pictures.frames] for pictures in (before, after)]
    assert np.abs(np.subtract(*means)).max() <= FILM_MEAN_STEPS


def test_a_truncated_video_keeps_its_readable_frames(archive, tmp_path, capfd):
    source, out = tmp_path / "cut.mkv", tmp_path / "out.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), np.uint8)
    write_video(source, list(noise))
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    assert video(archive, f"--input={source}", f"--output={out}", "--strength=0") == 1
    written, warning = capfd.readouterr().err.splitlines()
    assert f"WARNING {source}: " in warning
    assert f"{len(read(out).frames)} frames written" in written


def test_wrong_inputs_are_one_line_and_touch_no_file(archive, film, tmp_path, capfd):
    note = tmp_path / "note.mp4"
    note.write_text("no film")
    photo = tmp_path / "photo.jpg"
    write_picture(photo, np.zeros((16, 16, 3), np.uint8))
    other = tmp_path / "other.mp4"
    shutil.copy(film, other)
    before = sorted(tmp_path.rglob("*"))
    for flags, words in (
        (
            [f"--input={tmp_path}/none.mp4", "--output=out.mp4"],
            "none.mp4: no such file or folder; expected a video",
        ),
        (
            [f"--input={note}", "--output=out.mp4"],
            "note.mp4: expected a video that FFmpeg reads, got a text file; if players",
        ),
        ([f"--input={photo}", "--output=out.mp4"], "got a still picture; stylize it with"),
        ([f"--input={film}", "--output=out.mp4", "--background=x"], "expected a color such as"),
        ([f"--input={film}", "--output=out.avi"], "expected a video (.mp4, .mov, .mkv"),
        ([f"--input={film}", f"--output={film}"], "would overwrite the input"),
        ([f"--input={film}", f"--output={note}/out.mp4"], "expected a folder, got the file"),
        ([f"--input={film}", "--output=/proc/none/out.mp4"], "/proc/none"),
        ([f"--input={film}", "--output=out.mp4", "--crf=64"], "--crf=64"),
        ([f"--input={film}", "--output=out.mp4", "--weights=cell"], "did you mean cel?"),
        ([f"--input={film}"], "--output is required"),
        ([film, other], "other.mp4: expected a new output or an earlier one of anime-tf"),
    ):
        assert video(archive, *flags) == 2, flags
        err = capfd.readouterr().err
        assert words in err
        assert len(err.splitlines()) == 1, err
    assert sorted(tmp_path.rglob("*")) == before
    assert other.read_bytes() == film.read_bytes()


def test_help_loads_no_heavy_packages():
    code = (
        "import sys\nfrom anime_tf.cli import app\n"
        "code = app.main(['video', '--help'])\n"
        "assert not {'tensorflow', 'keras', 'cv2', 'av'} & set(sys.modules), sys.modules.keys()\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("anime-tf video holiday.mp4 anime.mp4\n")
    for flag in ("weights=cel", "engine=auto", "strength=1.0", "max_side=0"):
        assert f"  --{flag}\n" in done.stdout


def test_the_script_and_the_module_are_the_verb(archive):
    for command, name in (
        (["video.py"], "python video.py"),
        (["-m", "anime_tf", "video"], "anime-tf video"),
    ):
        done = subprocess.run(
            [
                *(sys.executable, *command, f"--weights={archive}"),
                *("--input=none.mp4", "--output=out.mp4"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert done.stderr == f"{name}: none.mp4: no such file or folder; expected a video\n"


def test_a_signal_leaves_a_video_that_can_be_resumed(tmp_path, tmp_path_factory, capfd):
    """SIGTERM to the script, then --resume with other settings, then --resume."""
    source, out = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, moving(150, 96, 128), audio="aac")
    weights = tmp_path_factory.mktemp("weights") / "quick.keras"
    save_generator(GENERATORS["whitebox"](width=4), weights)  # blending needs no norms
    flags = [f"--weights={weights}", f"--input={source}", f"--output={out}", "--stabilize=blend"]
    process = subprocess.Popen(
        [sys.executable, "video.py", *flags],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # A background job of a shell ignores SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".b.mp4.*.tmp")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    warning, line = err.splitlines()
    assert "SIGTERM: writing the finished frames; again to end at once" in warning
    left = tmp_path / "b.partial.mp4"
    assert f"of 150 frames are in {left}; resume with: " in line
    assert not out.exists() and not list(tmp_path.glob(".*"))
    done = len(read(left).frames)
    assert 0 < done < 150

    command = shlex.split(line.partition("resume with: ")[2])
    assert command[:2] == [sys.executable, "video.py"]
    resume_flags = command[2:]
    assert app.run(COMMAND, [*resume_flags, "--strength=0.5"]) == 2
    assert "b.partial.mp4: expected --strength=1.0 as before, got 0.5" in capfd.readouterr().err
    assert app.run(COMMAND, resume_flags) == 0
    before, after = read(source), read(out)
    assert (after.times, after.audio) == (before.times, before.audio)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_side_by_side(archive, film, tmp_path):
    out = tmp_path / "film.mp4"
    assert video(archive, f"--input={film}", f"--output={out}", "--compare", "--strength=0") == 0
    (frame, *_) = read(out).frames
    assert frame.shape == (36, 100, 3)
    assert np.abs(frame[:, :48].astype(int) - frame[:, 50:98]).mean() <= FILM_MEAN_STEPS


def test_screentone(archive, film, tmp_path):
    out = tmp_path / "film.mp4"
    assert video(archive, f"--input={film}", f"--output={out}", "--screentone=12") == 0
    frames = np.array(read(out).frames, int)
    assert np.ptp(frames, axis=3).mean() <= FILM_MEAN_STEPS  # no color
    # nearly all is black or white
    assert ((frames < 64) | (frames > 191)).mean() > 0.7
