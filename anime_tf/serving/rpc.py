"""gRPC transport to TensorFlow Serving."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from anime_tf.serving.config import ModelSpec
from anime_tf.serving.transport import Address, RequestError, RetryableError, Transport, shorten

REQUIREMENT = "'tensorflow-serving-api>=2.21,<2.22'"  # the extra ``serving``

_OPTIONS = [
    # The default limit of 4 MB is smaller than a picture.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_retries", 0),  # `ServingClient` retries over both protocols
]


class GrpcTransport(Transport):
    """gRPC transport; a token is sent as ``authorization: Bearer ...``.

    gRPC checks certificates against its own, or those of GRPC_DEFAULT_SSL_ROOTS_FILE_PATH.

    Raises:
        ValueError: tensorflow-serving-api is not installed.

    Reference:
        TensorFlow Serving, apis/prediction_service.proto: Predict.
    """

    def __init__(self, address: Address, spec: ModelSpec, token: str | None = None) -> None:
        super().__init__(address, spec)
        self._grpc, self._messages, stubs = _import_apis()
        self._metadata = [] if token is None else [("authorization", f"Bearer {token}")]
        target = f"{address.host}:{address.port}"
        if address.scheme == "grpcs":
            credentials = self._grpc.ssl_channel_credentials()
            self._channel = self._grpc.secure_channel(target, credentials, _OPTIONS)
        else:
            self._channel = self._grpc.insecure_channel(target, _OPTIONS)
        self._stub = stubs.PredictionServiceStub(self._channel)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def predict(
        self, signature: str, pictures: Sequence[bytes], timeout: float
    ) -> list[tuple[bytes, str]]:
        """Send a request; see `Transport`."""
        import tensorflow as tf

        request = self._messages.PredictRequest()
        request.model_spec.name = self.spec.model
        request.model_spec.signature_name = signature
        if self.spec.version is not None:
            request.model_spec.version.value = self.spec.version
        if self.spec.label is not None:
            request.model_spec.version_label = self.spec.label
        tensor = tf.make_tensor_proto(list(pictures), tf.string, [len(pictures)])
        request.inputs["picture_bytes"].CopyFrom(tensor)
        try:
            response = self._stub.Predict(request, timeout=timeout, metadata=self._metadata)
        except self._grpc.RpcError as error:
            raise self._error(error, signature, timeout) from error
        outputs = [response.outputs[name] for name in ("anime_bytes", "error")]
        # A missing output reads as an empty message of another type.
        if any(output.dtype != tf.string.as_datatype_enum for output in outputs):
            raise self.unexpected_answer(f"the outputs {sorted(response.outputs)}")
        files, errors = (tf.make_ndarray(output).ravel() for output in outputs)
        if len(files) != len(errors):
            raise self.unexpected_answer(f"{len(files)} pictures and {len(errors)} errors")
        return [
            (bytes(data), error.decode("utf-8", "replace"))
            for data, error in zip(files, errors, strict=True)
        ]

    def _error(self, error: Any, signature: str, timeout: float) -> Exception:
        """Convert an error of gRPC."""
        codes = self._grpc.StatusCode
        code, text = error.code(), error.details() or ""
        if code == codes.UNAVAILABLE:
            return RetryableError(f"is not available ({shorten(text)})", unreachable=True)
        if code == codes.DEADLINE_EXCEEDED:
            return RetryableError(f"no answer within {timeout:g} s", unreachable=False)
        if code == codes.NOT_FOUND:
            return self.no_model(text)
        if code in (codes.UNAUTHENTICATED, codes.PERMISSION_DENIED):
            return self.no_permission(text or code.name)
        if code == codes.UNIMPLEMENTED:
            return self.unexpected_answer(text)
        return self.error_from_text(text, signature) or RequestError(
            f"{self.address}: reports {code.name}, {shorten(text)}"
        )


def _import_apis() -> tuple[Any, Any, Any]:
    """Import gRPC, the messages and the services of TensorFlow Serving."""
    apis = "tensorflow_serving.apis"
    names = ("grpc", f"{apis}.predict_pb2", f"{apis}.prediction_service_pb2_grpc")
    try:
        grpc, messages, services = (importlib.import_module(name) for name in names)
    except ImportError as error:
        raise ValueError(
            f"grpc:// needs TensorFlow Serving's API, which cannot be imported ({error}); "
            f"pip install {REQUIREMENT}, or use REST, http://"
        ) from error
    return grpc, messages, services
