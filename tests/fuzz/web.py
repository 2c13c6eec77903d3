"""Mutated requests to the web server; each has an answer with our headers, and none is a 500."""

from __future__ import annotations

import atexit
import contextlib
import functools
import socket
import tempfile
from pathlib import Path

import numpy as np
from small_videos import moving, write_video
from web_files import write_page, write_weights
from web_server import WebServer

from anime_tf.io.pictures import encode_picture
from anime_tf.web.config import Limits
from anime_tf.web.page import find_page
from anime_tf.web.server import HEADERS

SUFFIX = ".http"

_HOST = b"Host: localhost\r\n"


@functools.cache
def server() -> WebServer:
    """Return the one server of this process, with small limits."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    (folder / "private").mkdir()
    limits = Limits(
        picture_bytes=200_000, pixels=100_000, clip_bytes=400_000, clips=3, idle_seconds=0.5
    )
    page = find_page([write_page(folder / "page")])
    weights = write_weights(folder / "small.keras")
    return stack.enter_context(WebServer(weights, limits, page, folder / "private"))


def seeds() -> list[bytes]:
    """Return valid requests of all kinds."""
    png = encode_picture(np.full((8, 8, 3), 99, np.uint8), ".png")
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder, "a.mp4"), moving(2))
        clip = Path(folder, "a.mp4").read_bytes()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(png), png)
    return [
        _request(b"GET /", b"Accept: text/html\r\nCookie: a=b\r\n"),
        _request(b"GET /", b'Range: bytes=0-5\r\nIf-None-Match: "a"\r\n'),
        _request(b"GET /api/styles", b"Origin: http://localhost\r\n"),
        _request(b"HEAD /index.html", b"Connection: close\r\n"),
        _post(b"/api/pictures?style=small&strength=0.5&keep_color=1&format=png", png),
        _post(b"/api/pictures?faces=off&format=jpeg", png),
        _post(b"/api/clips?style=small", clip),
        _request(b"GET /api/clips/abc"),
        _request(b"GET /api/clips/abc/file"),
        _request(b"DELETE /api/clips/abc"),
        _request(b"POST /api/pictures", b"Transfer-Encoding: chunked\r\n") + chunks,
    ]


def _request(line: bytes, headers: bytes = b"") -> bytes:
    return b"%s HTTP/1.1\r\n%s%s\r\n" % (line, _HOST, headers)


def _post(path: bytes, body: bytes) -> bytes:
    return _request(b"POST " + path, b"Content-Length: %d\r\n" % len(body)) + body


def run(path: Path) -> None:
    """Send the request in a file; raises AssertionError for a wrong answer, none is allowed."""
    answer = b""
    with server().connect() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(path.read_bytes())
        connection.shutdown(socket.SHUT_WR)
        while b"\r\n\r\n" not in answer and (part := connection.recv(1 << 16)):
            answer += part
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    if lines == [""] or " 100 " in lines[0]:
        return
    given = dict(line.split(": ", 1) for line in lines[1:])
    missing = [name for name, value in HEADERS.items() if given.get(name) != value]
    if int(lines[0].split()[1]) >= 500 or missing:
        raise AssertionError(f"{lines[0]}, missing: {missing}")
