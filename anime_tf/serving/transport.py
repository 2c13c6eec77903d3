"""Base class of the protocols that reach TensorFlow Serving, with their addresses and errors."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from anime_tf.inference.batch import BackendUnavailableError
from anime_tf.io.closeable import Closeable
from anime_tf.serving.config import ModelSpec

DEFAULT_PORTS = {"http": 80, "https": 443, "grpc": 8500, "grpcs": 443}  # scheme -> default port

_EXAMPLES = "write http://localhost:8501 for REST or grpc://localhost:8500 for gRPC"


class RequestError(ValueError):
    """The server rejected one request; other requests may succeed."""


class RetryableError(Exception):
    """A request failed that may succeed when it is repeated.

    Args:
        reason: The reason in one line.
        unreachable: Whether all other requests would fail, too.
    """

    def __init__(self, reason: str, *, unreachable: bool) -> None:
        super().__init__(reason)
        self.unreachable = unreachable


@dataclass(frozen=True)
class Address:
    """Address of a server; `path` is a prefix of ``/v1/models`` without a final slash.

    `scheme` is a key of `DEFAULT_PORTS`; https and grpcs are encrypted. An IP address of version 6
    is in brackets.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """Parse an address such as ``http://localhost:8501``.

        Raises:
            ValueError: An invalid address.
        """
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(
                f"{url}: expected the address of a server, got {error}; {_EXAMPLES}"
            ) from error
        if scheme not in DEFAULT_PORTS or not host:
            raise ValueError(f"{url}: expected the address of a server; {_EXAMPLES}")
        if parts.username is not None or parts.password is not None:
            # Does not repeat the address, to keep passwords out of logs.
            raise ValueError("expected an address without user and password; use a token")
        if parts.query or parts.fragment or (scheme.startswith("grpc") and parts.path.strip("/")):
            raise ValueError(f"{url}: expected nothing after host and port; {_EXAMPLES}")
        return cls(
            scheme,
            f"[{host}]" if ":" in host else host,
            DEFAULT_PORTS[scheme] if port is None else port,
            parts.path.rstrip("/"),
        )

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}{self.path}"


class Transport(Closeable):
    """Sends requests to one model over one protocol."""

    def __init__(self, address: Address, spec: ModelSpec) -> None:
        self.address, self.spec = address, spec

    @abc.abstractmethod
    def predict(
        self, signature: str, pictures: Sequence[bytes], timeout: float
    ) -> list[tuple[bytes, str]]:
        """Send files to a signature from encoded pictures to encoded pictures; timeout in seconds.

        Returns a file and an error for each picture; one of the two is empty.

        Raises:
            RetryableError: The server is unreachable, busy or too slow.
            RequestError: The server reports another error.
            BackendUnavailableError: The server will answer no request.
        """

    def error_from_text(self, text: str, signature: str) -> BackendUnavailableError | None:
        """Return the error for a message of TensorFlow Serving that has no status of its own."""
        if text.startswith("Unrecognized servable version label"):
            return self.no_model(text)
        if text.startswith("Serving signature") and "not found" in text:
            return BackendUnavailableError(
                f"{self.address}: {self.spec} has no signature {signature!r}; export it again with "
                "this version of anime-tf export"
            )
        return None

    def no_model(self, text: str) -> BackendUnavailableError:
        """Return the error for a missing model, version or label."""
        return BackendUnavailableError(
            f"{self.address}: has no {self.spec} that is ready to serve ({shorten(text)}); check "
            "its name, version and label"
        )

    def no_permission(self, text: str) -> BackendUnavailableError:
        """Return the error for a missing or wrong token."""
        return BackendUnavailableError(
            f"{self.address}: refused the request ({shorten(text)}); give the right token with "
            "--token_file or the environment variable ANIME_TF_TOKEN"
        )

    def unexpected_answer(self, text: str) -> BackendUnavailableError:
        """Return the error for an answer that is not TensorFlow Serving's."""
        return BackendUnavailableError(
            f"{self.address}: expected an answer of TensorFlow Serving, got "
            f"{shorten(text, 120) or 'nothing'}; check the address: REST is on port 8501, gRPC on "
            "8500"
        )


def shorten(text: str, length: int = 300) -> str:
    """Return a text in one line of limited length."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."
