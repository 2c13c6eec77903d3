"""REST transport to TensorFlow Serving."""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import requests
import urllib3

from anime_tf.inference.batch import BackendUnavailableError
from anime_tf.serving.config import ModelSpec
from anime_tf.serving.transport import Address, RequestError, RetryableError, Transport, shorten

_CHUNK = 1 << 14
"""Bytes between two checks of the deadline, which a slow answer could otherwise evade."""


class RestTransport(Transport):
    """REST transport; a token is sent as ``Authorization: Bearer ...``.

    `requests` chooses certificates and proxies, by REQUESTS_CA_BUNDLE and HTTPS_PROXY.

    Reference:
        TensorFlow Serving, RESTful API: Predict API, Encoding binary values.
    """

    def __init__(self, address: Address, spec: ModelSpec, token: str | None = None) -> None:
        super().__init__(address, spec)
        self._url = f"{address}/v1/models/{quote(spec.model, safe='')}"
        if spec.version is not None:
            self._url += f"/versions/{spec.version}"
        if spec.label is not None:
            self._url += f"/labels/{quote(spec.label, safe='')}"
        self._url += ":predict"
        self._session = requests.Session()
        if token is not None:

            def authorize(request: Any) -> Any:
                request.headers["Authorization"] = f"Bearer {token}"
                return request

            self._session.auth = authorize  # an entry of ~/.netrc would override a header

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def predict(
        self, signature: str, pictures: Sequence[bytes], timeout: float
    ) -> list[tuple[bytes, str]]:
        """Send a request; see `Transport`."""
        instances = [
            {"picture_bytes": {"b64": base64.b64encode(data).decode()}} for data in pictures
        ]
        body = json.dumps({"signature_name": signature, "instances": instances}).encode()
        status, answer = self._post(body, timeout)
        if status == 200:
            try:
                return [
                    (base64.b64decode(one["anime_bytes"]["b64"], validate=True), str(one["error"]))
                    for one in json.loads(answer)["predictions"]
                ]
            except (ValueError, KeyError, TypeError, binascii.Error) as error:
                raise self.unexpected_answer(_decode(answer)) from error
        text = _error_text(answer)
        if status in (401, 403):
            raise self.no_permission(text or f"HTTP {status}")
        if status == 503:  # TensorFlow Serving's UNAVAILABLE
            reason = f"is not available ({shorten(text or 'HTTP 503')})"
            raise RetryableError(reason, unreachable=True)
        if status in (408, 504):  # DEADLINE_EXCEEDED
            reason = f"took too long ({shorten(text or f'HTTP {status}')})"
            raise RetryableError(reason, unreachable=False)
        if text is None or 300 <= status < 400 or text.startswith("Malformed request"):
            raise self.unexpected_answer(f"HTTP {status} {_decode(answer)}")
        if status == 404:
            raise self.no_model(text)
        if known := self.error_from_text(text, signature):
            raise known
        raise RequestError(f"{self.address}: reports HTTP {status}, {shorten(text)}")

    def _post(self, body: bytes, timeout: float) -> tuple[int, bytes]:
        """Post a body; return status and answer."""
        too_slow = RetryableError(f"no answer within {timeout:g} s", unreachable=False)
        deadline = time.monotonic() + timeout
        try:
            with self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=timeout,  # of each single step
                allow_redirects=False,  # a redirected POST becomes a GET
                stream=True,
            ) as response:
                parts = []
                for part in response.iter_content(_CHUNK):
                    parts.append(part)
                    if time.monotonic() > deadline:
                        raise too_slow
                return response.status_code, b"".join(parts)
        except requests.exceptions.SSLError as error:
            raise BackendUnavailableError(
                f"{self.address}: no encrypted connection, {_reason(error)}; check the address, "
                "and the server's certificate"
            ) from error
        except requests.exceptions.ConnectTimeout as error:
            raise RetryableError(f"no connection within {timeout:g} s", unreachable=True) from error
        except requests.exceptions.Timeout as error:
            raise too_slow from error
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            causes = list(_causes(error))
            if any(isinstance(cause, urllib3.exceptions.ReadTimeoutError) for cause in causes):
                raise too_slow from error
            if any(type(cause) is http.client.BadStatusLine for cause in causes):
                raise self.unexpected_answer("an answer that is not HTTP") from error
            # A connection lost midway may be the fault of this picture, if it exhausted the memory.
            unreachable = any(
                isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes
            )
            problem = "no connection" if unreachable else "connection lost"
            raise RetryableError(f"{problem}, {_reason(error)}", unreachable=unreachable) from error
        except requests.exceptions.RequestException as error:
            raise BackendUnavailableError(f"{self.address}: {shorten(str(error))}") from error


def _error_text(answer: bytes) -> str | None:
    """Return TensorFlow Serving's error message; None if the answer has another form."""
    try:
        # Escaped like a C string, which is not valid JSON.
        text = json.loads(answer.replace(rb"\'", b"'"), strict=False)["error"]
    except (ValueError, KeyError, TypeError):
        return None
    return text if isinstance(text, str) else None


def _decode(answer: bytes) -> str:
    return answer[:1000].decode("utf-8", "replace")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error of `requests` and all errors of urllib3 and the system inside it."""
    seen: list[BaseException] = []
    queue: list[Any] = [error]
    while queue:
        cause = queue.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            yield cause
            queue += [
                *cause.args,
                getattr(cause, "reason", None),
                cause.__cause__,
                cause.__context__,
            ]


def _reason(error: BaseException) -> str:
    """Return the system's message for a connection error; others name classes and pools."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.strerror[0].lower()}{cause.strerror[1:]}"
    return shorten(str(error), 160)
