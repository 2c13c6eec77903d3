"""The engine that "auto" takes."""

from __future__ import annotations

import json
import logging as python_logging
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from anime_tf import Stylizer
from anime_tf.inference import autotune as choice
from anime_tf.inference import cache
from anime_tf.inference.autotune import Way
from anime_tf.inference.engines.engine import KerasEngine, open_engine
from anime_tf.inference.engines.openvino import OpenVinoEngine

ROUNDING = 1e-4  # float32 by other kernels

KERAS, OPENVINO = Way("keras", "float32"), Way("openvino", "float32")
KERAS_BFLOAT16, OPENVINO_BFLOAT16 = Way("keras", "bfloat16"), Way("openvino", "bfloat16")


@pytest.fixture
def measuring(tmp_path, monkeypatch) -> Path:
    """A cache of the test's own, with nothing in it yet; "auto" measures."""
    monkeypatch.setenv(choice.MEASURE_VARIABLE, "1")
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_of_two_that_are_nearly_as_fast_the_one_that_starts_sooner():
    assert choice.fastest({KERAS: 95.0, OPENVINO: 100.0}) == OPENVINO
    assert choice.fastest({KERAS: 90.0, OPENVINO: 100.0}) == KERAS
    table = {KERAS: 100.0, OPENVINO: 80.0, KERAS_BFLOAT16: 60.0, OPENVINO_BFLOAT16: 63.0}
    assert choice.fastest(table) == OPENVINO_BFLOAT16
    assert choice.fastest({KERAS: 100.0, KERAS_BFLOAT16: 95.0}) == KERAS, "the more exact"


def test_which_ways_there_are(archive, measuring, monkeypatch, tmp_path):
    with_openvino = [OPENVINO] if cache.version("openvino") else []
    assert choice.possible_ways(archive, "keras", "float32") == [KERAS, *with_openvino]
    assert choice.possible_ways(archive, "keras", "float32", hold=True) == [KERAS]
    saved_model = choice.possible_ways(tmp_path, "saved_model", "float32")
    assert saved_model == [Way("saved_model", "float32"), *with_openvino]
    assert choice.possible_ways(archive, "tflite", "auto") == [Way("tflite", "float32")]
    every = {KERAS, *with_openvino, KERAS_BFLOAT16, OPENVINO_BFLOAT16}
    assert set(choice.possible_ways(archive, "keras", "auto")) <= every
    monkeypatch.setenv(choice.MEASURE_VARIABLE, "0")
    assert choice.possible_ways(archive, "keras", "auto") == [KERAS]


def test_measured_once_and_remembered(archive, measuring, caplog, monkeypatch):
    pytest.importorskip("openvino", reason="openvino (the extra openvino) is not installed")
    caplog.set_level(python_logging.INFO, logger="absl")
    x = np.random.default_rng(5).uniform(-1, 1, (1, 40, 52, 3)).astype(np.float32)
    expected = open_engine(archive, "keras")(x)
    monkeypatch.setattr(choice, "BUSY", 1e9)  # never
    for measures in (True, False):
        caplog.clear()
        np.testing.assert_allclose(
            open_engine(archive, "auto", "float32")(x), expected, atol=ROUNDING
        )
        assert ("measuring" in caplog.text) == measures
        assert f"{archive.name} runs by the engine " in caplog.text

    # What was measured decides, whatever it was.
    (table,) = measuring.glob("speed-*")
    for way, kind in ((OPENVINO, OpenVinoEngine), (KERAS, KerasEngine)):
        milliseconds = {str(KERAS): 2.0, str(OPENVINO): 2.0, str(way): 1.0, "busy": False}
        cache.remember_json(table.name, milliseconds)
        assert isinstance(open_engine(archive, "auto", "float32"), kind)
    assert Stylizer(archive, engine_precision="float32", ema_statistics=True).supports_ema


def test_what_is_no_table_is_measured_anew():
    ways = [KERAS, OPENVINO]
    assert choice._is_table({str(KERAS): 1.0, str(OPENVINO): None, "busy": True}, ways)
    for wrong in (None, [], {}, {str(KERAS): 1.0}, {str(KERAS): None, str(OPENVINO): 1.0}):
        assert not choice._is_table(wrong, ways)
        assert not isinstance(wrong, dict) or not choice._is_table({**wrong, "busy": True}, ways)


def test_bfloat16_that_is_too_far_off_is_not_taken(archive, measuring):
    """With a table that says that it is the fastest, and an entry that says how far off it is."""
    ways = choice.possible_ways(archive, "keras", "auto", hold=True)
    if len(ways) == 1:
        pytest.skip("this CPU does not compute in bfloat16")
    facts = [cache.versions(), cache.machine()]
    speed = cache.entry("speed", choice._network_of(archive), *facts, ways, choice.MEASURED_SIDE)
    cache.remember_json(speed, {str(KERAS): 9.0, str(KERAS_BFLOAT16): 1.0, "busy": False})
    sound = cache.entry("sound", "keras", cache.digest_of(archive), *facts, choice.PROBE_SIDE)
    for decibels, precision in ((44.0, "float32"), (46.0, "bfloat16")):
        cache.remember_json(sound, decibels)
        assert open_engine(archive, hold=True).precision == precision


def test_the_second_start_needs_no_tensorflow(archive, measuring, tmp_path):
    pytest.importorskip("openvino", reason="openvino (the extra openvino) is not installed")
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((40, 52, 3), 90, np.uint8))
    x = np.zeros((1, 16, 16, 3), np.float32)
    expected_pm1 = open_engine(archive, "openvino", "float32")(x)
    code = (
        "import json, sys; from anime_tf.cli import app, infer;"
        "code = app.run(infer.COMMAND, sys.argv[1:]);"
        "print(json.dumps([code, [m for m in ('tensorflow', 'keras') if m in sys.modules]]))"
    )
    flags = [f"--weights={archive}", f"--input={tmp_path / 'photo.png'}", "--engine=openvino"]
    flags += [f"--output={tmp_path / 'anime.png'}", "--engine_precision=float32"]
    done = subprocess.run(
        [sys.executable, "-c", code, *flags], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [0, []], done.stderr
    assert len(done.stderr.splitlines()) == 1 and " INFO 1 of 1 " in done.stderr
    anime = cv2.imread(str(tmp_path / "anime.png"))[..., ::-1]
    expected = Stylizer(archive, engine="keras")(np.full((40, 52, 3), 90, np.uint8))
    assert np.abs(anime.astype(int) - expected.astype(int)).max() <= 1

    # What another build of OpenVINO has compiled is compiled anew.
    (kept,) = measuring.glob("openvino-*")
    whole = cache.recall(kept.name)
    cache.remember(kept.name, b"nothing that OpenVINO knows")
    np.testing.assert_array_equal(open_engine(archive, "openvino", "float32")(x), expected_pm1)
    assert len(cache.recall(kept.name)) > len(whole) // 2
