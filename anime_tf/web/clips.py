"""The clips that are worked on: each in a private folder of its own, gone with it."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path

from absl import logging

from anime_tf.errors import first_line
from anime_tf.web.errors import LeftError, RefusedError
from anime_tf.web.limits import Limits
from anime_tf.web.service import Options, Progress, Studio

WAITING, WORKING, DONE, FAILED = "waiting", "working", "done", "failed"


class Clip:
    """A clip, from its upload to when it is fetched.

    Args:
        folder: A folder of its own, which must exist.
        now: The time.

    Attributes:
        id: What it is asked for by; cannot be guessed.
        source: Where its upload is written to.
        target: Where the stylised clip will be.
        progress: How far the work is.
        error: Why it failed, one plain sentence; None where it did not.
        seen: When it was last asked for.
    """

    def __init__(self, folder: Path, now: float) -> None:
        self.id = folder.name
        self.source = folder / "upload"
        self.target = folder / "anime.mp4"
        self.progress = Progress()
        self.error: str | None = None
        self.seen = now
        self.uploaded = False
        self._folder = folder
        self._work: Future[None] | None = None

    @property
    def state(self) -> str:
        """One of `WAITING`, `WORKING`, `DONE` and `FAILED`."""
        if self.error is not None:
            return FAILED
        work = self._work
        if work is None or not (work.running() or work.done()):
            return WAITING
        if work.done():
            self._note_failure(work)
            return FAILED if self.error is not None else DONE
        return WORKING

    def start(self, work: Future[None]) -> None:
        """Says what works on it."""
        self._work = work

    def forget(self) -> None:
        """Stops the work, and removes the folder as soon as nothing is written there any more."""
        self.progress.stop.set()
        if self._work is None:
            self._remove()
            return
        self._work.cancel()
        self._work.add_done_callback(lambda _: self._remove())

    def _note_failure(self, work: Future[None]) -> None:
        try:
            work.result()
        except RefusedError as error:
            self.error = error.sentence
        except (LeftError, CancelledError):
            self.error = "This clip was stopped: send it once more."
        except Exception as error:  # noqa: BLE001, whatever it is, the page must hear of it
            logging.error("a clip failed: %s: %s", type(error).__name__, first_line(error))
            self.error = "Something went wrong with this clip: the server's log tells what."

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class Clips:
    """All clips there are; for several threads.

    Args:
        studio: Does the work.
        folder: A private folder, in which each clip has one of its own.
        limits: How many there may be, and for how long.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        studio: Studio,
        folder: Path,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._studio, self._folder, self._limits, self._clock = studio, folder, limits, clock
        self._clips: dict[str, Clip] = {}
        self._lock = threading.Lock()

    def begin(self) -> Clip | None:
        """A new clip, to be uploaded; None where there is no room for one now."""
        with self._lock:
            if len(self._clips) >= self._limits.clips:
                return None
            folder = self._folder / secrets.token_urlsafe(16)
            folder.mkdir(mode=0o700)
            clip = Clip(folder, self._clock())
            self._clips[clip.id] = clip
        return clip

    def start(self, clip: Clip, options: Options) -> None:
        """Lets an uploaded clip be stylised."""
        clip.seen = self._clock()
        clip.uploaded = True
        clip.start(self._studio.clip(clip.source, clip.target, options, clip.progress))

    def find(self, clip_id: str) -> Clip | None:
        """The clip of an id, and notes that somebody asked for it; None where there is none."""
        with self._lock:
            clip = self._clips.get(clip_id)
        if clip is None or not clip.uploaded:
            return None
        clip.seen = self._clock()
        return clip

    def forget(self, clip: Clip) -> None:
        """Stops the work at a clip, and removes all of it."""
        with self._lock:
            self._clips.pop(clip.id, None)
        clip.forget()

    def sweep(self) -> None:
        """Forgets the clips that nobody waits for any more."""
        now = self._clock()
        with self._lock:
            there = [clip for clip in self._clips.values() if clip.uploaded]
        for clip in there:
            ended = clip.state in (DONE, FAILED)
            patience = self._limits.kept_seconds if ended else self._limits.unseen_seconds
            if now - clip.seen > patience:
                logging.info("a clip that nobody asks for any more was dropped")
                self.forget(clip)

    def forget_all(self) -> None:
        """Stops and removes every clip."""
        with self._lock:
            there = list(self._clips.values())
        for clip in there:
            self.forget(clip)
