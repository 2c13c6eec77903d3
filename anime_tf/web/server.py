"""The server: what is asked over HTTP to the `Studio`, and what comes back.

It is made for one machine and those in front of it. Nothing that a request says is made into a
path; uploads are counted while they come in; and whoever goes away takes his work along.
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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from absl import logging
from aiohttp import web

import anime_tf
from anime_tf.web import sniff
from anime_tf.web.clips import DONE, FAILED, Clip, Clips
from anime_tf.web.errors import LeftError, RefusedError
from anime_tf.web.limits import MEBIBYTE, Limits
from anime_tf.web.page import HOW_TO_BUILD, PageFile
from anime_tf.web.queue import Line
from anime_tf.web.service import NO_CLIP, SUFFIXES, Options, Studio, Upload

CODE: str | None = None
"""Where the code of the project is, for the page to link to; None as long as it has no address."""

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
"""What every answer carries."""

CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg"}

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""What a server of this machine alone is called; other names lead here by a trick with DNS."""

RETRY_SECONDS = 2
"""After how long to come again where there was no room for a picture."""

CLIP_RETRY_SECONDS = 30

_HOST = re.compile(r"([^:@/\[\]]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?")  # and a port

_CHUNK = 1 << 16
_SLOWEST = 1 << 13  # bytes a second, so that no place is held for ever
_SWEEP_SECONDS = 1.0
_KEPT_ALIVE_SECONDS = 30.0
_LEAVING_SECONDS = 5.0  # for answers under way when the server ends

_NO_ROOM = "There is much to do right now: try again in a moment."
_ENDING = "The server is ending: start it again, and send this once more."

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Value = TypeVar("_Value")


class Api:
    """The answers to requests.

    Args:
        studio: Does the work.
        folder: A private folder for clips.
        limits: What is taken at most.
        page: Path -> file of the page; empty where it is not built.
        local: Whether only this machine can reach the server, which then goes by no other names.
    """

    def __init__(
        self,
        studio: Studio,
        folder: Path,
        limits: Limits,
        page: Mapping[str, PageFile],
        local: bool,
    ) -> None:
        self._studio, self._limits, self._page, self._local = studio, limits, page, local
        self._line = Line(limits.queue, limits.queue_bytes)
        self._clips = Clips(studio, folder, limits)
        self._ending = False

    def application(self) -> web.Application:
        """The application, ready to be served."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/api/styles", self._styles)
        app.router.add_post("/api/pictures", self._picture)
        app.router.add_post("/api/clips", self._begin_clip)
        app.router.add_get("/api/clips/{id}", self._clip)
        app.router.add_get("/api/clips/{id}/file", self._clip_file)
        app.router.add_delete("/api/clips/{id}", self._forget_clip)
        for path in self._page or ["/"]:
            app.router.add_get(path, self._file)
        app.on_response_prepare.append(_add_headers)
        app.cleanup_ctx.append(self._sweeping)
        return app

    async def end(self) -> None:
        """Drops all work, and closes the studio; who still waits is told so."""
        self._ending = True
        self._clips.forget_all()
        await asyncio.to_thread(self._studio.close)

    # --- what holds for all requests ----------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Lets requests in that the page or a program of this machine made; words errors."""
        try:
            self._check_names(request)
            return await handler(request)
        except RefusedError as error:
            return _refusal(error)
        except (LeftError, ConnectionError):  # the second one's answer goes nowhere
            return _refusal(RefusedError(503, _ENDING))
        except web.HTTPMethodNotAllowed as error:
            refused = _refusal(RefusedError(405, "This address does not take such requests."))
            refused.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
            return refused
        except web.HTTPNotFound:
            return _refusal(RefusedError(404, "There is nothing at this address."))
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _refusal(RefusedError(error.status, f"{error.reason}."))
        except Exception:  # whatever it is, the page must hear of it in words
            logging.exception("%s %s failed", request.method, request.path)
            return _refusal(
                RefusedError(500, "Something went wrong here: the server's log tells what.")
            )

    def _check_names(self, request: web.Request) -> None:
        named = _HOST.fullmatch(request.host)
        if self._local and (named is None or named[1].strip("[]").lower() not in LOCAL_NAMES):
            raise RefusedError(
                403, "This server answers to localhost and 127.0.0.1 alone, under no other name."
            )
        if not request.path.startswith("/api/"):
            return
        # Another site's page may send requests, though it cannot read what comes back.
        site = request.headers.get("Sec-Fetch-Site", "none")
        origin = request.headers.get("Origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.host
        if site not in ("none", "same-origin") or foreign:
            raise RefusedError(403, "Only this server's own page may ask for this.")

    async def _sweeping(self, app: web.Application) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(_SWEEP_SECONDS)
                self._clips.sweep()

        task = asyncio.create_task(sweep())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    # --- the page -----------------------------------------------------------------------------

    async def _file(self, request: web.Request) -> web.StreamResponse:
        file = self._page.get(request.path)
        if file is None:
            return web.Response(
                status=404,
                text=f"The page is not built, only the API answers. {HOW_TO_BUILD}\n",
            )
        lasting = "public, max-age=31536000, immutable"
        return web.FileResponse(
            file.path,
            headers={
                "Content-Type": file.content_type,
                "Cache-Control": lasting if file.lasting else "no-cache",
            },
        )

    # --- styles -------------------------------------------------------------------------------

    async def _styles(self, request: web.Request) -> web.StreamResponse:
        styles = []
        for i, style in enumerate(self._studio.styles.values()):
            told = {"name": style.name, "title": style.title, "license": style.license}
            if style.license_url:
                told["license_url"] = style.license_url
            styles.append({**told, "default": i == 0})
        limits = self._limits
        return _json(
            {
                "styles": styles,
                "limits": {
                    "bytes": limits.picture_bytes,
                    "pixels": limits.pixels,
                    "queue": limits.queue,
                    "clip_bytes": limits.clip_bytes,
                    "clip_seconds": limits.clip_seconds,
                    "max_side": self._studio.config.max_side,
                },
                "clips": True,
                "faces": self._studio.faces,
                "code": CODE,
                "version": anime_tf.__version__,
            }
        )

    # --- pictures -----------------------------------------------------------------------------

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        options = self._options(request, {"style", "strength", "keep_color", "faces", "format"})
        most = self._limits.picture_bytes
        size = _announced_size(request, most)
        place = self._line.enter(most if size is None else size)
        if place is None:
            raise RefusedError(429, _NO_ROOM, RETRY_SECONDS)
        try:
            data = bytearray()
            async for chunk in self._chunks(request, most):
                data += chunk
            if not data:
                raise RefusedError(400, "Nothing was sent: send the file of a picture.")
            self._check_open()
            upload = Upload(data)
            del data
            work = self._studio.picture(upload, options)
        except BaseException:
            place.leave()
            raise
        work.add_done_callback(lambda _: place.leave())
        made = await _unless_left(work, upload.leave)
        return web.Response(
            body=made,
            content_type=CONTENT_TYPES[options.kind],
            headers={"Cache-Control": "no-store"},
        )

    async def _chunks(self, request: web.Request, most: int) -> AsyncIterator[bytes]:
        """The body of a request, as long as it is no larger than what is taken.

        Raises:
            RefusedError: It is, or nothing comes any more.
        """
        got, start = 0, time.monotonic()
        while True:
            late = time.monotonic() - start - self._limits.idle_seconds
            if late > got / _SLOWEST:
                raise _stopped()
            # Not asyncio.wait_for, which before Python 3.12 forgets a cancellation that comes just
            # when there is something to read: the work would go on for nobody.
            reading = asyncio.ensure_future(request.content.read(_CHUNK))
            reading.add_done_callback(_seen)
            try:
                await asyncio.wait([reading], timeout=self._limits.idle_seconds)
            finally:
                reading.cancel()  # nothing, once it is done
            if not reading.done():
                raise _stopped()
            chunk = reading.result()
            if not chunk:
                return
            got += len(chunk)
            if got > most:
                raise _too_many_bytes(most)
            yield chunk

    # --- clips --------------------------------------------------------------------------------

    async def _begin_clip(self, request: web.Request) -> web.StreamResponse:
        options = self._options(request, {"style", "strength", "keep_color", "faces"})
        most = self._limits.clip_bytes
        _announced_size(request, most)
        clip = self._clips.begin()
        if clip is None:
            raise RefusedError(429, _NO_ROOM, CLIP_RETRY_SECONDS)
        try:
            try:
                await self._receive(request, clip, most)
            except ConnectionError:
                raise
            except OSError as error:
                raise RefusedError(507, "There is no room for this clip on the disk.") from error
            self._check_open()
            self._clips.start(clip, options)
        except BaseException:
            self._clips.forget(clip)
            raise
        return _json({"id": clip.id}, status=202)

    async def _receive(self, request: web.Request, clip: Clip, most: int) -> None:
        """Writes an upload to the clip's file; what is no clip is refused at its beginning."""
        known = False
        waiting = bytearray()
        with clip.source.open("xb") as file:
            async for chunk in self._chunks(request, most):
                waiting += chunk
                if not known and len(waiting) >= sniff.HEAD_BYTES:
                    _check_clip(waiting)
                    known = True
                if len(waiting) >= MEBIBYTE:
                    await asyncio.to_thread(file.write, bytes(waiting))
                    waiting.clear()
            if not known:
                _check_clip(waiting)
            await asyncio.to_thread(file.write, bytes(waiting))

    async def _clip(self, request: web.Request) -> web.StreamResponse:
        clip = self._found(request)
        state = clip.state
        told = {"state": state, "done": clip.progress.done, "total": clip.progress.total}
        if state == FAILED:
            told["error"] = clip.error
        return _json(told)

    async def _clip_file(self, request: web.Request) -> web.StreamResponse:
        clip = self._found(request)
        if clip.state != DONE:
            raise RefusedError(409, "This clip is not done yet.")
        return web.FileResponse(
            clip.target,
            headers={
                "Content-Type": "video/mp4",
                "Content-Disposition": 'attachment; filename="anime.mp4"',
                "Cache-Control": "no-store",
            },
        )

    async def _forget_clip(self, request: web.Request) -> web.StreamResponse:
        self._clips.forget(self._found(request))
        return web.Response(status=204)

    def _found(self, request: web.Request) -> Clip:
        clip = self._clips.find(request.match_info["id"])
        if clip is None:
            raise RefusedError(404, "There is no such clip any more: send it once more.")
        return clip

    # --- what is asked for --------------------------------------------------------------------

    def _options(self, request: web.Request, known: set[str]) -> Options:
        query = request.query
        for name in query:
            if name not in known:
                raise RefusedError(400, f"An option that is not known: expected {_list(known)}.")
        styles = self._studio.styles
        style = query.get("style", next(iter(styles)))
        if style not in styles:
            raise RefusedError(400, f"There is no such style here: expected {_list(styles)}.")
        try:
            strength = float(query.get("strength", "1"))
        except ValueError:
            strength = math.nan
        if not 0 <= strength <= 1:
            raise RefusedError(400, "The strength must be a number from 0 to 1.")
        no_or_yes = {"0": False, "1": True}
        keep_color = _one_of("keep_color", query.get("keep_color", "0"), no_or_yes)
        faces = _one_of("faces", query.get("faces", "off"), {"off": False, "blend": True})
        kind = _one_of("format", query.get("format", "png"), {name: name for name in SUFFIXES})
        if faces and not self._studio.faces:
            raise RefusedError(503, "Faces cannot be found here: dlib is not installed.")
        return Options(style, strength, keep_color, faces, kind)

    def _check_open(self) -> None:
        if self._ending:
            raise LeftError


async def _unless_left(work: Future[_Value], leave: Callable[[], None]) -> _Value:
    """Waits for work; drops it where whoever asked goes away meanwhile."""
    waiting = asyncio.wrap_future(work)
    try:
        await asyncio.wait([waiting])
    except asyncio.CancelledError:
        leave()
        waiting.cancel()
        raise
    if waiting.cancelled():
        raise LeftError
    return waiting.result()


def _seen(reading: asyncio.Future[bytes]) -> None:
    """Looks at how reading ended; asyncio complains of errors that nobody has looked at."""
    if not reading.cancelled():
        reading.exception()


def _stopped() -> RefusedError:
    return RefusedError(408, "The file came too slowly, or stopped coming: send it once more.")


def _announced_size(request: web.Request, most: int) -> int | None:
    """The size that a request announces; refused before any of it is read where it is too much."""
    size = request.content_length
    if size is not None and size > most:
        raise _too_many_bytes(most)
    return size


def _too_many_bytes(most: int) -> RefusedError:
    return RefusedError(
        413, f"This file is larger than the {most / MEBIBYTE:g} MB that are taken: make it smaller."
    )


def _check_clip(head: bytes | bytearray) -> None:
    if not head:
        raise RefusedError(400, "Nothing was sent: send the file of a clip.")
    if sniff.clip_kind(bytes(head[: sniff.HEAD_BYTES])) is None:
        raise RefusedError(415, NO_CLIP)


def _one_of(name: str, given: str, choices: Mapping[str, _Value]) -> _Value:
    if given not in choices:
        raise RefusedError(400, f"The option {name} must be one of {_list(choices)}.")
    return choices[given]


def _list(names: Mapping[str, object] | set[str]) -> str:
    return ", ".join(sorted(names))


def _json(value: object, status: int = 200) -> web.Response:
    return web.json_response(
        value, status=status, headers={"Cache-Control": "no-store"}, dumps=json.dumps
    )


def _refusal(error: RefusedError) -> web.Response:
    answer = _json({"error": error.sentence}, error.status)
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def is_local(host: str) -> bool:
    """Whether what listens at an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Opens what a server listens at.

    Args:
        host: An address of this machine, or a name of one.
        port: A port; 0 for a free one.

    Returns:
        The socket.

    Raises:
        OSError: It cannot be listened at; names both.
    """
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
    """Serves until it is told to stop; then drops all work.

    Args:
        api: The answers.
        listening: From `listen`; closed at the end.
        stop: Set to end.
    """
    runner = web.AppRunner(
        api.application(),
        access_log=None,
        # Whoever goes away takes his request along.
        handler_cancellation=True,
        # A small upload must not become a large one here.
        auto_decompress=False,
        keepalive_timeout=_KEPT_ALIVE_SECONDS,
        shutdown_timeout=_LEAVING_SECONDS,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening, backlog=256).start()
        await stop.wait()
    finally:
        await api.end()
        await runner.cleanup()
