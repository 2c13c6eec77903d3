"""Slow operations on pictures in other processes, with a cache of the photos' superpixels."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import cv2
import numpy as np

from anime_tf.datasets.superpixels import SCALE, SIGMA, superpixels
from anime_tf.io.atomic import write_bytes
from anime_tf.io.paths import cache_folder


@functools.cache
def worker_pool() -> ProcessPoolExecutor:
    """Return the processes that make targets, as many as there are cores; they start on demand."""
    return ProcessPoolExecutor(
        os.cpu_count(),
        mp_context=multiprocessing.get_context("spawn"),  # a fork of TensorFlow's threads may hang
        initializer=_start_worker,
        initargs=(os.getpid(),),
    )


def _start_worker(parent: int) -> None:
    cv2.setNumThreads(1)
    # Ctrl-C reaches every process of a terminal; the run saves, and still needs its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(2)
        os._exit(0)  # the run was killed, and can no longer stop its workers

    threading.Thread(target=watch, daemon=True).start()


def cached_superpixels(picture_u8: np.ndarray, min_size: int) -> np.ndarray:
    """Compute `superpixels` in another process, or read them from the user's cache folder."""
    settings = f"felzenszwalb-{SCALE}-{SIGMA}-{min_size}-{picture_u8.shape}"
    digest = hashlib.sha256(settings.encode() + picture_u8.tobytes()).hexdigest()
    path = cache_folder() / "superpixels" / digest[:2] / f"{digest}.png"
    cached = cv2.imread(os.fspath(path)) if path.exists() else None
    if cached is not None and cached.shape == picture_u8.shape:
        return cached[..., ::-1]
    result = worker_pool().submit(superpixels, picture_u8, min_size).result()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, cv2.imencode(".png", result[..., ::-1])[1].tobytes())
    except OSError:
        pass  # a full or read-only disk: computed again next time
    return result
