"""Requests to TensorFlow Serving over REST."""

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
from anime_tf.serving.client import (
    Address,
    RequestFailed,
    TryAgain,
    is_label_error,
    is_signature_error,
    no_model,
    no_permission,
    no_signature,
    not_serving,
    shortened,
)
from anime_tf.serving.config import ModelSpec

_CHUNK = 1 << 14
"""Bytes between two looks at the clock, so that an answer that trickles in ends, too."""


class RestTransport:
    """Sends requests over REST; see `serving.client.Transport`.

    Certificates are checked against those that `requests` trusts; the environment variables
    REQUESTS_CA_BUNDLE and HTTPS_PROXY are its own.

    Args:
        address: Where the server listens.
        spec: Which of its models.
        token: Sent as ``Authorization: Bearer ...``.

    Reference:
        TensorFlow Serving, RESTful API: Predict API, Encoding binary values.
    """

    def __init__(self, address: Address, spec: ModelSpec, token: str | None = None) -> None:
        self._address = address
        self._spec = spec
        self._url = f"{address}/v1/models/{quote(spec.model, safe='')}"
        if spec.version is not None:
            self._url += f"/versions/{spec.version}"
        if spec.label is not None:
            self._url += f"/labels/{quote(spec.label, safe='')}"
        self._url += ":predict"
        self._session = requests.Session()
        if token is not None:
            # Not as a header, which an entry of ~/.netrc for the host would replace.
            self._session.auth = _Bearer(token)

    def close(self) -> None:
        """Ends the connection."""
        self._session.close()

    def predict(
        self, signature: str, pictures: Sequence[bytes], timeout: float
    ) -> list[tuple[bytes, str]]:
        """Sends a request; see `serving.client.Transport`."""
        instances = [
            {"picture_bytes": {"b64": base64.b64encode(data).decode()}} for data in pictures
        ]
        body = json.dumps({"signature_name": signature, "instances": instances}).encode()
        status, answer = self._post(body, timeout)
        if status == 200:
            return self._answers(answer)
        said = _error(answer)
        if status in (401, 403):
            raise no_permission(self._address, said or f"HTTP {status}")
        if status == 503:  # TensorFlow Serving's UNAVAILABLE
            raise TryAgain(f"is not available ({shortened(said or 'HTTP 503')})", lost=True)
        if status in (408, 504):  # its DEADLINE_EXCEEDED
            raise TryAgain(f"took too long ({shortened(said or f'HTTP {status}')})", lost=False)
        if said is None or 300 <= status < 400 or said.startswith("Malformed request"):
            raise not_serving(self._address, f"HTTP {status} {_text(answer)}")
        if status == 404 or is_label_error(said):
            raise no_model(self._address, self._spec, said)
        if is_signature_error(said):
            raise no_signature(self._address, self._spec, signature)
        raise RequestFailed(f"{self._address}: reports HTTP {status}, {shortened(said)}")

    def _post(self, body: bytes, timeout: float) -> tuple[int, bytes]:
        """Sends `body`: the status and what came back."""
        too_long = TryAgain(f"no answer within {timeout:g} s", lost=False)
        deadline = time.monotonic() + timeout
        try:
            with self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=timeout,  # of connecting, and of each step of sending and reading
                allow_redirects=False,  # that would turn the request into another one
                stream=True,
            ) as response:
                parts = []
                for part in response.iter_content(_CHUNK):
                    parts.append(part)
                    if time.monotonic() > deadline:
                        raise too_long
                return response.status_code, b"".join(parts)
        except requests.exceptions.SSLError as error:
            raise BackendUnavailableError(
                f"{self._address}: no encrypted connection, {_reason(error)}; check the address, "
                "and the server's certificate"
            ) from error
        except requests.exceptions.ConnectTimeout as error:
            raise TryAgain(f"no connection within {timeout:g} s", lost=True) from error
        except requests.exceptions.Timeout as error:
            raise too_long from error
        except (
            requests.exceptions.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            inner = list(_chain(error))
            if any(isinstance(each, urllib3.exceptions.ReadTimeoutError) for each in inner):
                raise too_long from error
            if any(type(each) is http.client.BadStatusLine for each in inner):
                raise not_serving(self._address, "an answer that is no HTTP") from error
            # Broken off in the middle may be the fault of this picture, which took all memory.
            lost = any(isinstance(each, urllib3.exceptions.NewConnectionError) for each in inner)
            what = "no connection" if lost else "the connection broke off"
            raise TryAgain(f"{what}, {_reason(error)}", lost=lost) from error
        except requests.exceptions.RequestException as error:
            raise BackendUnavailableError(f"{self._address}: {shortened(str(error))}") from error

    def _answers(self, answer: bytes) -> list[tuple[bytes, str]]:
        """Reads the answer of a request that went well."""
        try:
            return [
                (base64.b64decode(one["anime_bytes"]["b64"], validate=True), str(one["error"]))
                for one in json.loads(answer)["predictions"]
            ]
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise not_serving(self._address, _text(answer)) from error


class _Bearer(requests.auth.AuthBase):
    """Puts a token into each request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _error(answer: bytes) -> str | None:
    """TensorFlow Serving's words for an error; None where the answer is not its own."""
    try:
        # It escapes its words as C does: what JSON does not know is kept as it stands.
        text = json.loads(answer.replace(rb"\'", b"'"), strict=False)["error"]
    except (ValueError, KeyError, TypeError):
        return None
    return text if isinstance(text, str) else None


def _text(answer: bytes) -> str:
    return answer[:1000].decode("utf-8", "replace")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error of `requests` and those of urllib3 and the system that it carries within."""
    seen: list[BaseException] = []
    ahead: list[Any] = [error]
    while ahead:
        each = ahead.pop(0)
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            yield each
            ahead += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]


def _reason(error: BaseException) -> str:
    """Why there is no connection, in the system's words: the others name classes and pools."""
    for each in _chain(error):
        if isinstance(each, OSError) and each.strerror:
            return f"{each.strerror[0].lower()}{each.strerror[1:]}"
    return shortened(str(error), 160)
