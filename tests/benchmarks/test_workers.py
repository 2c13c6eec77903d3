import numpy as np
import pytest

from benchmarks.workers import Worker, calls_of


def _double(name):
    if name == "broken":
        raise RuntimeError("no such thing\nand more")
    return lambda x: x * 2


def test_a_worker_answers_and_says_what_fails():
    worker = Worker(_double, "whole")
    assert worker.opened() >= 0
    answer = worker.ask(np.array([1.5]), calls=3, result=True)
    assert answer.result == [3.0]
    assert 0 <= answer.seconds < 1
    assert worker.ask(np.array([1.5])).result is None
    with pytest.raises(ValueError, match="TypeError"):
        worker.ask(None)
    worker.close()
    broken = Worker(_double, "broken")
    with pytest.raises(ValueError, match="^RuntimeError: no such thing$"):
        broken.opened()
    broken.close()


def test_calls_of_a_turn():
    assert [calls_of(s) for s in (0.001, 0.1, 0.2, 3.0)] == [5, 2, 1, 1]
