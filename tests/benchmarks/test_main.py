import json

import numpy as np
import pytest
from small_data_set import SETTINGS, make_data_set
from small_videos import moving, write_video

from anime_tf.cli import app
from anime_tf.datasets.edge_smooth import smooth_folder
from anime_tf.datasets.pipeline import TrainingPictures
from anime_tf.io.pictures import encode_picture, read_picture
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS
from anime_tf.training.config import TrainConfig
from benchmarks.__main__ import COMMAND
from benchmarks.machine import machine_facts
from benchmarks.pipeline import made_up_data_set, made_up_photo, pipeline_contenders
from benchmarks.report import figures, table_text
from benchmarks.timing import Contender, Spread, take_turns
from benchmarks.training import train_step_contenders

PHASES = ("init", "gan")


def test_contenders_take_turns_after_a_warm_up():
    calls = []

    def contender(name, seconds):
        def run(turn):
            calls.append((turn, name))
            return seconds[turn]

        return Contender("pipeline", {"phase": "init", "fit": name}, run)

    a, b = contender("a", [9.0, 1.0, 2.0]), contender("b", [9.0, 3.0, 4.0])
    take_turns([a, b], 2)
    assert calls == [(turn, name) for turn in (0, 1, 2) for name in "ab"]
    assert (a.seconds, b.seconds) == ([1.0, 2.0], [3.0, 4.0])


def test_a_spread_reads_well():
    assert str(Spread.of([0.012345, 1234.5, 56.78])) == "56.8 (0.0123 .. 1234)"


def measured(measure, phase, seconds, **labels):
    return Contender(measure, {"phase": phase, **labels}, lambda turn: 0.0, list(seconds))


def test_figures_by_hand():
    # The machine slows down threefold in the third turn: medians see it, ratios do not.
    tables = figures(
        [
            measured("train_step", "gan", [4.0, 4.0, 12.0], precision="float32"),
            measured("train_step", "gan", [2.0, 2.0, 6.0], precision="mixed_bfloat16"),
            measured("pipeline", "gan", [0.1, 0.2, 0.3], fit="crop"),
        ],
        batch_size=4,
    )
    float32, bfloat16 = tables["train_step"]
    spread = float32["seconds_a_step"]
    assert (spread.median, spread.low, spread.high) == (4, 4, 12)
    rates = bfloat16["pictures_a_second_a_stream"]
    assert (rates.median, rates.low, rates.high) == (2, 4 / 6, 2)
    assert float32["speed"].median == 1
    speed = bfloat16["speed"]
    assert (speed.median, speed.low, speed.high) == (2, 2, 2)
    assert bfloat16["speed_against"] == "float32"
    assert tables["pipeline"][0]["pictures_a_second_a_stream"].median == 20
    first, second = tables["pipeline_over_train_step"]
    assert (first["precision"], first["fit"], first["phase"]) == ("float32", "crop", "gan")
    assert first["ratio"].median == pytest.approx(40)  # 40, 20, 40
    assert first["ratio"].low == pytest.approx(20)
    assert second["ratio"].median == pytest.approx(20)
    heading, row = table_text("train_step", tables["train_step"]).splitlines()[1:3]
    assert heading.split("  ")[1:3] == ["phase", "precision"]
    assert "4 (4 .. 12)     1 (0.333 .. 1)" in row
    assert row.index("1 (0.333") == heading.index("pictures/s a stream")


def test_ratios_are_of_one_phase():
    tables = figures(
        [
            measured("train_step", "init", [1.0], precision="float32"),
            measured("train_step", "gan", [3.0], precision="float32"),
            measured("pipeline", "init", [0.1], fit="resize"),
            measured("pipeline", "gan", [0.1], fit="resize"),
        ],
        batch_size=1,
    )
    assert [row["speed"].median for row in tables["train_step"]] == [1, 1]
    ratios = {row["phase"]: row["ratio"].median for row in tables["pipeline_over_train_step"]}
    assert ratios == {"init": pytest.approx(10), "gan": pytest.approx(30)}


@pytest.mark.slow
def test_the_gan_step_trains():
    # Without the perceptual network, which the first phase needs, and at one precision only:
    # compiling takes long.
    config = TrainConfig(**{**SETTINGS, "content_weight": 0.0, "style_weight": 0.0})
    precisions = ("float32", "mixed_bfloat16")
    contenders = train_step_contenders(config, precisions, PHASES, steps=2, warmup=1)
    assert [list(c.labels.values()) for c in contenders] == [
        ["init", "float32"],
        ["init", "mixed_bfloat16"],
        ["gan", "float32"],
        ["gan", "mixed_bfloat16"],
    ]
    take_turns(contenders[3:], 1)
    assert contenders[3].seconds[0] > 0


def test_made_up_photos_weigh_what_photos_weigh():
    """Decoding takes time by the bits: noise has 10 and more a pixel, a flat picture near 0."""
    size_hw = (192, 256)
    photo = made_up_photo(np.random.default_rng(0), size_hw)
    assert photo.shape == (*size_hw, 3)
    assert photo.dtype == np.uint8
    bits = 8 * len(encode_picture(photo, ".jpg")) / (size_hw[0] * size_hw[1])
    assert 1 < bits < 5
    assert made_up_photo(np.random.default_rng(0), (3, 5)).shape == (3, 5, 3)


def test_the_made_up_data_set_feeds_both_fits(tmp_path):
    sets = made_up_data_set(tmp_path / "data", side=64, image_size=32, count=3)
    assert read_picture(sets["resize"].smooth[0]).size_hw == (32, 32)
    assert read_picture(sets["crop"].smooth[0]).size_hw == (48, 64)
    sources = {
        fit: TrainingPictures(folders, image_size=32, batch_size=2, seed=0, fit=fit)
        for fit, folders in sets.items()
    }
    contenders = pipeline_contenders(sources, PHASES, steps=2)
    assert [list(c.labels.values()) for c in contenders] == [
        ["init", "resize"],
        ["init", "crop"],
        ["gan", "resize"],
        ["gan", "crop"],
    ]
    take_turns(contenders, 1)
    assert all(c.seconds[0] > 0 for c in contenders)


def test_a_pipeline_that_breaks_amid_a_turn_says_so(tmp_path):
    folders = made_up_data_set(tmp_path / "data", side=64, image_size=32, count=3)["resize"]
    source = TrainingPictures(folders, image_size=32, batch_size=3, seed=0)
    contender = pipeline_contenders({"resize": source}, ["init"], steps=2)[0]
    # The first place of a batch is read before the turn begins, by the process itself.
    first = next(iter(source.folders.train_photo))
    for path in source.folders.train_photo:
        if path != first:
            path.write_bytes(b"")
    assert contender.run(0) > 0  # skips two broken pictures
    assert len(source.broken) == 2
    first.write_bytes(b"")
    with pytest.raises(ValueError, match="expected readable photo pictures, got 3 unreadable"):
        contender.run(1)


def test_facts_of_the_machine():
    facts = machine_facts()
    assert facts["processor"]
    assert 1 <= facts["cores_usable"] <= facts["cores"]
    assert facts["tensorflow"].startswith("2.")
    assert facts["keras"].startswith("3.")
    json.dumps(facts)


def test_the_verb_measures_step_and_pipeline(tmp_path, capsys):
    """The phase that compiles fast, on made-up photos."""
    arguments = ["--phases=init", "--precisions=float32", "--fits=resize", "--repeats=2"]
    arguments += ["--image_size=32", "--batch_size=1", "--pipeline_steps=2", "--made_up_side=48"]
    path = tmp_path / "speed.json"
    assert app.run(COMMAND, [*arguments, f"--json={path}"]) == 0
    out = capsys.readouterr().out
    assert "16 made-up JPEG photos a stream, 48 pixels wide" in out
    assert "\nTraining step\n  phase  precision" in out
    assert "\nPipeline alone\n  phase  fit" in out
    assert "\nPipeline alone over what the training step consumes\n  phase  precision  fit" in out
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
    arguments = ["--measure=pipeline", f"--dataset_dir={data}", "--style=Dots", "--repeats=1"]
    arguments += ["--image_size=32", "--batch_size=2", "--pipeline_steps=3", "--fits=resize"]
    before = sorted(data.rglob("*"))
    assert app.run(COMMAND, arguments) == 0
    out = capsys.readouterr().out
    assert f"pipeline: Dots of {data}" in out
    assert "  gan    resize  photo+anime+smooth  " in out
    assert "Training step" not in out
    assert "over what" not in out
    assert sorted(data.rglob("*")) == before
    (data / "train_photo" / "0.png").write_bytes(b"\x89PNG")
    assert app.run(COMMAND, arguments) == 1


def test_a_smooth_half_that_suits_one_fit_only(data, capsys):
    arguments = ["--measure=pipeline", f"--dataset_dir={data}", "--style=Dots"]
    assert app.run(COMMAND, [*arguments, "--image_size=32"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "bring" in error or "smooth again" in error
    assert error.endswith("or leave crop out of --fits")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--measure=frames", "--measure takes different ones of train_step, pipeline"),
        ("--precisions=float32,float32", "--precisions takes different ones of float32"),
        ("--precisions=", "--precisions takes"),
        ("--phases=middle", "--phases takes different ones of init, gan"),
        ("--fits=pad", "--fits takes different ones of resize, crop"),
        ("--dataset_dir=gone", "--dataset_dir and --style go together"),
        ("--json=gone/speed.json", "--json=gone/speed.json: no such folder"),
        ("--image_size=33", "image_size must be a multiple of 8 and at least 32, received 33"),
        ("--repeats=0", "--repeats"),
        ("--measure=engines,video", "--measure=engines stands alone"),
        ("--measure=engines --sizes=8x", "--sizes takes SIDE or WIDTHxHEIGHT, in pixels; got '8x'"),
        ("--measure=engines --sizes=64 --rounds=1,2", "--rounds takes one number"),
        ("--measure=engines --engines=caffe", "--engines takes different ones of keras"),
    ],
)
def test_wrong_command_lines(argument, message, capsys):
    assert app.run(COMMAND, argument.split()) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_films_against_the_network_alone(tmp_path, capsys):
    film, weights = tmp_path / "a.mp4", tmp_path / "small.keras"
    write_video(film, moving(6), audio="aac")
    save_generator(GENERATORS["animegan_v2_light"](width=4), weights)
    figures_file = tmp_path / "figures.json"
    flags = ["--measure=video", f"--film={film}", "--film_frames=4", f"--weights={weights}"]
    assert app.run(COMMAND, [*flags, "--repeats=2", f"--json={figures_file}"]) == 0
    network, whole = json.loads(figures_file.read_text())["video"]
    assert (network["what"], whole["what"]) == ("network alone", "film to film")
    assert (len(whole["seconds"]), network["speed"]["median"]) == (2, 1)
    ratio = network["seconds"][0] / whole["seconds"][0], network["seconds"][1] / whole["seconds"][1]
    assert whole["speed"]["median"] == pytest.approx(sum(ratio) / 2)
    assert "film to film" in capsys.readouterr().out
    assert app.run(COMMAND, ["--measure=video"]) == 2
    assert "--measure=video and --film go together" in capsys.readouterr().err
