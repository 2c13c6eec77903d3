"""Download, verification and conversion of published styles."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import logging as python_logging
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import requests
from absl import logging
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

from anime_tf.errors import error_line, first_line
from anime_tf.io.atomic import atomic_folder, temporary_path, write_bytes
from anime_tf.io.locks import locked
from anime_tf.io.terminal import is_terminal
from anime_tf.styles import registry
from anime_tf.styles.registry import CARD, RemoteFile, Style, find_style

OFFLINE_VARIABLE = "ANIME_TF_OFFLINE"
ATTEMPTS = 5  # connections in a row that bring nothing
BACKOFF = 0.5  # seconds before the second retry, doubled before each further one
TIMEOUT = (10, 30)  # seconds to connect, and between two packets
LIMIT = 1 << 30  # bytes of a file of unknown size
CONVERSION_BYTES = 4  # free disk space needed, times the download: files, archive, copies
_CHUNK = 1 << 14

Accept = Callable[[Style], bool]  # asks whether the license of a style is accepted


def fetch_style(
    name: str,
    *,
    accept: Accept | Collection[str] = (),
    source: str | None = None,
    registry_file: str | os.PathLike[str] | None = None,
) -> Path:
    """Download, verify, convert and cache a style, unless it is there; return its archive.

    Safe for several processes at once: the second waits for the first. After an error nothing is
    left behind.

    Args:
        name: Name of the style.
        accept: Styles whose non-commercial license is accepted, by the name of the style or of the
            license; or a function that asks. Accepting a license once holds for all styles with
            the same text.
        source: Local folder or address of a mirror, in place of the style's address. Files lie
            under REPOSITORY/COMMIT/PATH, in a folder also under PATH or the mere file name.
        registry_file: As of `list_styles`.

    Raises:
        FileNotFoundError: The address, or the folder, lacks a file.
        PermissionError: The license is not accepted, or ANIME_TF_OFFLINE forbids the download.
        ValueError: No such style, or a file that is not what was published.
        OSError: No network, or the disk is full or not writable.
    """
    style = find_style(name, registry_file)
    if style.state != "available":
        return style.path
    with _naming_remedy(style.folder.parent):
        _check_license(style, accept)
    if os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0") and not _is_folder(source):
        raise PermissionError(
            f"{name}: {OFFLINE_VARIABLE} forbids downloads; unset it, or give a local folder by "
            "--from=FOLDER"
        )
    root = style.folder.parent
    with _naming_remedy(root):
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / f".{name}.lock", style.folder, wait=True):
            cached = find_style(name, registry_file)
            if cached.state == "cached":  # by another process meanwhile
                return cached.path
            work = temporary_path(root / name, ".download")
            try:
                _check_space(work, style)
                work.mkdir()
                _download(style, work, source)
                logging.info("%s: converting", name)
                _store(style, work)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return style.path


# --- license ----------------------------------------------------------------------------------


def needs_acceptance(style: Style) -> bool:
    """Tell whether the license of a style must be accepted before its download."""
    return style.license.noncommercial and not _acceptance(style).is_file()


def _acceptance(style: Style) -> Path:
    """Path of the record that the text of the style's license was accepted."""
    words = f"{style.license.name}\n{style.license.text}"
    digest = hashlib.sha256(words.encode()).hexdigest()
    return registry.data_folder() / "accepted" / f"{digest[:16]}.txt"


def _check_license(style: Style, accept: Accept | Collection[str]) -> None:
    if not needs_acceptance(style):
        return
    license = style.license
    if callable(accept):
        accepted = accept(style)
    else:
        accepted = not {style.name, license.name}.isdisjoint(accept)
    if not accepted:
        raise PermissionError(
            f"{style.name}: its license, {license.name}, is not accepted; read it "
            f"(anime-tf styles show {style.name}) and accept it by --accept_license={style.name}"
        )
    record = _acceptance(style)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(record, license_text(style).encode())


def license_text(style: Style) -> str:
    """Return the license of a style with its authors and source."""
    license = style.license
    lines = [license.name, "", license.text, license.url, "", f"Authors: {style.authors}"]
    return "\n".join([*lines, f"Source: {style.url}", ""])


# --- download ---------------------------------------------------------------------------------


def _download(style: Style, folder: Path, source: str | None) -> None:
    hidden = not is_terminal()
    if not _is_folder(source):
        logging.info("%s: connecting to %s", style.name, urlsplit(source or style.url).netloc)
    if hidden:
        size = registry.format_size(style.size)
        logging.info("%s: downloading %s from %s", style.name, size, source or style.url)
    known = sum(file.size or 0 for file in style.files)
    bar = tqdm(total=known, unit="B", unit_scale=True, desc=style.name, disable=hidden)
    with bar, _session() as session:
        for file in style.files:
            target = folder / Path(file.path).name
            if _is_folder(source):
                where = _copy(Path(str(source)), style, file, target)
                bar.total += 0 if file.size else target.stat().st_size
                bar.update(target.stat().st_size)
            else:
                base = source.rstrip("/") + _layout(style) if source else style.url
                where = f"{base}/{quote(file.path)}"
                _fetch(session, where, file, target, bar)
            _verify(target, file, where)


def _is_folder(source: str | None) -> bool:
    return source is not None and not source.startswith(("http://", "https://"))


def _layout(style: Style) -> str:
    return f"/{style.repository}/{style.commit}" if style.repository else ""


def _session() -> requests.Session:
    """Make a session that retries failed connections and answers; proxies as of the environment."""
    retry = Retry(
        ATTEMPTS, backoff_factor=BACKOFF, status_forcelist=(429, 500, 502, 503, 504),
        respect_retry_after_header=True,
    )  # fmt: skip
    python_logging.getLogger("urllib3").setLevel(python_logging.ERROR)  # the result is one line
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    session.headers["Accept-Encoding"] = "identity"  # sizes and ranges are those of the file
    return session


def _fetch(
    session: requests.Session,
    url: str,
    file: RemoteFile,
    target: Path,
    bar: tqdm,
) -> None:
    """Download a file; a broken connection is resumed where it broke."""
    limit = file.size or LIMIT
    with target.open("wb") as output:
        failures = expected = 0
        while True:
            done = output.tell()
            try:
                headers = {"Range": f"bytes={done}-"} if done else {}
                with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
                    _check_status(answer, url)
                    if done and answer.status_code != requests.codes.partial_content:
                        output.seek(0)  # a server without ranges begins anew
                        output.truncate()
                        bar.update(-done)
                    if file.size is None and not expected:
                        expected = int(answer.headers.get("Content-Length") or 0)
                        bar.total += expected
                    for chunk in answer.iter_content(_CHUNK):
                        output.write(chunk)
                        bar.update(len(chunk))
                        if output.tell() > limit:
                            raise ValueError(
                                f"{url}: expected {limit} bytes, got more; the file was changed: "
                                "give a mirror or a folder with the published one by --from"
                            )
                return
            except requests.RequestException as error:
                failures = 0 if output.tell() > done else failures + 1
                if failures == ATTEMPTS or not output.tell():  # the session has retried enough
                    host = urlsplit(url).netloc
                    problem = f"no connection to {host}"
                    if isinstance(error, requests.exceptions.RetryError):
                        problem = f"{host} answers with errors"
                    elif output.tell():
                        problem = f"the connection to {host} broke"
                    raise ConnectionError(
                        f"{target.name}: {problem} ({_reason(error)}); set HTTPS_PROXY if you use "
                        "a proxy, or use --from=FOLDER with a copy of the file"
                    ) from error
                logging.debug("%s: resuming at %d: %s", url, output.tell(), error)
                time.sleep(BACKOFF * 2**failures)


def _check_status(answer: requests.Response, url: str) -> None:
    if answer.status_code in (404, 410):
        raise FileNotFoundError(
            f"{url}: no such file there ({answer.status_code}); give a mirror or a folder that has "
            "it by --from"
        )
    if not answer.ok:
        raise ConnectionError(
            f"{url}: the server answered {answer.status_code} {answer.reason}; try again later, or "
            "give a mirror or a folder by --from"
        )


def _reason(error: BaseException) -> str:
    """Return the innermost reason of an error of requests, in one line without parentheses."""
    while True:
        inner = getattr(error, "reason", None) or next(iter(error.args), None)
        if not isinstance(inner, BaseException):
            break
        error = inner
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror[0].lower() + cause.strerror[1:]
    text = re.sub(r" ?\([^()]*\)", "", first_line(error).rpartition(": ")[2])
    return text.strip("()'. ") or type(error).__name__


def _copy(folder: Path, style: Style, file: RemoteFile, target: Path) -> str:
    base = folder / _layout(style).lstrip("/")
    found = [p for p in (base / file.path, folder / file.path, folder / target.name) if p.is_file()]
    if not found:
        raise FileNotFoundError(
            f"{folder / target.name}: no such file; expected the published files of {style.name} "
            f"in {folder}"
        )
    shutil.copyfile(found[0], target)
    return str(found[0])


def _verify(path: Path, file: RemoteFile, where: str) -> None:
    """Compare a file with what is known of it: its size, SHA-256 or git blob id."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise _changed(where, f"{file.size} bytes", f"{size}")
    content = path.read_bytes()
    if file.sha256:
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            raise _changed(where, f"sha256 {file.sha256}", found)
    elif file.git_blob:
        blob = b"blob %d\0" % size + content
        found = hashlib.sha1(blob, usedforsecurity=False).hexdigest()
        if found != file.git_blob:
            raise _changed(where, f"git blob {file.git_blob}", found)


def _changed(where: str, expected: str, got: str) -> ValueError:
    return ValueError(
        f"{where}: expected {expected}, got {got}; the file is damaged or was changed: try again, "
        "or give a mirror or a folder with the published one by --from"
    )


# --- conversion -------------------------------------------------------------------------------


def _store(style: Style, work: Path) -> None:
    """Convert the verified files, and make the folder of the cached style."""
    with atomic_folder(style.folder, replace=True) as folder:
        archive = folder / f"{style.name}.keras"
        _convert(style, work, archive)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        card = dataclasses.replace(style, weights_sha256=digest).as_dict()
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        (folder / CARD).write_text(text, encoding="utf-8")
        (folder / "LICENSE.txt").write_text(license_text(style), encoding="utf-8")


def _convert(style: Style, work: Path, archive: Path) -> None:
    from anime_tf.conversion.config import ConvertConfig
    from anime_tf.conversion.convert import convert_file
    from anime_tf.conversion.tf1 import Checkpoint
    from anime_tf.io.native_stderr import import_tensorflow
    from anime_tf.models.archive import load_generator

    import_tensorflow()
    first = work / Path(style.files[0].path).name
    if style.source == "keras":
        load_generator(first)
        shutil.copyfile(first, archive)
        return
    if style.source == "tf1":
        # The reader compares each tensor with the CRC32C in the index.
        checkpoint = Checkpoint(work)
        for name in checkpoint.shapes:
            checkpoint.read(name)
    inputs = {"torch": first}.get(style.source, work)
    config = ConvertConfig(
        source=style.source, input=str(inputs), output=str(archive), model=style.model
    )
    _, verification = convert_file(config)
    if verification is not None and verification.failure:
        raise ValueError(f"{style.name}: {verification.failure}; please report this")


# --- disk -------------------------------------------------------------------------------------


def _check_space(work: Path, style: Style) -> None:
    needed = CONVERSION_BYTES * (style.size or 0)
    if shutil.disk_usage(work.parent).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(work.parent))


@contextmanager
def _naming_remedy(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(
                f"{folder}: no space left on the disk; free some, or name a folder on another disk "
                f"by {registry.DATA_VARIABLE}"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
            raise OSError(
                f"{error_line(error)}; name a folder that can be written by "
                f"{registry.DATA_VARIABLE}"
            ) from error
        raise
