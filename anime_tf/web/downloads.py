"""Styles on the page: their thumbnails, and the download of further ones."""

from __future__ import annotations

import asyncio
import importlib.resources
import json
from typing import Any

from absl import logging
from aiohttp import web

from anime_tf.errors import error_line
from anime_tf.io import pictures
from anime_tf.styles import registry
from anime_tf.web.errors import HttpError
from anime_tf.web.service import StylizationService
from anime_tf.web.styles import Style, find_styles

_LARGEST_REQUEST = 1000


class StyleDownloads:
    """Handlers of the addresses below ``/api/styles/``.

    Args:
        service: Gets the downloaded styles.
        local: Whether only this machine can reach the server; others may not download.
    """

    def __init__(self, service: StylizationService, local: bool) -> None:
        self._service, self._local = service, local
        self._thumbnails: dict[str, bytes] = {}
        self._lock = asyncio.Lock()  # one download at a time

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the addresses to an application."""
        router.add_get("/api/styles/available", self._get_available)
        router.add_post("/api/styles/{name}", self._post_style)
        router.add_get("/api/styles/{name}/thumbnail", self._get_thumbnail)

    async def _get_available(self, _request: web.Request) -> web.StreamResponse:
        """List the styles that can be downloaded, with their licenses."""
        styles = registry.list_styles() if self._local else []
        return web.json_response(
            [
                {
                    "name": style.name,
                    "title": style.title,
                    "bytes": style.size,
                    "license": style.license._asdict(),
                }
                for style in styles
                if style.state == "available"
            ],
            headers={"Cache-Control": "no-store"},
        )

    async def _post_style(self, request: web.Request) -> web.StreamResponse:
        """Download a style; the body ``{"accept": true}`` accepts its license."""
        if not self._local:
            raise HttpError(
                403, "Only a server that listens on this machine alone downloads styles."
            )
        name = request.match_info["name"]
        known = {style.name for style in registry.list_styles()}
        if name not in known:
            raise HttpError(404, "There is no such style.")
        accepted = await _read_acceptance(request)
        try:
            async with self._lock:
                self._service.add(await asyncio.to_thread(_download, name, accepted))
        except (ValueError, OSError) as error:
            logging.error("%s", error_line(error))
            raise HttpError(
                403 if isinstance(error, PermissionError) else 502, error_line(error)
            ) from error
        return web.json_response({"name": name}, headers={"Cache-Control": "no-store"})

    async def _get_thumbnail(self, request: web.Request) -> web.StreamResponse:
        """Return a small example of a style, made on the first request."""
        name = request.match_info["name"]
        if name not in self._service.styles:
            raise HttpError(404, "There is no such style.")
        if name not in self._thumbnails:
            self._thumbnails[name] = await asyncio.to_thread(_draw, self._service, name)
        headers = {"Content-Type": "image/jpeg", "Cache-Control": "max-age=3600"}
        return web.Response(body=self._thumbnails[name], headers=headers)


async def _read_acceptance(request: web.Request) -> bool:
    body = await request.content.read(_LARGEST_REQUEST)
    try:
        content: Any = json.loads(body or b"{}")
        return content.get("accept") is True
    except (ValueError, AttributeError):
        raise HttpError(400, 'Wrong request: expected {"accept": true}.') from None


def _download(name: str, accepted: bool) -> Style:
    from anime_tf.styles.fetch import fetch_style

    fetch_style(name, accept={name} if accepted else ())
    return find_styles([name])[0]


def _draw(service: StylizationService, name: str) -> bytes:
    data = importlib.resources.files("anime_tf.web").joinpath("thumbnail.jpg").read_bytes()
    photo = pictures.decode_picture(data, "thumbnail.jpg")
    anime = service.stylize(name, photo.array_u8)
    return pictures.encode_picture(pictures.as_picture(anime), ".jpg")
