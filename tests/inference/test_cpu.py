import os
import sys

import pytest

from anime_tf.inference import cpu


def test_facts():
    assert 1 <= cpu.core_count() <= os.cpu_count()
    assert cpu.cpu_name()
    assert bool(cpu.cpu_features()) == sys.platform.startswith("linux")


@pytest.mark.parametrize(("text", "limit"), [("3", 3), ("0", None), ("", None), ("2,1", None)])
def test_openmp_limits_the_threads_of_a_network(monkeypatch, text, limit):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert cpu.thread_limit() == limit
