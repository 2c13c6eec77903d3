import json

import pytest
from small_data_set import make_data_set
from small_videos import moving, write_video

from anime_tf.cli import app
from anime_tf.datasets.edge_smooth import smooth_folder
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS
from benchmarks import steps
from benchmarks.__main__ import COMMAND
from benchmarks.timing import Candidate


def test_step_and_pipeline(tmp_path, capsys):
    """The phase that compiles fast, on generated photos."""
    arguments = ["--phases=init", "--precisions=float32", "--fits=resize", "--rounds=2"]
    arguments += ["--image_size=32", "--batch_size=1", "--pipeline_steps=2", "--photo_side=48"]
    path = tmp_path / "speed.json"
    assert app.run(COMMAND, [*arguments, f"--json={path}"]) == 0
    out = capsys.readouterr().out
    assert "16 generated JPEG photos per stream, 48 pixels wide" in out
    assert "\nTraining step\nphase  precision" in out
    assert "\nPipeline alone\nphase     fit" in out
    assert "\nPipeline alone over consumption of the training step\nphase  precision  " in out
    figures = json.loads(path.read_text())
    assert figures["machine"]["cores"] >= 1
    assert figures["settings"]["image_size"] == 32
    assert 0 < figures["peak_memory_gib"] < 24
    assert len(figures["train_step"][0]["seconds"]) == 2
    assert figures["pipeline"][0]["streams"] == ["photo"]
    assert set(figures["pipeline_over_train_step"][0]["ratio"]) == {"median", "low", "high"}
    assert [file.name for file in tmp_path.iterdir()] == ["speed.json"]


@pytest.fixture
def data(tmp_path):
    folder = make_data_set(tmp_path / "data")
    smooth_folder(folder / "Dots" / "style", folder / "Dots" / "smooth", (32, 32))
    return folder


def test_the_pipeline_of_a_data_set(data, capsys):
    arguments = ["--measure=pipeline", f"--dataset_dir={data}", "--style=Dots", "--rounds=1"]
    arguments += ["--image_size=32", "--batch_size=2", "--pipeline_steps=3", "--fits=resize"]
    before = sorted(data.rglob("*"))
    assert app.run(COMMAND, arguments) == 0
    out = capsys.readouterr().out
    assert f"pipeline: Dots of {data}" in out
    assert "gan    resize  photo+anime+smooth  " in out
    assert "Training step" not in out
    assert "over consumption" not in out
    assert sorted(data.rglob("*")) == before
    (data / "train_photo" / "0.png").write_bytes(b"\x89PNG")
    assert app.run(COMMAND, arguments) == 1


def test_a_smooth_half_that_suits_one_fit_only(data, capsys):
    arguments = ["--measure=pipeline", f"--dataset_dir={data}", "--style=Dots"]
    assert app.run(COMMAND, [*arguments, "--image_size=32"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "bring" in error or "smooth again" in error
    assert error.endswith("or leave crop out of --fits")


def test_an_interrupted_run_keeps_its_figures(data, tmp_path, monkeypatch):
    def run(number):
        if number == 3:
            raise KeyboardInterrupt
        return 0.5 * number

    candidates = [Candidate("pipeline", {"phase": "init", "fit": "crop"}, run)]
    monkeypatch.setattr(steps, "pipeline_candidates", lambda *_, **__: candidates)
    path = tmp_path / "figures.json"
    arguments = ["--measure=pipeline", f"--dataset_dir={data}", "--style=Dots", "--fits=resize"]
    arguments += ["--image_size=32", f"--json={path}"]
    assert app.run(COMMAND, arguments) == app.EXIT_INTERRUPTED
    (row,) = json.loads(path.read_text())["pipeline"]
    assert row["seconds"] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--measure=frames", "--measure=frames: expected different ones of train_step, pipeline"),
        ("--precisions=float32,float32", "expected different ones of float32"),
        ("--precisions=", "--precisions=: expected different ones of"),
        ("--phases=middle", "--phases=middle: expected different ones of init, gan"),
        ("--fits=pad", "--fits=pad: expected different ones of resize, crop"),
        ("--dataset_dir=gone", "expected --dataset_dir and --style together"),
        ("--json=gone/speed.json", "--json=gone/speed.json: no such folder"),
        ("--image_size=33", "image_size"),
        ("--rounds=0", "--rounds=0: expected integers of at least 1"),
        ("--measure=engines,video", "expected --measure=engines alone"),
        ("--measure=engines --sizes=8x", "--sizes=8x: expected SIDE or WIDTHxHEIGHT in pixels"),
        ("--measure=engines --sizes=64 --rounds=1,2", "--rounds: expected one number"),
        ("--measure=engines --engines=caffe", "expected different ones of keras"),
    ],
)
def test_wrong_command_lines(argument, message, capsys):
    assert app.run(COMMAND, argument.split()) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_videos_and_the_network_alone(tmp_path, capsys):
    video, weights = tmp_path / "a.mp4", tmp_path / "small.keras"
    write_video(video, moving(6), audio="aac")
    save_generator(GENERATORS["whitebox"](width=4), weights)  # the fewest layers
    figures_file = tmp_path / "figures.json"
    flags = ["--measure=video", f"--video={video}", "--video_frames=4", f"--weights={weights}"]
    assert app.run(COMMAND, [*flags, "--rounds=2", f"--json={figures_file}"]) == 0
    network, whole = json.loads(figures_file.read_text())["video"]
    assert (network["task"], whole["task"]) == ("network alone", "video to video")
    assert (len(whole["seconds"]), network["speedup"]["median"]) == (2, 1)
    ratio = network["seconds"][0] / whole["seconds"][0], network["seconds"][1] / whole["seconds"][1]
    assert whole["speedup"]["median"] == pytest.approx(sum(ratio) / 2)
    assert "video to video" in capsys.readouterr().out
    assert app.run(COMMAND, ["--measure=video"]) == 2
    assert "expected --measure=video and --video together" in capsys.readouterr().err
