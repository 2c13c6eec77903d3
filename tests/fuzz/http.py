"""Mutated requests to the web server; each has an answer with our headers, and none is a 500."""

from __future__ import annotations

import socket

from anime_tf.web.server import HEADERS

_HOST = b"Host: localhost\r\n"


def seeds(png: bytes) -> list[bytes]:
    """Return valid requests of all kinds."""

    def post(path: bytes, body: bytes) -> bytes:
        return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (
            path,
            _HOST,
            len(body),
            body,
        )

    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(png), png)
    return [
        b"GET / HTTP/1.1\r\n" + _HOST + b"Accept: text/html\r\nCookie: a=b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + _HOST + b'Range: bytes=0-5\r\nIf-None-Match: "a"\r\n\r\n',
        b"GET /api/styles HTTP/1.1\r\n" + _HOST + b"Origin: http://localhost\r\n\r\n",
        b"HEAD /index.html HTTP/1.1\r\n" + _HOST + b"Connection: close\r\n\r\n",
        post(b"/api/pictures?style=small&strength=0.5&keep_color=1&format=png", png),
        post(b"/api/pictures?faces=off&format=jpeg", png),
        post(b"/api/clips?style=small", png),
        b"GET /api/clips/abc HTTP/1.1\r\n" + _HOST + b"\r\n",
        b"GET /api/clips/abc/file HTTP/1.1\r\n" + _HOST + b"\r\n",
        b"DELETE /api/clips/abc HTTP/1.1\r\n" + _HOST + b"\r\n",
        b"POST /api/pictures HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
    ]


def send(connection: socket.socket, request: bytes) -> int | None:
    """Send a request and close our side; return the status, None where no answer came.

    Raises:
        ValueError: The answer is a server error, or lacks a header.
    """
    answer = b""
    try:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while b"\r\n\r\n" not in answer and (part := connection.recv(1 << 16)):
            answer += part
    except ConnectionError:
        return None
    if not answer:
        return None
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1])
    if status == 100:
        return status
    given = dict(line.split(": ", 1) for line in lines[1:])
    missing = [name for name, value in HEADERS.items() if given.get(name) != value]
    if status >= 500 or missing:
        raise ValueError(f"status {status}, without {missing or 'nothing'}: {lines[0]}")
    return status
