"""Differences and tolerances, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from anime_tf.export.checks import Difference, Tolerance, compare, probes_u8

WIDE = Tolerance(largest=255, mean=255)


def test_differences_are_in_grey_levels():
    expected = [np.zeros((1, 1, 2, 3), np.float32), np.zeros((1, 2, 1, 3), np.float32)]
    actual = [e.copy() for e in expected]
    actual[1][0, 1, 0, 2] = -2.0  # from mid-grey two steps down: 255 of 12 values
    assert compare("it", actual, expected, WIDE) == Difference(largest=255.0, mean=255 / 12)
    compare("it", actual, expected, Tolerance(largest=255, mean=21.25))
    for tolerance in (Tolerance(254.9, 30), Tolerance(255, 21.24)):
        with pytest.raises(ValueError, match="it: differs from the network by 255 grey levels"):
            compare("it", actual, expected, tolerance)


def test_nan_and_another_shape_do_not_pass():
    zeros = np.zeros((1, 2, 2, 3), np.float32)
    with pytest.raises(ValueError, match="differs from the network by nan"):
        compare("it", [np.full_like(zeros, np.nan)], [zeros], WIDE)
    with pytest.raises(ValueError, match=r"shape \(1, 1, 2, 3\), expected \(1, 2, 2, 3\)"):
        compare("it", [zeros[:, :1]], [zeros], WIDE)


def test_probes_are_colourful_and_of_odd_sizes_too():
    probes = probes_u8()
    assert {p.dtype for p in probes} == {np.dtype(np.uint8)}
    assert any(len(p) > 1 for p in probes)
    assert any(p.shape[1] % 8 and p.shape[2] % 8 for p in probes)
    assert np.ptp(probes[0], axis=(0, 1, 2)).min() > 150  # each channel has its range
