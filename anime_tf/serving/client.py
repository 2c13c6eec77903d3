"""Client of TensorFlow Serving: sends picture files, and receives picture files.

It uses the signatures ``bytes`` and ``bytes_jpeg`` of an exported SavedModel, over REST
(`serving.rest`) or gRPC (`serving.rpc`). REST does not need TensorFlow.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from absl import logging

from anime_tf.inference.batch import BackendUnavailableError
from anime_tf.io.closeable import Closeable
from anime_tf.io.terminal import bar_cleared
from anime_tf.serving.config import ModelSpec, RetryPolicy
from anime_tf.serving.transport import Address, RequestError, RetryableError, Transport

SIGNATURES = {"png": "bytes", "jpeg": "bytes_jpeg"}  # format of the answer -> signature
MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff"}  # format -> first bytes of a file


class ServingClient(Closeable):
    """Stylizes files on a server; a context manager that owns the connection.

    Args:
        address: ``http://host:8501`` or ``https://...`` for REST, ``grpc://host:8500`` or
            ``grpcs://...`` for gRPC.
        spec: The model.
        retry: Timeout and retries.
        token: Sent as ``Authorization: Bearer ...``; None for none.

    Raises:
        ValueError: An invalid address or token, or a missing package.
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
            raise ValueError("expected a token of one line of printable ASCII characters")
        self._transport: Transport
        if self._address.scheme.startswith("grpc"):
            from anime_tf.serving.rpc import GrpcTransport

            self._transport = GrpcTransport(self._address, spec, token)
        else:
            from anime_tf.serving.rest import RestTransport

            self._transport = RestTransport(self._address, spec, token)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def stylize(
        self, pictures: Sequence[bytes], file_format: str = "png"
    ) -> list[bytes | Exception]:
        """Stylize JPEG, PNG or WebP files in one request; if it fails, each in one of its own.

        Returns the content of a file in `file_format`, "png" or "jpeg", or an error for each.

        Raises:
            BackendUnavailableError: The server is unreachable, or has no such model.
        """
        try:
            answers = self._predict(SIGNATURES[file_format], pictures)
        except RequestError as error:
            if len(pictures) == 1:
                return [error]
            return [
                result for picture in pictures for result in self.stylize([picture], file_format)
            ]
        results: list[bytes | Exception] = []
        for data, problem in answers:
            if not problem and not data.startswith(MAGIC[file_format]):
                raise self._wrong_model(f"a {file_format.upper()} picture", "something else")
            results.append(ValueError(problem) if problem else data)
        return results

    def _predict(self, signature: str, pictures: Sequence[bytes]) -> list[tuple[bytes, str]]:
        """Send a request with retries; both protocols and partly received answers need them."""
        for attempt in range(self._retry.retries + 1):
            try:
                answers = self._transport.predict(signature, pictures, self._retry.timeout)
                break
            except RetryableError as error:
                if attempt == self._retry.retries:
                    times = f" ({attempt + 1} times)" if attempt else ""
                    reason = f"{self._address}: {error}{times}"
                    if error.unreachable:
                        raise BackendUnavailableError(
                            f"{reason}; is the server running there?"
                        ) from error
                    raise RequestError(reason) from error
                self._wait(attempt, error)
        if len(answers) != len(pictures):
            raise self._wrong_model(f"{len(pictures)} pictures", str(len(answers)))
        return answers

    def _wait(self, attempt: int, error: RetryableError) -> None:
        seconds = self._retry.wait(attempt)
        with bar_cleared():
            logging.info(
                "%s: %s; retrying in %.1f s (%d of %d)",
                self._address,
                error,
                seconds,
                attempt + 1,
                self._retry.retries,
            )
        time.sleep(seconds)

    def _wrong_model(self, expected: str, got: str) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"{self._address}: expected {expected}, got {got}; is the model an export of this "
            "package?"
        )
