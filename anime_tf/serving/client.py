"""A client of TensorFlow Serving: files of pictures to a server, files of pictures back.

It speaks to the signatures ``bytes`` and ``bytes_jpeg`` of an exported SavedModel, over REST
(`serving.rest`) or gRPC (`serving.rpc`). REST needs no TensorFlow.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from absl import logging

from anime_tf.inference.batch import BackendUnavailableError
from anime_tf.io.closeable import Closeable
from anime_tf.io.terminal import bar_cleared
from anime_tf.serving.config import ModelSpec, RetryPolicy

SIGNATURES = {"png": "bytes", "jpeg": "bytes_jpeg"}
"""Kind of file that comes back -> signature that gives it."""

MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff"}
"""Kind of file -> how it begins."""

DEFAULT_PORTS = {"http": 80, "https": 443, "grpc": 8500, "grpcs": 443}
"""Scheme -> port where the address names none: the web's own, and TensorFlow Serving's."""


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        scheme: One of `DEFAULT_PORTS`; https and grpcs are encrypted.
        host: A name, or an IP address, of version 6 in brackets.
        port: Its port.
        path: What stands before ``/v1/models`` in the paths of a REST server; without end slash.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Reads an address such as ``http://localhost:8501``.

        Args:
            url: The address.

        Returns:
            Its parts.

        Raises:
            ValueError: It is none.
        """
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"{url}: no address of a server, {error}; {_EXAMPLES}") from error
        if scheme not in DEFAULT_PORTS or not host:
            raise ValueError(f"{url}: expected an address of a server; {_EXAMPLES}")
        if parts.username is not None or parts.password is not None:
            # Without the address, which would put a password into logs.
            raise ValueError("the address of the server holds a user or password; use a token")
        if parts.query or parts.fragment or (scheme.startswith("grpc") and parts.path.strip("/")):
            raise ValueError(f"{url}: nothing may follow the host and port here; {_EXAMPLES}")
        name = f"[{host}]" if ":" in host else host
        path = parts.path.rstrip("/")
        return cls(scheme, name, DEFAULT_PORTS[scheme] if port is None else port, path)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}{self.path}"


_EXAMPLES = "write http://localhost:8501 for REST or grpc://localhost:8500 for gRPC"


class RequestFailed(ValueError):
    """A request that the server did not answer well; others may pass."""


class TryAgain(Exception):
    """A request that may pass when it is sent once more.

    Args:
        reason: Why it did not, in a line.
        lost: Whether no other request can pass either, as long as this is so.
    """

    def __init__(self, reason: str, *, lost: bool) -> None:
        super().__init__(reason)
        self.lost = lost


class Transport(Protocol):
    """A way to send requests."""

    def predict(
        self, signature: str, pictures: Sequence[bytes], timeout: float
    ) -> list[tuple[bytes, str]]:
        """Sends a request.

        Args:
            signature: One of the values of `SIGNATURES`.
            pictures: Contents of files.
            timeout: Seconds until it is given up.

        Returns:
            For each picture a file and an error; one of the two is empty.

        Raises:
            TryAgain: The server could not be reached, is busy, or took too long.
            RequestFailed: It reports an error.
            BackendUnavailableError: It will not answer any request.
        """
        ...

    def close(self) -> None:
        """Ends the connection."""
        ...


class ServingClient(Closeable):
    """Stylises files by a server; a context manager that holds the connection.

    Args:
        address: Where the server listens: ``http://host:8501``, ``https://...`` for REST,
            ``grpc://host:8500``, ``grpcs://...`` for gRPC.
        spec: The model.
        retry: Timeout and retries.
        token: Sent as ``Authorization: Bearer ...``; None for none.

    Raises:
        ValueError: `address` is none, or what its scheme needs is not installed.
    """

    def __init__(
        self,
        address: str = "http://localhost:8501",
        spec: ModelSpec | None = None,
        *,
        retry: RetryPolicy | None = None,
        token: str | None = None,
    ) -> None:
        self._address = Address.parse(address)
        self._retry = retry or RetryPolicy()
        spec = spec or ModelSpec()
        if token is not None and (not token.isascii() or not token.isprintable() or not token):
            raise ValueError("the token must be a line of printable ASCII characters")
        self._transport: Transport
        if self._address.scheme.startswith("grpc"):
            from anime_tf.serving.rpc import GrpcTransport

            self._transport = GrpcTransport(self._address, spec, token)
        else:
            from anime_tf.serving.rest import RestTransport

            self._transport = RestTransport(self._address, spec, token)

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def stylise(self, pictures: Sequence[bytes], kind: str = "png") -> list[bytes | Exception]:
        """Stylises files in one request.

        Where the request as a whole fails, each picture is sent by itself.

        Args:
            pictures: Contents of JPEG, PNG or WebP files.
            kind: What comes back: "png" or "jpeg".

        Returns:
            For each a file of that kind, or what was wrong with it.

        Raises:
            BackendUnavailableError: The server is unreachable, or has no such model.
        """
        try:
            answers = self._ask(SIGNATURES[kind], pictures)
        except RequestFailed as error:
            if len(pictures) == 1:
                return [error]
            return [result for picture in pictures for result in self.stylise([picture], kind)]
        results: list[bytes | Exception] = []
        for data, problem in answers:
            if not problem and not data.startswith(MAGIC[kind]):
                raise BackendUnavailableError(
                    f"{self._address}: answered with something that is no {kind.upper()} picture; "
                    "is the model an export of this package?"
                )
            results.append(ValueError(problem) if problem else data)
        return results

    def _ask(self, signature: str, pictures: Sequence[bytes]) -> list[tuple[bytes, str]]:
        """Sends a request as often as may be."""
        attempt = 0
        while True:
            try:
                answers = self._transport.predict(signature, pictures, self._retry.timeout)
            except TryAgain as error:
                if attempt >= self._retry.retries:
                    tried = f" ({attempt + 1} times)" if attempt else ""
                    reason = f"{self._address}: {error}{tried}"
                    if not error.lost:
                        raise RequestFailed(reason) from error
                    raise BackendUnavailableError(
                        f"{reason}; is the server running there?"
                    ) from error
                seconds = self._retry.wait(attempt)
                attempt += 1
                with bar_cleared():
                    logging.info(
                        "%s: %s; trying again in %.1f s (%d of %d)",
                        self._address,
                        error,
                        seconds,
                        attempt,
                        self._retry.retries,
                    )
                time.sleep(seconds)
                continue
            if len(answers) != len(pictures):
                raise BackendUnavailableError(
                    f"{self._address}: answered with {len(answers)} pictures, expected "
                    f"{len(pictures)}; is the model an export of this package?"
                )
            return answers


# --- what transports say alike ------------------------------------------------------------------


def shortened(text: str, length: int = 300) -> str:
    """A server's words in a line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def no_model(address: Address, spec: ModelSpec, said: str) -> BackendUnavailableError:
    """The server does not have the model."""
    return BackendUnavailableError(
        f"{address}: has no {spec} that is ready to serve ({shortened(said)}); give the name, "
        "version or label of one that it has"
    )


def no_signature(address: Address, spec: ModelSpec, signature: str) -> BackendUnavailableError:
    """The model lacks the signature."""
    return BackendUnavailableError(
        f"{address}: {spec} has no signature {signature!r}; export it anew with this version of "
        "export.py"
    )


def no_permission(address: Address, said: str) -> BackendUnavailableError:
    """The server, or what stands before it, asks who this is."""
    return BackendUnavailableError(
        f"{address}: refused the request ({shortened(said)}); give the right token with "
        "--token_file or the environment variable ANIME_TF_TOKEN"
    )


def not_serving(address: Address, said: str) -> BackendUnavailableError:
    """The answer is none of TensorFlow Serving's."""
    return BackendUnavailableError(
        f"{address}: expected TensorFlow Serving's answer, found {shortened(said, 120) or 'none'}; "
        "check the address: REST is on port 8501, gRPC on 8500"
    )


def is_label_error(said: str) -> bool:
    """Whether words of TensorFlow Serving say that it does not know a label."""
    return said.startswith("Unrecognized servable version label")


def is_signature_error(said: str) -> bool:
    """Whether words of TensorFlow Serving say that a signature is missing."""
    return said.startswith("Serving signature") and "not found" in said
