"""The accuracy of bfloat16 on a test picture."""

from __future__ import annotations

import numpy as np
import pytest

from anime_tf.inference import accuracy, cache


def test_the_probe_covers_the_range():
    probe = accuracy.make_probe_pm1(32)
    assert (probe.shape, probe.dtype) == ((1, 32, 32, 3), np.float32)
    assert -1 <= probe.min() < -0.9 and 0.9 < probe.max() <= 1


@pytest.mark.parametrize(("error", "accurate"), [(0.01, True), (0.02, False)])
def test_bfloat16_is_measured_once(tmp_path, monkeypatch, error, accurate):
    """PSNR of a constant error of 2 / 10^2.25 = 0.0112 is 45 dB."""
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "weights").write_bytes(b"weights")
    calls = []

    def run(precision, probe):
        calls.append(precision)
        return probe + error * (precision == "bfloat16")

    for _ in range(2):
        assert accuracy.is_bfloat16_accurate("keras", tmp_path / "weights", run) == accurate
    assert calls == ["bfloat16", "float32"]
