"""HTTP API of the local server.

Designed for one machine and its users. No part of a request becomes a path, uploads are counted
while they arrive, and work ends when its client disconnects.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import math
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from absl import logging
from aiohttp import web, web_protocol

import anime_tf
from anime_tf.web import sniff
from anime_tf.web.clips import DONE, FAILED, Clip, ClipStore
from anime_tf.web.config import MEBIBYTE, Limits
from anime_tf.web.downloads import StyleDownloads
from anime_tf.web.errors import ClientDisconnected, HttpError
from anime_tf.web.page import HOW_TO_BUILD, PageFile
from anime_tf.web.queue import AdmissionQueue
from anime_tf.web.service import (
    FACES,
    NOT_A_CLIP,
    SUFFIXES,
    Options,
    StylizationService,
    Upload,
)

CODE: str | None = None  # address of the source code, linked on the page; None if there is none

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self' blob:",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Server": "anime-tf",
}
"""Headers of every answer."""

_NO_STORE = {"Cache-Control": "no-store"}

CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg"}

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""Accepted names of a local server; others point here through DNS rebinding."""

RETRY_SECONDS = 2  # Retry-After for pictures

CLIP_RETRY_SECONDS = 30

_CLIP_OPTIONS = {"style", "strength", "keep_color", "faces"}

_HOST = re.compile(r"([^:@/\[\]]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?")  # host and port

_CHUNK = 1 << 16
_MIN_BYTES_PER_SECOND = 1 << 13  # slower uploads would block a slot for too long
_SWEEP_SECONDS = 1.0
_KEEPALIVE_SECONDS = 30.0
_SHUTDOWN_SECONDS = 5.0

_BUSY = "The server is busy: try again in a moment."
_SHUTTING_DOWN = "The server is shutting down: start it again, and send this again."

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Value = TypeVar("_Value")


class Api:
    """Request handlers of a service, with a private folder for clips.

    `page` maps a URL path to a file, empty if the page is not built. `local` tells whether only
    this machine can reach the server; other host names are rejected then.
    """

    def __init__(
        self,
        service: StylizationService,
        folder: Path,
        limits: Limits,
        page: Mapping[str, PageFile],
        local: bool,
    ) -> None:
        self._service, self._limits, self._page, self._local = service, limits, page, local
        self._queue = AdmissionQueue(limits.queue, limits.queue_bytes, shared=not local)
        self._clips = ClipStore(service, folder, limits, shared=not local)
        self.downloads = StyleDownloads(service, local)
        self._shutting_down = False

    def application(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/api/styles", self._get_styles)
        self.downloads.add_routes(app.router)
        app.router.add_get("/api/live", self._get_live)
        app.router.add_post("/api/pictures", self._post_picture)
        app.router.add_post("/api/clips", self._post_clip)
        app.router.add_get("/api/clips/{id}", self._get_clip)
        app.router.add_get("/api/clips/{id}/file", self._get_clip_file)
        app.router.add_delete("/api/clips/{id}", self._delete_clip)
        for path in self._page or ["/"]:
            app.router.add_get(path, self._get_file)
        app.on_response_prepare.append(_add_headers)
        app.cleanup_ctx.append(self._discard_expired_clips)
        return app

    async def shut_down(self) -> None:
        """Drop all work, tell waiting clients, and close the service."""
        self._shutting_down = True
        self._clips.discard_all()
        await asyncio.to_thread(self._service.close)

    # --- all requests -------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Reject foreign requests, and convert errors to JSON."""
        try:
            self._check_origin(request)
            return await handler(request)
        except HttpError as error:
            return _error_response(error)
        except (ClientDisconnected, ConnectionError):  # no client receives the latter's answer
            return _error_response(HttpError(503, _SHUTTING_DOWN))
        except web.HTTPMethodNotAllowed as error:
            response = _error_response(HttpError(405, "This address does not accept this method."))
            response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
            return response
        except web.HTTPNotFound:
            return _error_response(HttpError(404, "There is nothing at this address."))
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _error_response(HttpError(error.status, f"{error.reason}."))
        except Exception:  # any failure must reach the page as a sentence
            logging.exception("%s %s failed", request.method, request.path)
            return _error_response(HttpError(500, "Something went wrong: see the server's log."))

    def _check_origin(self, request: web.Request) -> None:
        host = _HOST.fullmatch(request.host)
        if self._local and (host is None or host[1].strip("[]").lower() not in LOCAL_NAMES):
            raise HttpError(403, "This server accepts only the host names localhost and 127.0.0.1.")
        if not request.path.startswith("/api/"):
            return
        # Pages of other sites can send requests, even though they cannot read the answers.
        site = request.headers.get("Sec-Fetch-Site", "none")
        origin = request.headers.get("Origin")
        is_foreign = origin is not None and _netloc(origin) != request.host
        if site not in ("none", "same-origin") or is_foreign:
            raise HttpError(403, "Only this server's own page may send this request.")

    def _check_open(self) -> None:
        if self._shutting_down:
            raise ClientDisconnected

    async def _discard_expired_clips(self, _app: web.Application) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(_SWEEP_SECONDS)
                self._clips.discard_expired()

        task = asyncio.create_task(sweep())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    # --- page and styles ----------------------------------------------------------------------

    async def _get_file(self, request: web.Request) -> web.StreamResponse:
        file = self._page.get(request.path)
        if file is None:
            return web.Response(
                status=404,
                text=f"The page is not built, only the HTTP API answers; {HOW_TO_BUILD}.\n",
            )
        caching = "public, max-age=31536000, immutable" if file.immutable else "no-cache"
        headers = {"Content-Type": file.content_type, "Cache-Control": caching}
        return web.FileResponse(file.path, headers=headers)

    async def _get_styles(self, _request: web.Request) -> web.StreamResponse:
        styles = []
        for i, style in enumerate(self._service.styles.values()):
            entry: dict[str, Any] = {
                "name": style.name,
                "title": style.title,
                "license": style.license,
            }
            if style.license_url:
                entry["license_url"] = style.license_url
            entry |= {"default": i == 0, "settings": dict(style.settings)}
            styles.append(entry)
        limits = self._limits
        return _json_response(
            {
                "styles": styles,
                "limits": {
                    "bytes": limits.picture_bytes,
                    "pixels": limits.pixels,
                    "queue": limits.queue,
                    "clip_bytes": limits.clip_bytes,
                    "clip_seconds": limits.clip_seconds,
                    "max_side": self._service.config.max_side,
                },
                "clips": True,
                "faces": self._service.supports_faces,
                "downloads": self._local,
                "code": CODE,
                "version": anime_tf.__version__,
            }
        )

    async def _get_live(self, _request: web.Request) -> web.StreamResponse:
        self._check_open()
        rates = await asyncio.to_thread(self._service.live_rates)
        return _json_response({"frames_per_second": rates})

    # --- pictures -----------------------------------------------------------------------------

    async def _post_picture(self, request: web.Request) -> web.StreamResponse:
        options = self._parse_options(
            request, {"style", "strength", "keep_color", "faces", "format"}, FACES
        )
        limit = self._limits.picture_bytes
        size = _content_length(request, limit)
        client = request.remote or ""
        free = self._queue.admit(client, limit if size is None else size)
        if free is None:
            raise HttpError(429, _BUSY, RETRY_SECONDS)
        try:
            data = bytearray()
            async for chunk in self._read_chunks(request, limit):
                data += chunk
            if not data:
                raise HttpError(400, "The request is empty: send the file of a picture.")
            self._check_open()
            upload = Upload(data)
            del data
            work = self._service.stylize_picture(upload, options, client)
        except BaseException:
            free()
            raise
        work.add_done_callback(lambda _: free())
        anime = await _wait_for(work, upload.cancel)
        return web.Response(
            body=anime, content_type=CONTENT_TYPES[options.file_format], headers=_NO_STORE
        )

    async def _read_chunks(self, request: web.Request, limit: int) -> AsyncIterator[bytes]:
        """Yield the body of a request; raises an `HttpError` if it is too large or too slow."""
        received, start = 0, time.monotonic()
        while True:
            allowance = self._limits.idle_seconds + received / _MIN_BYTES_PER_SECOND
            if time.monotonic() - start > allowance:
                raise _too_slow()
            # asyncio.wait_for can lose a cancellation before Python 3.12, and the work would
            # continue without a client.
            reading = asyncio.ensure_future(request.content.read(_CHUNK))
            reading.add_done_callback(_retrieve_exception)
            try:
                await asyncio.wait([reading], timeout=self._limits.idle_seconds)
            finally:
                reading.cancel()  # no effect if done
            if not reading.done():
                raise _too_slow()
            chunk = reading.result()
            if not chunk:
                return
            received += len(chunk)
            if received > limit:
                raise _too_large(limit)
            yield chunk

    # --- clips --------------------------------------------------------------------------------

    async def _post_clip(self, request: web.Request) -> web.StreamResponse:
        options = self._parse_options(request, _CLIP_OPTIONS, FACES[:2])
        _content_length(request, self._limits.clip_bytes)
        clip = self._clips.create(request.remote or "")
        if clip is None:
            raise HttpError(429, _BUSY, CLIP_RETRY_SECONDS)
        try:
            try:
                await self._receive_clip(request, clip)
            except ConnectionError:
                raise
            except OSError as error:
                raise HttpError(507, "The disk has no room for this clip.") from error
            self._check_open()
            self._clips.start(clip, options)
        except BaseException:
            self._clips.discard(clip)
            raise
        return _json_response({"id": clip.id}, status=202)

    async def _receive_clip(self, request: web.Request, clip: Clip) -> None:
        """Write an upload to the clip's file; rejects other files by their first bytes."""
        is_checked = False
        buffer = bytearray()
        with clip.source.open("xb") as file:
            async for chunk in self._read_chunks(request, self._limits.clip_bytes):
                buffer += chunk
                if not is_checked and len(buffer) >= sniff.HEAD_BYTES:
                    _check_is_clip(buffer)
                    is_checked = True
                if len(buffer) >= MEBIBYTE:
                    await asyncio.to_thread(file.write, bytes(buffer))
                    buffer.clear()
            if not is_checked:
                _check_is_clip(buffer)
            await asyncio.to_thread(file.write, bytes(buffer))

    async def _get_clip(self, request: web.Request) -> web.StreamResponse:
        clip = self._find_clip(request)
        state = clip.state
        status = {"state": state, "done": clip.progress.done, "total": clip.progress.total}
        if state == FAILED:
            status["error"] = clip.error
        return _json_response(status)

    async def _get_clip_file(self, request: web.Request) -> web.StreamResponse:
        clip = self._find_clip(request)
        if clip.state != DONE:
            raise HttpError(409, "This clip is not finished yet.")
        headers = {
            "Content-Type": "video/mp4",
            "Content-Disposition": 'attachment; filename="anime.mp4"',
            **_NO_STORE,
        }
        return web.FileResponse(clip.target, headers=headers)

    async def _delete_clip(self, request: web.Request) -> web.StreamResponse:
        self._clips.discard(self._find_clip(request))
        return web.Response(status=204)

    def _find_clip(self, request: web.Request) -> Clip:
        clip = self._clips.get(request.match_info["id"])
        if clip is None:
            raise HttpError(404, "This clip does not exist any more: send it again.")
        return clip

    # --- options ------------------------------------------------------------------------------

    def _parse_options(
        self, request: web.Request, known: set[str], faces_choices: Sequence[str]
    ) -> Options:
        """Read the options of a request; those not given are as the style recommends."""
        query = request.query
        if not known.issuperset(query):
            raise HttpError(400, f"Unknown option: expected {_join(known)}.")
        styles = self._service.styles
        style = query.get("style", next(iter(styles)))
        if style not in styles:
            raise HttpError(400, f"Unknown style: expected {_join(styles)}.")
        recommended = styles[style].settings
        try:
            strength = float(query.get("strength", recommended.get("strength", 1)))
        except ValueError:
            strength = math.nan
        if not 0 <= strength <= 1:
            raise HttpError(400, "Wrong strength: expected a number from 0 to 1.")
        keep_color = _choose(query, "keep_color", {"0": False, "1": True})
        file_format = _choose(query, "format", {name: name for name in SUFFIXES})
        if "faces" in query:
            faces = _choose(query, "faces", {name: name for name in faces_choices})
        else:
            faces = self._recommended_faces(recommended, faces_choices)
        if faces != "off" and not self._service.supports_faces:
            raise HttpError(503, "Faces are not supported here: dlib is not installed.")
        return Options(style, strength, keep_color, faces, file_format)

    def _recommended_faces(self, settings: Mapping[str, Any], choices: Sequence[str]) -> str:
        faces = settings.get("faces", "off")
        if faces not in FACES or not self._service.supports_faces:
            return "off"
        return faces if faces in choices else "blend"  # faces of clips cannot be cut out


async def _wait_for(work: Future[_Value], cancel: Callable[[], None]) -> _Value:
    """Wait for work, and cancel it if the client disconnects."""
    waiting = asyncio.wrap_future(work)
    try:
        await asyncio.wait([waiting])
    except asyncio.CancelledError:
        cancel()
        waiting.cancel()
        raise
    if waiting.cancelled():
        raise ClientDisconnected
    return waiting.result()


def _retrieve_exception(reading: asyncio.Future[bytes]) -> None:
    """Prevent asyncio's warning about exceptions that were never retrieved."""
    if not reading.cancelled():
        reading.exception()


def _content_length(request: web.Request, limit: int) -> int | None:
    """Return the announced size; raises an `HttpError` if it is too large."""
    size = request.content_length
    if size is not None and size > limit:
        raise _too_large(limit)
    return size


def _too_slow() -> HttpError:
    return HttpError(408, "The upload was too slow or stopped: send the file again.")


def _too_large(limit: int) -> HttpError:
    return HttpError(
        413, f"This file is larger than the limit of {limit / MEBIBYTE:g} MB: make it smaller."
    )


def _check_is_clip(head: bytes | bytearray) -> None:
    if not head:
        raise HttpError(400, "The request is empty: send the file of a clip.")
    if sniff.sniff_clip(bytes(head[: sniff.HEAD_BYTES])) is None:
        raise HttpError(415, NOT_A_CLIP)


def _choose(query: Mapping[str, str], name: str, choices: Mapping[str, _Value]) -> _Value:
    """Return the value of an option; the first choice is the default."""
    given = query.get(name, next(iter(choices)))
    if given not in choices:
        raise HttpError(400, f"Wrong {name}: expected one of {_join(choices)}.")
    return choices[given]


def _join(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _json_response(value: object, status: int = 200) -> web.Response:
    return web.json_response(value, status=status, headers=_NO_STORE, dumps=json.dumps)


def _error_response(error: HttpError) -> web.Response:
    response = _json_response({"error": error.message}, error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _netloc(origin: str) -> str:
    """Return host and port of an origin; empty for one that is not valid, such as ``http://[``."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


class _Connection(web_protocol.RequestHandler):
    """Connection that answers invalid HTTP, too, with our headers and without a version."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002, quotes the request
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer was sent already")
        if status == 500:
            logging.error("a request failed", exc_info=exc)
        text = "Something went wrong: see the server's log."
        response = _error_response(
            HttpError(status, text if status == 500 else "This is not a valid HTTP request.")
        )
        response.headers.update(HEADERS)
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server  # aiohttp has no option for the class of its connections
        return server


def is_local(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket at an address or name of this machine; port 0 is a free one."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=256)
    except OSError as error:
        raise OSError(
            f"{host}:{port}: cannot listen there ({error.strerror or error}); name another --port, "
            "or 0 for a free one"
        ) from error


async def serve(api: Api, listening: socket.socket, stop: asyncio.Event) -> None:
    """Serve until an event is set, then drop all work, and close the socket of `listen`."""
    runner = _Runner(
        api.application(),
        access_log=None,
        handler_cancellation=True,  # disconnected clients cancel their requests
        auto_decompress=False,  # prevents decompression bombs
        keepalive_timeout=_KEEPALIVE_SECONDS,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening, backlog=256).start()
        await stop.wait()
    finally:
        await api.shut_down()
        await runner.cleanup()
