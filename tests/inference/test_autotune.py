"""The choice of the engine "auto"."""

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
from anime_tf.inference import accuracy, autotune, cache
from anime_tf.inference.autotune import open_engine
from anime_tf.inference.engines.engine import EngineConfig
from anime_tf.inference.engines.keras import KerasEngine
from anime_tf.inference.engines.openvino import OpenVinoEngine

ROUNDING = 1e-4  # float32 by other kernels

KERAS, OPENVINO = EngineConfig("keras"), EngineConfig("openvino")
KERAS_BFLOAT16, OPENVINO_BFLOAT16 = (EngineConfig(x.engine, "bfloat16") for x in (KERAS, OPENVINO))


@pytest.fixture(scope="module")
def archive(exports) -> Path:
    """The generator that opens fastest of those with statistics."""
    return exports["live"].archive


@pytest.fixture
def empty_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of the test; "auto" measures."""
    monkeypatch.setenv(autotune.MEASURE_VARIABLE, "1")
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_of_nearly_equal_engines_the_more_exact_or_faster_starting_one_is_chosen():
    assert autotune.choose_fastest({KERAS: 95.0, OPENVINO: 100.0}) == OPENVINO
    assert autotune.choose_fastest({KERAS: 90.0, OPENVINO: 100.0}) == KERAS
    table = {KERAS: 100.0, OPENVINO: 80.0, KERAS_BFLOAT16: 60.0, OPENVINO_BFLOAT16: 63.0}
    assert autotune.choose_fastest(table) == OPENVINO_BFLOAT16
    assert autotune.choose_fastest({KERAS: 100.0, KERAS_BFLOAT16: 95.0}) == KERAS, "the more exact"


def test_candidates(archive, empty_cache, monkeypatch, tmp_path):
    candidates = autotune.make_candidates
    with_openvino = [OPENVINO] if cache.version("openvino") else []
    assert candidates(archive, "float32") == [KERAS, *with_openvino]
    assert candidates(archive, "float32", ema_statistics=True) == [KERAS]
    assert candidates(tmp_path, "float32") == [EngineConfig("saved_model"), *with_openvino]
    (tmp_path / "a.tflite").touch()
    assert candidates(tmp_path / "a.tflite") == [EngineConfig("tflite")]
    assert set(candidates(archive)) <= {KERAS, *with_openvino, KERAS_BFLOAT16, OPENVINO_BFLOAT16}
    monkeypatch.setenv(autotune.MEASURE_VARIABLE, "0")
    assert candidates(archive) == [KERAS]


def test_measurements_are_cached(archive, empty_cache, caplog, monkeypatch):
    pytest.importorskip("openvino", reason="openvino (the extra openvino) is not installed")
    caplog.set_level(python_logging.INFO, logger="absl")
    x = np.random.default_rng(5).uniform(-1, 1, (1, 40, 52, 3)).astype(np.float32)
    expected = open_engine(archive, "keras")(x)
    monkeypatch.setattr(autotune, "BUSY_LOAD", 1e9)  # never
    for measures in (True, False):
        caplog.clear()
        np.testing.assert_allclose(
            open_engine(archive, "auto", "float32")(x), expected, atol=ROUNDING
        )
        assert ("measuring" in caplog.text) == measures
        assert f"{archive.name}: engine " in caplog.text

    # The cached measurements decide.
    (table,) = empty_cache.glob("speed-*")
    for config, kind in ((OPENVINO, OpenVinoEngine), (KERAS, KerasEngine)):
        milliseconds = {str(KERAS): 2.0, str(OPENVINO): 2.0, str(config): 1.0, "busy": False}
        cache.store_json(table.name, milliseconds)
        assert isinstance(open_engine(archive, "auto", "float32"), kind)
    assert Stylizer(archive, engine_precision="float32", ema_statistics=True).supports_ema


def test_weights_of_another_kind_are_not_measured(archive, empty_cache, tmp_path, caplog):
    caplog.set_level(python_logging.INFO, logger="absl")
    damaged, run_dir = tmp_path / "damaged.keras", tmp_path / "run"
    damaged.write_bytes(archive.read_bytes()[:-100])
    run_dir.mkdir()
    for path, message in (
        (damaged, "incomplete or damaged"),
        (run_dir, "expected a SavedModel folder, got a folder without saved_model.pb$"),
    ):
        with pytest.raises(ValueError, match=message):
            Stylizer(path)
    (run_dir / "generator.keras").touch()
    with pytest.raises(ValueError, match=r"saved_model.pb; name .*/run/generator.keras$"):
        Stylizer(run_dir)
    assert "measuring" not in caplog.text
    assert not list(empty_cache.glob("speed-*"))


def test_invalid_tables_are_measured_again():
    candidates = [KERAS, OPENVINO]
    assert autotune._is_table({str(KERAS): 1.0, str(OPENVINO): None, "busy": True}, candidates)
    for wrong in (None, [], {}, {str(KERAS): 1.0}, {str(KERAS): None, str(OPENVINO): 1.0}):
        assert not autotune._is_table(wrong, candidates)
        assert not isinstance(wrong, dict) or not autotune._is_table(
            {**wrong, "busy": True}, candidates
        )


def test_inaccurate_bfloat16_is_not_chosen(archive, empty_cache):
    """According to the cache it is the fastest, and above or below the limit."""
    candidates = autotune.make_candidates(archive, ema_statistics=True)
    if len(candidates) == 1:
        pytest.skip("this CPU does not compute in bfloat16")
    speed = {str(KERAS): 9.0, str(KERAS_BFLOAT16): 1.0, "busy": False}
    cache.store_json(autotune._cache_key(archive, candidates), speed)
    for decibels, precision in ((44.0, "float32"), (46.0, "bfloat16")):
        cache.store_json(accuracy._cache_key("keras", archive), decibels)
        assert open_engine(archive, ema_statistics=True).precision == precision


def test_the_second_start_needs_no_tensorflow(archive, empty_cache, tmp_path):
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

    # A network compiled by another build of OpenVINO is compiled again.
    (entry,) = empty_cache.glob("openvino-*")
    whole = cache.load(entry.name)
    cache.store(entry.name, b"invalid")
    np.testing.assert_array_equal(open_engine(archive, "openvino", "float32")(x), expected_pm1)
    assert len(cache.load(entry.name)) > len(whole) // 2
