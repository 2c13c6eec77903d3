"""Requests to TensorFlow Serving over gRPC."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

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

REQUIREMENT = "'tensorflow-serving-api>=2.21,<2.22'"
"""What to install for gRPC; as in the extra ``serving``."""

_NO_LIMIT = -1  # of messages: the default of 4 MB is less than a picture

_OPTIONS = [
    ("grpc.max_send_message_length", _NO_LIMIT),
    ("grpc.max_receive_message_length", _NO_LIMIT),
    ("grpc.enable_retries", 0),  # they are this package's, for all transports alike
]


class GrpcTransport:
    """Sends requests over gRPC; see `serving.client.Transport`.

    Certificates are checked against gRPC's own, or those of the file that the environment variable
    GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names.

    Args:
        address: Where the server listens.
        spec: Which of its models.
        token: Sent as ``authorization: Bearer ...``.

    Raises:
        ValueError: tensorflow-serving-api is not installed.

    Reference:
        TensorFlow Serving, apis/prediction_service.proto: Predict.
    """

    def __init__(self, address: Address, spec: ModelSpec, token: str | None = None) -> None:
        self._grpc, self._messages, stubs = _import_apis()
        self._address = address
        self._spec = spec
        self._metadata = [] if token is None else [("authorization", f"Bearer {token}")]
        target = f"{address.host}:{address.port}"
        if address.scheme == "grpcs":
            credentials = self._grpc.ssl_channel_credentials()
            self._channel = self._grpc.secure_channel(target, credentials, _OPTIONS)
        else:
            self._channel = self._grpc.insecure_channel(target, _OPTIONS)
        self._stub = stubs.PredictionServiceStub(self._channel)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def predict(
        self, signature: str, pictures: Sequence[bytes], timeout: float
    ) -> list[tuple[bytes, str]]:
        """Sends a request; see `serving.client.Transport`."""
        import tensorflow as tf

        request = self._messages.PredictRequest()
        request.model_spec.name = self._spec.model
        request.model_spec.signature_name = signature
        if self._spec.version is not None:
            request.model_spec.version.value = self._spec.version
        if self._spec.label is not None:
            request.model_spec.version_label = self._spec.label
        tensor = tf.make_tensor_proto(list(pictures), tf.string, [len(pictures)])
        request.inputs["picture_bytes"].CopyFrom(tensor)
        try:
            response = self._stub.Predict(request, timeout=timeout, metadata=self._metadata)
        except self._grpc.RpcError as error:
            raise self._told(error, signature, timeout) from error
        found = {name: response.outputs[name] for name in ("anime_bytes", "error")}
        if any(each.dtype != tf.string.as_datatype_enum for each in found.values()):
            # A name that is not there reads as an empty message.
            raise not_serving(self._address, f"the outputs {sorted(response.outputs)}")
        files, errors = (tf.make_ndarray(each).ravel() for each in found.values())
        if len(files) != len(errors):
            raise not_serving(self._address, f"{len(files)} pictures and {len(errors)} errors")
        return [
            (bytes(data), error.decode("utf-8", "replace"))
            for data, error in zip(files, errors, strict=True)
        ]

    def _told(self, error: Any, signature: str, timeout: float) -> Exception:
        """An error of gRPC as one of this package."""
        codes = self._grpc.StatusCode
        code, said = error.code(), error.details() or ""
        if code == codes.UNAVAILABLE:
            return TryAgain(f"is not available ({shortened(said)})", lost=True)
        if code == codes.DEADLINE_EXCEEDED:
            return TryAgain(f"no answer within {timeout:g} s", lost=False)
        if code == codes.NOT_FOUND or is_label_error(said):
            return no_model(self._address, self._spec, said)
        if code in (codes.UNAUTHENTICATED, codes.PERMISSION_DENIED):
            return no_permission(self._address, said or code.name)
        if code == codes.UNIMPLEMENTED:
            return not_serving(self._address, said)
        if is_signature_error(said):
            return no_signature(self._address, self._spec, signature)
        return RequestFailed(f"{self._address}: reports {code.name}, {shortened(said)}")


def _import_apis() -> tuple[Any, Any, Any]:
    """The modules of gRPC, of its messages, and of its services."""
    apis = "tensorflow_serving.apis"
    try:
        return (
            importlib.import_module("grpc"),
            importlib.import_module(f"{apis}.predict_pb2"),
            importlib.import_module(f"{apis}.prediction_service_pb2_grpc"),
        )
    except ImportError as error:
        raise ValueError(
            f"grpc:// needs TensorFlow Serving's API, which cannot be imported ({error}); "
            f"pip install {REQUIREMENT}, or use REST, http://"
        ) from error
