"""Differences, limits and times, by hand."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from anime_tf.export.checks import PROBE_SIZES, Limit, Measured, measure, probes_pm1


def measured(largest: float, psnr: float) -> Measured:
    return Measured(largest, psnr, 1.0, (256, 256))


def test_limits():
    assert measured(1e-5, 35).beyond(Limit(largest=1e-5, psnr=35)) == ""
    assert measured(9, 0).beyond(Limit()) == ""
    assert measured(2e-5, math.inf).beyond(Limit(largest=1e-5)) == (
        "differs by 2e-05, expected no more than 1e-05"
    )
    words = measured(0.5, 34.94).beyond(Limit(largest=0.1, psnr=35))
    assert words.endswith("; PSNR is 34.9 dB, expected at least 35 dB")
    for limit in (Limit(), Limit(largest=1), Limit(psnr=1)):
        assert measured(math.nan, math.nan).beyond(limit), "a NaN is beyond every limit"


def test_measured_in_each_size_and_each_batch():
    seen = []

    def reference(x):
        return x

    def export(x):
        seen.append(x.shape)
        y = x.copy()
        if x.shape == (2, *PROBE_SIZES[1], 3):  # in one of them alone
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


def test_nan_and_another_shape_do_not_pass():
    sizes = [(4, 4)]
    nan = measure(lambda x: x * np.nan, lambda x: x, sizes)
    assert math.isnan(nan.largest)
    with pytest.raises(ValueError, match=r"shape \(1, 3, 4, 3\), expected \(1, 4, 4, 3\)"):
        measure(lambda x: x[:, 1:], lambda x: x, sizes)


def test_probes_are_colourful_and_of_odd_sizes_too():
    probes = probes_pm1()
    assert all(p.dtype == np.float32 and -1 <= p.min() < p.max() <= 1 for p in probes)
    assert any(len(p) > 1 for p in probes)
    assert any(p.shape[1] % 8 and p.shape[2] % 8 for p in probes)
    assert np.ptp(probes[0], axis=(0, 1, 2)).min() > 1.2  # each channel has its range
