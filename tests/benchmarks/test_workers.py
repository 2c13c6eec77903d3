import numpy as np
import pytest

from benchmarks.workers import Worker, calls_per_round


def _double(name):
    if name == "broken":
        raise RuntimeError("no such thing\nand more")
    return lambda x: x * 2


def test_a_worker_returns_results_and_reports_errors():
    worker = Worker(_double, "whole")
    assert worker.wait_until_open() >= 0
    answer = worker.run(np.array([1.5]), calls=3, result=True)
    assert answer.result == [3.0]
    assert 0 <= answer.seconds < 1
    assert worker.run(np.array([1.5])).result is None
    with pytest.raises(ValueError, match="TypeError"):
        worker.run(None)
    worker.close()
    broken = Worker(_double, "broken")
    with pytest.raises(ValueError, match="^RuntimeError: no such thing$"):
        broken.wait_until_open()
    broken.close()


def test_calls_per_round():
    assert [calls_per_round(s) for s in (0.001, 0.1, 0.2, 3.0)] == [5, 2, 1, 1]
