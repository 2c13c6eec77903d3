import importlib.util
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from anime_tf.cli import app
from anime_tf.io.pictures import read_picture
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS
from benchmarks import baselines, engines, report
from benchmarks.__main__ import COMMAND
from benchmarks.engines import (
    EngineCandidate,
    convolution_operations,
    list_candidates,
    speedups,
)
from benchmarks.workers import Timing

SAME_NETWORK = 1e-4  # of 2; float32 in another order of sums, after 20 norms


def test_operations_of_convolutions_by_hand():
    def run(x):
        x = tf.nn.conv2d(x, tf.zeros((3, 3, 3, 8)), 2, "SAME")  # 4x6x8 values of 27 products
        x = tf.nn.depthwise_conv2d(x, tf.zeros((3, 3, 8, 1)), (1, 1, 1, 1), "SAME")  # of 9
        return tf.nn.conv2d_transpose(x, tf.zeros((2, 2, 5, 8)), (1, 8, 12, 5), 2)  # 4x6x8 to 2x2x5

    graph = tf.function(run).get_concrete_function(tf.TensorSpec((1, 8, 12, 3))).graph
    assert convolution_operations(graph) == 2 * 4 * 6 * 8 * (27 + 9 + 20)


def row(kind, engine, seconds, precision="float32"):
    return {
        **{"model": "animegan_v2", "kind": kind, "engine": engine, "precision": precision},
        **{"height": 64, "width": 96, "seconds": seconds, "cpu_seconds": seconds, "gflop": 8.0},
        **{"open_seconds": 1.0, "first_seconds": 2.0, "peak_gib": None, "psnr": None},
    }


ROWS = [
    row("baseline", "pytorch", [4.0, 4.0, 12.0]),
    row("baseline", "openvino", [2.0, 2.0, 6.0]),
    row("exact", "keras", [1.0, 2.0, 3.0]),
    row("frozen", "keras", [0.5, 0.5, 1.5]),
    row("frozen", "openvino", [0.4, 0.4, 1.2], "bfloat16"),
]


def test_speedups_are_ratios_within_rounds():
    exact, frozen = speedups(ROWS)
    assert (exact["baseline"], exact["ours"], exact["kind"]) == ("openvino", "keras", "exact")
    spread = exact["speedup"]
    assert (spread.median, spread.low, spread.high) == (2, 1, 2)
    assert (frozen["kind"], frozen["speedup"].median) == ("frozen", 4)


def test_figures_are_read_and_reported(tmp_path, capsys):
    machine = {"processor": "Some CPU", "cores_usable": 2, "load_average": 0.5}
    document = {"machine": machine, "peaks": {"float32": 16.0, "bfloat16": 80.0}, "rows": ROWS}
    figures, chart, page = (tmp_path / name for name in ("a.json", "a.png", "page.md"))
    figures.write_text(json.dumps(document))
    page.write_text(f"before\n\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    assert app.run(COMMAND, [f"--read={figures}", f"--chart={chart}", f"--page={page}"]) == 0
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "old" not in lines
    assert lines[4] == "![Milliseconds per picture by engine and size](a.png)"
    assert "| ours: keras | float32 | 2000 (1000 .. 3000) | 4 | 25 % |  | 1.0 | 2.0 |  |" in lines
    wanted = "| 96x64 | float32 | openvino | keras, exact | 2 (1 .. 2) |"
    assert wanted in lines
    assert wanted in capsys.readouterr().out
    colors = read_picture(chart).rgb_u8.reshape(-1, 3)
    for color in ((150, 150, 150), (46, 110, 180), (226, 120, 40), (255, 255, 255)):
        assert (colors == color).all(axis=-1).sum() > 1000
    page.write_text("no place")
    assert app.run(COMMAND, [f"--read={figures}", f"--page={page}"]) == 2
    figures.write_text("{}")
    assert app.run(COMMAND, [f"--read={figures}"]) == 2


def test_candidates_are_open_together_or_one_at_a_time(monkeypatch):
    """Two of 600 MiB each and 1.7 kB a pixel in 2 GiB: 256x256 pixels fit, 1920x1080 do not."""
    monkeypatch.setattr(engines, "free_memory", lambda: 2 * 2**30)
    candidates = [EngineCandidate(kind, "keras", "float32") for kind in ("exact", "frozen")]
    pool = engines._WorkerPool(None, candidates)
    pool.prepare_for((256, 256))
    assert not pool.one_at_a_time
    pool.prepare_for((1080, 1920))
    assert pool.one_at_a_time


def test_candidates():
    candidates = list(list_candidates("cartoongan", ["keras", "saved_model"], ["float32"], True))
    assert candidates == [
        EngineCandidate("exact", "keras", "float32"),
        EngineCandidate("exact", "saved_model", "float32"),
        EngineCandidate("frozen", "keras", "float32"),
    ]


def test_every_network_can_be_measured(capsys):
    """An error lists all known networks."""
    assert app.run(COMMAND, ["--measure=engines", "--models=cel"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--models=cel: expected different ones of {', '.join(sorted(GENERATORS))}" in line


def test_rows_are_complete_after_each_figure():
    """So that an interrupted run keeps its figures."""
    candidates = [EngineCandidate("exact", name, "float32") for name in ("keras", "openvino")]

    class Pool:
        def __init__(self):
            self.candidates, self.one_at_a_time = candidates, False
            self.open_seconds = dict.fromkeys(candidates, 1.0)
            self.runs = 0

        def run(self, candidate, picture_pm1, calls, result):
            self.runs += 1
            if self.runs == 8:
                raise KeyboardInterrupt
            return Timing(self.runs, self.runs, None, picture_pm1 if result else None)

    measured = []
    with pytest.raises(KeyboardInterrupt):
        measured.extend(engines._measure_size(Pool(), (8, 8), 2, {}, lambda: None))
    seconds = [[row["seconds"] for row in rows] for rows in measured]
    assert seconds == [[[5]], [[5], [6]], [[5, 7], [6]]]


@pytest.mark.slow
def test_engines_are_measured(tmp_path, capsys):
    """Exact and frozen, by Keras, in processes of their own."""
    weights, figures = tmp_path / "small.keras", tmp_path / "a.json"
    save_generator(GENERATORS["animegan_v3"](width=4), weights)  # the fewest layers with norms
    flags = ["--measure=engines", "--engines=keras", "--precisions=float32", "--sizes=32,48x32"]
    flags += ["--rounds=2,1", f"--weights={weights}", f"--json={figures}"]
    assert app.run(COMMAND, flags) == 0
    document = json.loads(figures.read_text())
    found = [(r["kind"], r["width"], len(r["seconds"])) for r in document["rows"]]
    assert found == [("exact", 32, 2), ("frozen", 32, 2), ("exact", 48, 1), ("frozen", 48, 1)]
    assert document["rows"][0]["gflop"] * 1.5 == pytest.approx(document["rows"][2]["gflop"])
    assert document["peaks"]["float32"] > 1
    assert "| ours, frozen statistics: keras | float32 |" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_network_of_the_baselines_is_ours():
    keras.utils.set_random_seed(0)
    model = GENERATORS["animegan_v2"](width=4, upsampling="half_pixel", epsilon=1e-5)
    network = baselines.pytorch_network(model)
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 32, 48, 3)).astype(np.float32)
    expected = np.array(model(picture))
    for runtime in ("pytorch", "pytorch channels-last"):
        found = baselines.run_by_pytorch(network, runtime, "float32")(picture)
        assert np.abs(found - expected).max() < SAME_NETWORK


def test_baselines_have_one_network():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(ValueError, match="half_pixel upsampling, got CartoonGANGenerator"):
        baselines.pytorch_network(GENERATORS["cartoongan"](width=4))
