"""The verb ``web``: serves the local web page."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.flags import Flags, given, make_config
from anime_tf.errors import import_optional
from anime_tf.inference.config import StylizerConfig
from anime_tf.io.atomic import temporary_path
from anime_tf.io.signals import caught_signals
from anime_tf.web.config import WebConfig

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from anime_tf.web.server import Api

STYLIZER = Flags(StylizerConfig, ("engine", "engine_precision", "tile", "max_side"))


def main(values: flags.FlagValues) -> int:
    """Serve until SIGINT or SIGTERM."""
    config = make_config(values, WebConfig)
    stylizer = StylizerConfig(**given(values, STYLIZER))
    # Finds wrong inputs before TensorFlow takes its seconds to load.
    import_optional("aiohttp", "the server needs aiohttp", "aiohttp")
    from anime_tf.web import server
    from anime_tf.web.page import HOW_TO_BUILD, find_page
    from anime_tf.web.styles import find_styles

    styles = find_styles(config.weights)
    page = find_page([Path(config.page)]) if config.page else find_page()
    if config.page and not page:
        raise FileNotFoundError(f"{config.page}: expected the built page, got no index.html")
    if not page:
        logging.warning("the page is not built, only the HTTP API answers; %s", HOW_TO_BUILD)
    local = server.is_local(config.host)
    if not local:
        logging.warning("%s: everyone who can reach this machine can use it", config.host)
    with server.listen(config.host, config.port) as listening:
        app.import_tensorflow()
        from anime_tf.web.service import StylizationService

        limits = config.limits
        with StylizationService(styles, stylizer, limits=limits, threads=config.threads) as service:
            service.warm_up()
            # Uploads are written nowhere else, and only this user can read them.
            folder = temporary_path(Path(tempfile.gettempdir(), "anime-tf"))
            folder.mkdir(mode=0o700)
            try:
                api = server.Api(service, folder, limits, page, local)
                asyncio.run(_serve(api, listening, has_page=bool(page)))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return app.EXIT_DONE


async def _serve(api: Api, listening: socket.socket, *, has_page: bool) -> None:
    from anime_tf.web import server

    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def end(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    host, port = listening.getsockname()[:2]
    with caught_signals(end):
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        print(address, flush=True)
        if has_page:
            logging.info("open that address in a browser; Ctrl+C stops the server")
        else:
            logging.info(
                "programs can use the HTTP API: %sapi/styles lists the styles, docs/web.md has all "
                "requests; Ctrl+C stops the server",
                address,
            )
        await server.serve(api, listening, stop)
    logging.info("the server has stopped")


COMMAND = app.Command(
    name="web",
    summary="Stylize pictures and clips on a local web page.",
    example="\n--weights=mine.keras --weights=cel --port=8080",
    configs=(WebConfig, STYLIZER),
    main=main,
)
