"""Full disks, by a limit on the size of files: to a process, both look alike."""

import contextlib

import pytest


@contextlib.contextmanager
def file_size_limit(size):
    resource = pytest.importorskip("resource", reason="sizes of files are limited on Unix only")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
