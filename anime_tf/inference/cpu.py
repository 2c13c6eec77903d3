"""Facts about the CPU."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys


def core_count() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_limit() -> int | None:
    """Return the number of threads that OMP_NUM_THREADS grants a network; None without it.

    Workers of bulk jobs share a machine by it. TensorFlow has variables of its own.
    """
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) or None if text.isdecimal() else None


def cpu_name() -> str:
    """Return the model name of the CPU."""
    return _read_cpu()[0]


def cpu_features() -> frozenset[str]:
    """Return the instruction set extensions that Linux lists; empty on other systems."""
    return _read_cpu()[1]


def load_average() -> float | None:
    """Return the load average of the last minute; None where the system has none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


@functools.cache
def _read_cpu() -> tuple[str, frozenset[str]]:
    name, features = "", frozenset[str]()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = (part.strip() for part in line.partition(":"))
                if key == "model name":
                    name = name or value
                elif key in ("flags", "Features"):
                    features = features or frozenset(value.split())
                if name and features:
                    break
    except OSError:
        pass
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return name or platform.processor() or platform.machine(), features
