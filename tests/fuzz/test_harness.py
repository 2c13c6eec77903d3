"""A short run of each part; longer ones by `python -m tests.fuzz.harness`."""

from __future__ import annotations

import pytest
from fuzz.harness import LEAST_CASES, PARTS, fuzz

SECONDS = 4.0  # of a part, besides its start
QUICK = [part for part in PARTS if part != "models"]  # whose exports take half a minute


@pytest.mark.slow
@pytest.mark.parametrize("part", QUICK)
def test_mutated_files_are_read_or_refused(part, tmp_path, record_property):
    report = fuzz(part, cases=3000, seconds=SECONDS, keep=tmp_path)
    record_property("fuzz", str(report))
    print(report)
    assert not report.faults, "\n".join([str(report), *report.faults])
    assert report.cases >= LEAST_CASES
