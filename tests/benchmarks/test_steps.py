import pytest

from benchmarks.report import format_steps
from benchmarks.steps import make_tables
from benchmarks.timing import Candidate


def timed(measure, phase, seconds, **labels):
    return Candidate(measure, {"phase": phase, **labels}, lambda number: 0.0, list(seconds))


def test_tables_by_hand():
    # The machine slows down threefold in the third round; ratios are not affected.
    tables = make_tables(
        [
            timed("train_step", "gan", [4.0, 4.0, 12.0], precision="float32"),
            timed("train_step", "gan", [2.0, 2.0, 6.0], precision="mixed_bfloat16"),
            timed("pipeline", "gan", [0.1, 0.2, 0.3], fit="crop"),
        ],
        batch_size=4,
    )
    float32, bfloat16 = tables["train_step"]
    spread = float32["seconds_per_step"]
    assert (spread.median, spread.low, spread.high) == (4, 4, 12)
    rates = bfloat16["pictures_per_second"]
    assert (rates.median, rates.low, rates.high) == (2, 4 / 6, 2)
    assert float32["speedup"].median == 1
    spread = bfloat16["speedup"]
    assert (spread.median, spread.low, spread.high) == (2, 2, 2)
    assert bfloat16["speedup_over"] == "float32"
    assert tables["pipeline"][0]["pictures_per_second"].median == 20
    first, second = tables["pipeline_over_train_step"]
    assert (first["precision"], first["fit"], first["phase"]) == ("float32", "crop", "gan")
    assert first["ratio"].median == pytest.approx(40)  # 40, 20, 40
    assert first["ratio"].low == pytest.approx(20)
    assert second["ratio"].median == pytest.approx(20)
    machine = {"processor": "CPU", "cores_usable": 1, "cores": 2, "gpus": [], "load_average": 0.5}
    document = {
        "machine": {**machine, "tensorflow": "2", "keras": "3"},
        "settings": {"model": "animegan_v2", "image_size": 64, "batch_size": 4, "rounds": 3},
        "peak_memory_gib": None,
        **tables,
    }
    lines = format_steps(document).splitlines()
    title = lines.index("Training step")
    header, row = lines[title + 1 : title + 3]
    assert header.split("  ")[0] == "phase"
    spread = "1 (0.333 .. 1)"
    assert "  4 (4 .. 12)  " in row and spread in row
    assert row.index(spread) + len(spread) == header.index("per stream") + len("per stream")


def test_ratios_are_of_one_phase():
    tables = make_tables(
        [
            timed("train_step", "init", [1.0], precision="float32"),
            timed("train_step", "gan", [3.0], precision="float32"),
            timed("pipeline", "init", [0.1], fit="resize"),
            timed("pipeline", "gan", [0.1], fit="resize"),
        ],
        batch_size=1,
    )
    assert [row["speedup"].median for row in tables["train_step"]] == [1, 1]
    ratios = {row["phase"]: row["ratio"].median for row in tables["pipeline_over_train_step"]}
    assert ratios == {"init": pytest.approx(10), "gan": pytest.approx(30)}


def test_tables_of_an_interrupted_round():
    tables = make_tables(
        [
            timed("train_step", "init", [2.0, 2.0], precision="float32"),
            timed("train_step", "init", [1.0], precision="mixed_bfloat16"),
            timed("pipeline", "init", [], fit="crop"),
        ],
        batch_size=1,
    )
    assert [row["speedup"].median for row in tables["train_step"]] == [1, 2]
    assert set(tables) == {"train_step"}
