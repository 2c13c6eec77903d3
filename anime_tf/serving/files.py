"""Stylization of picture files by TensorFlow Serving."""

from __future__ import annotations

import os
from typing import NamedTuple

from anime_tf.inference.batch import BatchReport, Task, plan, run_tasks
from anime_tf.io import atomic, containers, pictures
from anime_tf.io.plain_file import read_plain_file
from anime_tf.io.profiles import srgb_profile
from anime_tf.serving.client import ServingClient
from anime_tf.serving.config import (
    SERVER_QUALITY,
    TOKEN_VARIABLE,
    ClientConfig,
    ModelSpec,
    RetryPolicy,
)


class Request(NamedTuple):
    """A picture to send: a JPEG, PNG or WebP file; `answer` is "png" or "jpeg"."""

    data: bytes
    answer: str


def stylize_by_server(
    config: ClientConfig, spec: ModelSpec, retry: RetryPolicy
) -> tuple[list[Task], BatchReport]:
    """Send the pictures of `config.input` to a server, write its answers, and report.

    Raises:
        FileNotFoundError: There are no such pictures.
        ValueError: A wrong address, token or output.
        BackendUnavailableError: The server answers no request.
    """
    tasks = plan(config.input, config.output)
    token = read_token(config.token_file)
    with ServingClient(config.url, spec, retry=retry, token=token) as client:

        def work(requests: list[Request]) -> list[bytes | Exception]:
            results: dict[int, bytes | Exception] = {}
            for answer in {request.answer for request in requests}:
                indices = [i for i, request in enumerate(requests) if request.answer == answer]
                made = client.stylize([requests[i].data for i in indices], answer)
                results.update(zip(indices, made, strict=True))
            return [results[i] for i in range(len(requests))]

        report = run_tasks(
            tasks,
            read=lambda task: make_request(task, config),
            work=work,
            write=lambda task, data: write_answer(task, data, config.quality),
            batch_size=config.batch_size,
        )
    return tasks, report


def read_token(path: str | None) -> str | None:
    """Return the token of a file, or else of the environment; None if there is none."""
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    token = read_plain_file(path, "a file with a token").decode("utf-8", "replace").strip()
    if not token:
        raise ValueError(f"{path}: expected a token, got an empty file")
    return token


def make_request(task: Task, config: ClientConfig) -> Request:
    """Read a picture; files that servers decode are sent unchanged, others as PNG."""
    is_jpeg = task.target.suffix.lower() in (".jpg", ".jpeg")
    # A JPEG of another quality than the server's is encoded here, from a lossless answer.
    suitable = "jpeg" if is_jpeg and config.quality == SERVER_QUALITY else "png"
    answer = suitable if config.format == "auto" else config.format
    data = pictures.read_bytes(task.source)
    unchanged = _server_decodes(data) and _is_plain(data, str(task.source))
    if unchanged and not config.max_side:
        return Request(data, answer)
    picture = pictures.decode_picture(data, str(task.source))
    limited = pictures.limit_side(picture, config.max_side)
    if unchanged and limited is picture:
        return Request(data, answer)
    return Request(pictures.encode_picture(limited, ".png"), answer)


def _is_plain(data: bytes, name: str) -> bool:
    """Tell whether a picture needs no repair and no conversion of colors, which servers skip."""
    try:
        container = containers.parse(data, name, pictures.MAX_PIXELS)
    except ValueError:  # which the server finds, too
        return True
    return not container.warnings and container.colors in (None, srgb_profile())


def _server_decodes(data: bytes) -> bool:
    """Return whether servers decode a file: JPEG, PNG, and WebP without animation."""
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    is_animated = data[12:16] == b"VP8X" and len(data) > 20 and data[20] & 2 != 0
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (is_webp and not is_animated)


def write_answer(task: Task, data: bytes, quality: int) -> None:
    """Write a server's answer, unchanged if it has the format of the target."""
    suffix = task.target.suffix.lower()
    is_png = data.startswith(b"\x89PNG")
    if suffix == ".png" if is_png else (suffix in (".jpg", ".jpeg") and quality == SERVER_QUALITY):
        atomic.write_bytes(task.target, data)
        return
    picture = pictures.decode_picture(data, f"{task.target}: the server's answer")
    pictures.write_picture(task.target, picture, quality=quality)
