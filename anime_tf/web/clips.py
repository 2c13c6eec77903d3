"""Uploaded clips, each in a private folder that is deleted with it."""

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
from anime_tf.web.config import Limits
from anime_tf.web.errors import ClientDisconnected, HttpError
from anime_tf.web.queue import share
from anime_tf.web.service import Options, Progress, StylizationService

WAITING, WORKING, DONE, FAILED = "waiting", "working", "done", "failed"


class Clip:
    """A clip, from its upload to its download, in a folder of its own.

    Attributes:
        id: Name in requests; random, so that it cannot be guessed.
        source: File of the upload.
        target: File of the stylized clip.
        error: One plain sentence if it failed, else None.
        seen: Time of the last request for it, in seconds.
        client: Address of the client.
    """

    def __init__(self, folder: Path, now: float, client: str = "") -> None:
        self.id = folder.name
        self.source = folder / "upload"
        self.target = folder / "anime.mp4"
        self.progress = Progress()
        self.error: str | None = None
        self.seen, self.client = now, client
        self.uploaded = False
        self._folder = folder
        self._work: Future[None] | None = None

    @property
    def state(self) -> str:
        """`WAITING`, `WORKING`, `DONE` or `FAILED`."""
        work = self._work
        if self.error is None and work is not None and work.done():
            self._record_failure(work)
            return DONE if self.error is None else FAILED
        if self.error is not None:
            return FAILED
        return WORKING if work is not None and work.running() else WAITING

    def start(self, work: Future[None]) -> None:
        """Attach the task that stylizes it."""
        self._work = work

    def discard(self) -> None:
        """Stop the work, and delete the folder when nothing writes there any more."""
        self.progress.stop.set()
        if self._work is None:
            self._delete_folder()
            return
        self._work.cancel()
        self._work.add_done_callback(lambda _: self._delete_folder())

    def _record_failure(self, work: Future[None]) -> None:
        try:
            work.result()
        except HttpError as error:
            self.error = error.message
        except (ClientDisconnected, CancelledError):
            self.error = "This clip was stopped: send it again."
        except Exception as error:  # any failure must reach the page
            logging.error("a clip failed: %s: %s", type(error).__name__, first_line(error))
            self.error = "Something went wrong with this clip: see the server's log."

    def _delete_folder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class ClipStore:
    """All clips; thread-safe. `shared` leaves a quarter of the places to other clients."""

    def __init__(
        self,
        service: StylizationService,
        folder: Path,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        *,
        shared: bool = False,
    ) -> None:
        self._most_of_one = share(limits.clips, shared)
        self._service, self._folder, self._limits, self._clock = service, folder, limits, clock
        self._clips: dict[str, Clip] = {}
        self._lock = threading.Lock()

    def create(self, client: str = "") -> Clip | None:
        """Return a new clip for an upload; None if there are too many."""
        with self._lock:
            own = sum(clip.client == client for clip in self._clips.values())
            if len(self._clips) >= self._limits.clips or own >= self._most_of_one:
                return None
            folder = self._folder / secrets.token_urlsafe(16)
            folder.mkdir(mode=0o700)
            clip = Clip(folder, self._clock(), client)
            self._clips[clip.id] = clip
        return clip

    def start(self, clip: Clip, options: Options) -> None:
        """Stylize an uploaded clip in the background."""
        clip.seen = self._clock()
        clip.uploaded = True
        clip.start(
            self._service.stylize_clip(
                clip.source, clip.target, options, clip.progress, clip.client
            )
        )

    def get(self, clip_id: str) -> Clip | None:
        """Return an uploaded clip and record the request; None if there is none."""
        with self._lock:
            clip = self._clips.get(clip_id)
        if clip is None or not clip.uploaded:
            return None
        clip.seen = self._clock()
        return clip

    def discard(self, clip: Clip) -> None:
        """Stop and delete a clip."""
        with self._lock:
            self._clips.pop(clip.id, None)
        clip.discard()

    def discard_expired(self) -> None:
        """Discard the clips without recent requests."""
        now = self._clock()
        with self._lock:
            clips = [clip for clip in self._clips.values() if clip.uploaded]
        for clip in clips:
            is_finished = clip.state in (DONE, FAILED)
            timeout = self._limits.kept_seconds if is_finished else self._limits.unseen_seconds
            if now - clip.seen > timeout:
                logging.info("discarded a clip without recent requests")
                self.discard(clip)

    def discard_all(self) -> None:
        """Stop and delete all clips."""
        with self._lock:
            clips = list(self._clips.values())
        for clip in clips:
            self.discard(clip)
