"""Deviations, tolerances and times, computed by hand."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from anime_tf.export.checks import PROBE_SIZES, Measurement, Tolerance, make_probes, measure


def measured(largest: float, psnr: float) -> Measurement:
    return Measurement(largest, psnr, 1.0, (256, 256))


def test_tolerances():
    assert measured(1e-5, 35).violations(Tolerance(largest=1e-5, psnr=35)) == ""
    assert measured(9, 0).violations(Tolerance()) == ""
    assert measured(2e-5, math.inf).violations(Tolerance(largest=1e-5)) == (
        "expected a difference of at most 1e-05, got 2e-05"
    )
    words = measured(0.5, 34.94).violations(Tolerance(largest=0.1, psnr=35))
    assert words.endswith("; expected a PSNR of at least 35 dB, got 34.9 dB")
    for limit in (Tolerance(), Tolerance(largest=1), Tolerance(psnr=1)):
        assert measured(math.nan, math.nan).violations(limit), "NaN exceeds every tolerance"


def test_measure_uses_all_sizes_and_batches():
    seen = []

    def reference(x):
        return x

    def export(x):
        seen.append(x.shape)
        y = x.copy()
        if x.shape == (2, *PROBE_SIZES[1], 3):  # in a single batch
            y[1, 2, 3, 0] += 0.5
        time.sleep(0.002)
        return y

    found = measure(export, reference)
    assert found.largest == 0.5
    error = 0.25 / (2 * math.prod(PROBE_SIZES[1]) * 3)
    assert found.psnr == pytest.approx(10 * math.log10(4 / error))
    assert found.milliseconds >= 2
    assert found.timed_hw == PROBE_SIZES[0]
    assert set(seen) == {(n, *size, 3) for size in PROBE_SIZES for n in (1, 2)}


def test_nan_and_other_shapes_fail():
    sizes = [(4, 4)]
    nan = measure(lambda x: x * np.nan, lambda x: x, sizes)
    assert math.isnan(nan.largest)
    with pytest.raises(ValueError, match=r"shape \(1, 4, 4, 3\), got \(1, 3, 4, 3\)"):
        measure(lambda x: x[:, 1:], lambda x: x, sizes)


def test_probes_are_colorful_and_have_odd_sizes():
    probes = make_probes()
    assert all(p.dtype == np.float32 and -1 <= p.min() < p.max() <= 1 for p in probes)
    assert any(len(p) > 1 for p in probes)
    assert any(p.shape[1] % 8 and p.shape[2] % 8 for p in probes)
    assert np.ptp(probes[0], axis=(0, 1, 2)).min() > 1.2  # each channel has its range
