"""The verb ``serving_client``: stylises pictures by a server that runs the exported network."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from absl import flags, logging

from anime_tf.cli import app

if TYPE_CHECKING:
    from anime_tf.inference.batch import Job

TOKEN_VARIABLE = "ANIME_TF_TOKEN"
"""Environment variable for a token: command lines can be read by everybody on a machine."""

FORMATS = ["auto", "png", "jpeg"]

SERVER_QUALITY = 95
"""Of the JPEG files that servers write; see `export.encoded`."""


class Outgoing(NamedTuple):
    """A picture to send.

    Attributes:
        data: Contents of a JPEG, PNG or WebP file.
        kind: What shall come back, "png" or "jpeg".
    """

    data: bytes
    kind: str


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the verb."""
    flags.DEFINE_string(
        "input",
        None,
        "A picture, a folder (with all below it), or a quoted pattern such as 'photos/**/*.jpg'.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "A folder, in which the input's structure is kept; for a single picture also the file to "
        "write. End the name of a new folder in / where the input is a single picture.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "url",
        "http://localhost:8501",
        "The server: http://HOST:8501 or https://HOST for REST, grpc://HOST:8500 or grpcs://HOST "
        "for gRPC, which needs the package's extra serving.",
        flag_values=values,
    )
    flags.DEFINE_string("model", "cel", "Name of the model on the server.", flag_values=values)
    flags.DEFINE_integer(
        "version", None, "Version of the model; by default the newest.", 0, flag_values=values
    )
    flags.DEFINE_string(
        "label", None, "Label of a version, such as stable, in its place.", flag_values=values
    )
    flags.DEFINE_integer(
        "batch_size",
        1,
        "Pictures in a request. The server takes one after the other anyway: more save time only "
        "where pictures are small and the way is long.",
        1,
        flag_values=values,
    )
    flags.DEFINE_float(
        "timeout", 120.0, "Seconds until a request is given up.", 0.001, flag_values=values
    )
    flags.DEFINE_integer(
        "retries",
        4,
        "How often a request is sent again where the server cannot be reached, is busy or takes "
        "too long; with growing waits between.",
        0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "format",
        "auto",
        FORMATS,
        "How pictures come back from the server. png is exact, jpeg a third as large, auto goes by "
        "each file's suffix. Files get their own format in any case.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "quality", SERVER_QUALITY, "Quality of JPEG and WebP files.", 1, 100, flag_values=values
    )
    flags.DEFINE_integer(
        "max_side",
        0,
        "Shrink pictures whose longer side has more pixels than this before they are sent. 0 "
        "keeps every size.",
        0,
        flag_values=values,
    )
    flags.DEFINE_string(
        "token_file",
        None,
        "File with a token, sent as 'Authorization: Bearer TOKEN'; by default that of the "
        f"environment variable {TOKEN_VARIABLE}, if any.",
        flag_values=values,
    )


def main(values: flags.FlagValues) -> int:
    """Stylises as the flags say; returns the exit code."""
    from anime_tf.inference import batch
    from anime_tf.serving.client import Patience, Served, ServingClient

    jobs = batch.plan(values.input, values.output)
    served = Served(values.model, values.version, values.label)
    patience = Patience(values.timeout, values.retries)
    token = read_token(values.token_file)
    if values.url.startswith("grpc"):
        with contextlib.suppress(ImportError):  # the client says what is missing
            app.import_tensorflow()  # its messages import it
    start = time.perf_counter()
    with ServingClient(values.url, served, patience=patience, token=token) as client:

        def work(pictures: list[Outgoing]) -> list[bytes | Exception]:
            results: dict[int, bytes | Exception] = {}
            for kind in {picture.kind for picture in pictures}:
                places = [i for i, picture in enumerate(pictures) if picture.kind == kind]
                answers = client.stylise([pictures[i].data for i in places], kind)
                results.update(zip(places, answers, strict=True))
            return [results[i] for i in range(len(pictures))]

        report = batch.run_batches(
            jobs,
            read=lambda job: outgoing(job, values.format, values.quality, values.max_side),
            work=work,
            write=lambda job, data: write(job, data, values.quality),
            batch_size=values.batch_size,
        )
    logging.info(
        "%d of %d pictures written to %s in %.1f s",
        len(report.written),
        len(jobs),
        values.output,
        time.perf_counter() - start,
    )
    if not report.written:
        return app.EXIT_NOTHING_DONE
    return app.EXIT_SOME_FAILED if report.failures else app.EXIT_DONE


def read_token(path: str | None) -> str | None:
    """The token of a file, else of the environment; None where there is none."""
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    token = Path(path).read_text(encoding="utf-8", errors="replace").strip()
    if not token:
        raise ValueError(f"{path}: expected a token, found an empty file")
    return token


def outgoing(job: Job, how: str, quality: int, max_side: int) -> Outgoing:
    """Reads a picture to send: files as they are where servers take them, others as PNG."""
    from anime_tf.io import pictures

    is_jpeg = job.target.suffix.lower() in (".jpg", ".jpeg")
    # With another quality than the server's, a JPEG is written here.
    suitable = "jpeg" if is_jpeg and quality == SERVER_QUALITY else "png"
    kind = suitable if how == "auto" else how
    data = job.source.read_bytes()
    as_it_is = _is_taken(data)
    if as_it_is and not max_side:
        return Outgoing(data, kind)
    picture = pictures.decode_picture(data, str(job.source))
    limited = pictures.limit_side(picture, max_side)
    if as_it_is and limited is picture:
        return Outgoing(data, kind)
    return Outgoing(pictures.encode_picture(limited, ".png"), kind)


def _is_taken(data: bytes) -> bool:
    """Whether servers take such a file: JPEG, PNG, and WebP without animation."""
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    is_animated = data[12:16] == b"VP8X" and len(data) > 20 and data[20] & 2 != 0
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (is_webp and not is_animated)


def write(job: Job, data: bytes, quality: int) -> None:
    """Writes what came back, as it is where it is of the file's kind."""
    from anime_tf.io import pictures

    suffix = job.target.suffix.lower()
    is_png = data.startswith(b"\x89PNG")
    if suffix == ".png" if is_png else (suffix in (".jpg", ".jpeg") and quality == SERVER_QUALITY):
        pictures.write_bytes_whole(job.target, data)
        return
    picture = pictures.decode_picture(data, f"{job.target}: the server's answer")
    pictures.write_picture(job.target, picture, quality=quality)


COMMAND = app.Command(
    name="serving_client",
    summary="Stylise pictures by a server that runs TensorFlow Serving.",
    example="--input=photos --output=anime --url=http://localhost:8501\n"
    "--input=me.jpg --output=me_anime.png --url=grpc://localhost:8500 --label=stable",
    define_flags=define_flags,
    main=main,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
