"""The local server on a thread of this process, and what tests send to it."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from pathlib import Path

from anime_tf.inference.config import StylizerConfig
from anime_tf.web import server
from anime_tf.web.config import Limits
from anime_tf.web.service import StylizationService
from anime_tf.web.styles import find_styles


class WebServer:
    """A server on a free port of this machine; a context manager.

    Args:
        weights: As of the flag.
        limits: What it takes.
        page: From `find_page`.
        folder: Where its private folder lies.
    """

    def __init__(self, weights, limits: Limits, page, folder: Path) -> None:
        self.limits, self.folder = limits, folder
        self.service = StylizationService(
            find_styles([str(weights)]), StylizerConfig(engine="keras"), limits=limits
        )
        self._page = page

    def __enter__(self) -> WebServer:
        listening = server.listen("127.0.0.1", 0)
        self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(listening, ready),))
        self._thread.start()
        assert ready.wait(20)
        return self

    async def _run(self, listening, ready) -> None:
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        with tempfile.TemporaryDirectory(dir=self.folder) as private:
            self.api = server.Api(self.service, Path(private), self.limits, self._page, local=True)
            ready.set()
            await server.serve(self.api, listening, self._stop)

    def __exit__(self, *_) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def raw(self, data: bytes) -> bytes:
        """Sends bytes as they are; returns all that comes back until the server hangs up."""
        with self.connect() as connection:
            connection.sendall(data)
            return all_of(connection)

    def clip_folders(self) -> list[Path]:
        """What lies on the disk."""
        return [clip for private in self.folder.iterdir() for clip in private.iterdir()]


def all_of(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


class Gate:
    """Holds the one thread of the networks until the block ends."""

    def __init__(self, service: StylizationService) -> None:
        self._studio, self._open = service, threading.Event()

    def __enter__(self) -> Gate:
        held = threading.Event()
        self._studio._network_thread.submit(lambda: (held.set(), self._open.wait(30)))
        assert held.wait(10)
        return self

    def __exit__(self, *_) -> None:
        self._open.set()
