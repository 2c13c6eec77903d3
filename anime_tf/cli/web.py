"""The verb ``web``: the page in a browser, with this machine's networks behind it."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.infer import ENGINE_CHOICES, PRECISION_CHOICES
from anime_tf.errors import import_optional
from anime_tf.io.signals import caught_signals
from anime_tf.web.limits import MEBIBYTE, Limits

if TYPE_CHECKING:
    import socket
    from types import FrameType

    from anime_tf.web.server import Api

_DEFAULTS = Limits()


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the verb."""
    flags.DEFINE_multi_string(
        "weights",
        [],
        "Weights to offer besides the built-in styles, or the built-in style to begin with: names "
        "or paths as of infer.py; may be given several times, the first one is the default.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "engine",
        "auto",
        ENGINE_CHOICES,
        "What runs the networks; auto is the fastest on this machine, by measuring once.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "engine_precision",
        "auto",
        PRECISION_CHOICES,
        "What the engines keras and openvino compute in, as of infer.py.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "host",
        "127.0.0.1",
        "The address to listen at. The default is for this machine alone; 0.0.0.0 is for everybody "
        "who can reach it, without any password.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "port", 8000, "The port to listen at; 0 for a free one.", 0, 65535, flag_values=values
    )
    flags.DEFINE_string(
        "page",
        None,
        "The folder of the built page; by default the one in the package, else deploy/web/dist.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "threads",
        2,
        "Pictures that are decoded and encoded at once; the network runs for one at a time.",
        1,
        64,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "queue",
        _DEFAULTS.queue,
        "Pictures that are uploaded, wait or are worked on at once; more are told to come again.",
        1,
        10_000,
        flag_values=values,
    )
    flags.DEFINE_integer("clips", _DEFAULTS.clips, "Clips likewise.", 1, 1000, flag_values=values)
    flags.DEFINE_string(
        "tile",
        "auto",
        "What is done with pictures that may be too large for the memory that is free, as of "
        "infer.py; a number of pixels bounds the memory that the network takes and keeps.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "max_side",
        0,
        "Pictures and clips whose longer side has more pixels than this come out smaller, and "
        "quicker. 0 keeps every size.",
        0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "max_megabytes",
        _DEFAULTS.picture_bytes / MEBIBYTE,
        "The largest file of a picture that is taken.",
        0.001,
        flag_values=values,
    )
    flags.DEFINE_float(
        "max_megapixels",
        _DEFAULTS.pixels / 1e6,
        "The largest picture that is taken.",
        0.001,
        flag_values=values,
    )
    flags.DEFINE_float(
        "max_clip_megabytes",
        _DEFAULTS.clip_bytes / MEBIBYTE,
        "The largest file of a clip that is taken.",
        0.001,
        flag_values=values,
    )
    flags.DEFINE_float(
        "max_clip_seconds",
        _DEFAULTS.clip_seconds,
        "The longest clip that is taken.",
        0.001,
        flag_values=values,
    )


def limits_of(values: flags.FlagValues) -> Limits:
    """What the flags say about what is taken."""
    picture_bytes = round(values.max_megabytes * MEBIBYTE)
    return Limits(
        picture_bytes=picture_bytes,
        pixels=round(values.max_megapixels * 1e6),
        queue=values.queue,
        queue_bytes=max(_DEFAULTS.queue_bytes, picture_bytes),
        clip_bytes=round(values.max_clip_megabytes * MEBIBYTE),
        clip_seconds=values.max_clip_seconds,
        clips=values.clips,
    )


def main(values: flags.FlagValues) -> int:
    """Serves until SIGINT or SIGTERM."""
    # What can be found wrong at once is, before TensorFlow takes its seconds to load.
    import_optional("aiohttp", "the server is made of aiohttp", "aiohttp, or anime_tf[web]")
    from anime_tf.web import server
    from anime_tf.web.page import HOW_TO_BUILD, find_page
    from anime_tf.web.styles import find_styles

    styles = find_styles(values.weights)
    limits = limits_of(values)
    page = find_page([Path(values.page)]) if values.page else find_page()
    if values.page and not page:
        raise FileNotFoundError(f"{values.page}: expected the built page, found no index.html")
    if not page:
        logging.warning("the page is not built, only the API answers. %s", HOW_TO_BUILD)
    local = server.is_local(values.host)
    if not local:
        logging.warning("%s: everybody who can reach this machine can use it", values.host)
    with server.listen(values.host, values.port) as listening:
        app.import_tensorflow()
        from anime_tf.web.service import Studio

        with Studio(
            styles,
            engine=values.engine,
            engine_precision=values.engine_precision,
            max_side=values.max_side,
            tile=int(values.tile) if values.tile.isdecimal() else values.tile,
            limits=limits,
            threads=values.threads,
        ) as studio:
            studio.warm_up()
            # Nothing of an upload is written elsewhere; for this user's eyes alone.
            with tempfile.TemporaryDirectory(
                prefix="anime-tf-", ignore_cleanup_errors=True
            ) as folder:
                api = server.Api(studio, Path(folder), limits, page, local)
                asyncio.run(_serve(api, listening))
    return app.EXIT_DONE


async def _serve(api: Api, listening: socket.socket) -> None:
    from anime_tf.web import server

    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def end(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    host, port = listening.getsockname()[:2]
    with caught_signals(end):
        print(f"http://{f'[{host}]' if ':' in host else host}:{port}/", flush=True)
        logging.info("open that address in a browser; Ctrl+C ends the server")
        await server.serve(api, listening, stop)
    logging.info("the server has ended")


COMMAND = app.Command(
    name="web",
    summary="Stylise pictures and clips on a page in the browser.",
    example="\n--weights=mine.keras --weights=cel --port=8080",
    define_flags=define_flags,
    main=main,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
