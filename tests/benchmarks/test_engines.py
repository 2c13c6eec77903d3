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
from benchmarks import engines, peers, tables
from benchmarks.__main__ import COMMAND
from benchmarks.engines import (
    Way,
    convolution_operations,
    possible_ways,
    verdicts,
)

SAME_NETWORK = 1e-4  # of 2; float32 in another order of sums, after 20 norms: 1e-5 was seen


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
    row("peer", "pytorch", [4.0, 4.0, 12.0]),
    row("peer", "openvino", [2.0, 2.0, 6.0]),
    row("exact", "keras", [1.0, 2.0, 3.0]),
    row("held", "keras", [0.5, 0.5, 1.5]),
    row("held", "openvino", [0.4, 0.4, 1.2], "bfloat16"),
]


def test_verdicts_are_of_ratios_within_turns():
    exact, held = verdicts(ROWS)
    assert (exact["theirs"], exact["ours"], exact["kind"]) == ("openvino", "keras", "exact")
    assert (exact["speed"].median, exact["speed"].low, exact["speed"].high) == (2, 1, 2)
    assert (held["kind"], held["speed"].median) == ("held", 4)


def test_figures_are_told_again(tmp_path, capsys):
    machine = {"processor": "Some CPU", "cores_usable": 2, "load_average": 0.5}
    document = {"machine": machine, "peaks": {"float32": 16.0, "bfloat16": 80.0}, "rows": ROWS}
    figures, chart, page = (tmp_path / name for name in ("a.json", "a.png", "page.md"))
    figures.write_text(json.dumps(document))
    page.write_text(f"before\n\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    assert app.run(COMMAND, [f"--read={figures}", f"--chart={chart}", f"--page={page}"]) == 0
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "old" not in lines
    assert lines[4] == "![Milliseconds for a picture, way by way and size by size](a.png)"
    assert "| ours: keras | float32 | 2000 (1000 .. 3000) | 4 | 25 % |  | 1.0 | 2.0 |  |" in lines
    wanted = "| 96x64 | float32 | openvino | keras, exact | 2 (1 .. 2) |"
    assert wanted in lines
    assert wanted in capsys.readouterr().out
    colours = read_picture(chart).rgb_u8.reshape(-1, 3)
    for colour in ((150, 150, 150), (46, 110, 180), (226, 120, 40), (255, 255, 255)):
        assert (colours == colour).all(axis=-1).sum() > 1000
    page.write_text("no place")
    assert app.run(COMMAND, [f"--read={figures}", f"--page={page}"]) == 2
    figures.write_text("{}")
    assert app.run(COMMAND, [f"--read={figures}"]) == 2


def test_ways_are_open_together_or_each_for_its_turns(monkeypatch):
    """Two of 600 MiB each and 1.7 kB a pixel in 2 GiB: 256x256 pixels fit, 1920x1080 do not."""
    monkeypatch.setattr(engines, "free_memory", lambda: 2 * 2**30)
    crew = engines._Crew(None, [Way("exact", "keras", "float32"), Way("held", "keras", "float32")])
    crew.prepare_for((256, 256))
    assert not crew.apart
    crew.prepare_for((1080, 1920))
    assert crew.apart


def test_ways_and_what_is_missing():
    ways = list(possible_ways("cartoongan", ["keras", "saved_model"], ["float32"], True))
    assert ways == [
        Way("exact", "keras", "float32"),
        Way("exact", "saved_model", "float32"),
        Way("held", "keras", "float32"),
    ]


def test_every_network_can_be_measured(capsys):
    """Those that are unknown are refused with the names of all that are known."""
    assert app.run(COMMAND, ["--measure=engines", "--models=cel"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--models takes different ones of {', '.join(sorted(GENERATORS))}, with" in line


@pytest.mark.slow
def test_engines_are_measured(tmp_path, capsys):
    """Exact and held, by Keras, in processes of their own."""
    weights, figures = tmp_path / "small.keras", tmp_path / "a.json"
    save_generator(GENERATORS["animegan_v2_light"](width=4), weights)
    flags = ["--measure=engines", "--engines=keras", "--precisions=float32", "--sizes=32,48x32"]
    flags += ["--rounds=2,1", f"--weights={weights}", f"--json={figures}"]
    assert app.run(COMMAND, flags) == 0
    document = json.loads(figures.read_text())
    found = [(r["kind"], r["width"], len(r["seconds"])) for r in document["rows"]]
    assert found == [("exact", 32, 2), ("held", 32, 2), ("exact", 48, 1), ("held", 48, 1)]
    assert document["rows"][0]["gflop"] * 1.5 == pytest.approx(document["rows"][2]["gflop"])
    assert document["peaks"]["float32"] > 1
    assert "| ours, held statistics: keras | float32 |" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_peers_network_is_ours():
    keras.utils.set_random_seed(0)
    model = GENERATORS["animegan_v2"](width=4, upsampling="half_pixel", epsilon=1e-5)
    network = peers.pytorch_network(model)
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 32, 48, 3)).astype(np.float32)
    expected = np.array(model(picture))
    for way in ("pytorch", "pytorch channels-last"):
        found = peers.run_by_pytorch(network, way, "float32")(picture)
        assert np.abs(found - expected).max() < SAME_NETWORK


def test_peers_have_one_network():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(ValueError, match="half-pixel resize, found CartoonGANGenerator"):
        peers.pytorch_network(GENERATORS["cartoongan"](width=4))
