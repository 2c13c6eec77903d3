import os
import sys

from anime_tf.inference import cpu


def test_facts():
    assert 1 <= cpu.core_count() <= os.cpu_count()
    assert cpu.cpu_name()
    assert bool(cpu.cpu_features()) == sys.platform.startswith("linux")
