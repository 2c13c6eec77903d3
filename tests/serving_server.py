"""Small server with the protocols of TensorFlow Serving, over gRPC and REST.

It runs all signatures of SavedModels by TensorFlow's C++ loader, and finds models by name, version
and label. Its error messages and codes are TensorFlow Serving's (http_rest_api_handler.cc,
predict_util.cc, http_server.cc). Tests can make it fail.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tensorflow_serving.apis.predict_pb2 import PredictResponse

HTTP_CODES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""Code of gRPC -> status of HTTP."""


class Status(Exception):
    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.code, self.said = code, said


class Seen(NamedTuple):
    """Record of a request."""

    signature: str
    pictures: int
    authorization: str | None


class Model:
    """SavedModel in its own session."""

    def __init__(self, path: Path) -> None:
        with tf.Graph().as_default():
            self.session = tf.compat.v1.Session()
            loaded = tf.compat.v1.saved_model.loader.load(self.session, ["serve"], str(path))
        self.signatures = dict(loaded.signature_def)

    def signature(self, name: str, over_rest: bool):
        if name not in self.signatures:
            if over_rest:
                raise Status(
                    "INVALID_ARGUMENT",
                    f'Serving signature name: "{name}" not found in signature def',
                )
            raise Status("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        return self.signatures[name]

    def predict(self, signature, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if set(inputs) != set(signature.inputs):
            raise Status(
                "INVALID_ARGUMENT",
                f"input keys {sorted(inputs)}, expected {sorted(signature.inputs)}",
            )
        try:
            return self.session.run(
                {name: info.name for name, info in signature.outputs.items()},
                {signature.inputs[name].name: value for name, value in inputs.items()},
            )
        except tf.errors.OpError as error:
            raise Status("INTERNAL", str(error)) from error


class ServingServer:
    """Server on free local ports; a context manager.

    Args:
        models: Name -> version -> folder of a SavedModel.
        labels: Name -> label -> version.
    """

    def __init__(self, models, labels=None) -> None:
        self.models = {
            name: {version: Model(path) for version, path in versions.items()}
            for name, versions in models.items()
        }
        self.labels = labels or {}
        self.seen: list[Seen] = []
        self.faults: deque[Status | float | bytes | None] = deque()
        """For each request to come: an error, seconds of delay, an answer, or None."""

    def __enter__(self) -> ServingServer:
        self._grpc = grpc.server(ThreadPoolExecutor(4), options=_NO_LIMITS)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Grpc(self), self._grpc)
        port = self._grpc.add_insecure_port("localhost:0")
        self._grpc.start()
        self._rest = ThreadingHTTPServer(("localhost", 0), type("Rest", (_Rest,), {"of": self}))
        self._rest.daemon_threads = True
        threading.Thread(target=self._rest.serve_forever, args=(0.02,), daemon=True).start()
        self.port = self._rest.server_address[1]
        self.urls = {"rest": f"http://localhost:{self.port}", "grpc": f"grpc://localhost:{port}"}
        return self

    def __exit__(self, *_) -> None:
        self._rest.shutdown()
        self._rest.server_close()
        self._grpc.stop(0).wait()

    def find(self, name: str, version: int | None, label: str | None) -> tuple[Model, int]:
        versions = self.models.get(name, {})
        asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        if label:
            if label not in self.labels.get(name, {}):
                raise Status("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
            version = self.labels[name][label]
        elif version is None:
            version = max(versions, default=None)
        if version not in versions:
            raise Status("NOT_FOUND", f"Servable not found for request: {asked}")
        return versions[version], version

    def fault(self) -> bytes | None:
        """Apply the fault for this request."""
        fault = self.faults.popleft() if self.faults else None
        if isinstance(fault, Status):
            raise fault
        if isinstance(fault, float):
            time.sleep(fault)
            return None
        return fault


_NO_LIMITS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class _Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, server: ServingServer) -> None:
        self.server = server

    def Predict(self, request, context):  # noqa: N802, the protocol's name
        spec = request.model_spec
        try:
            name = spec.signature_name or "serving_default"
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            pictures = len(next(iter(inputs.values())))
            metadata = dict(context.invocation_metadata())
            self.server.seen.append(Seen(name, pictures, metadata.get("authorization")))
            self.server.fault()
            version = spec.version.value if spec.HasField("version") else None
            model, version = self.server.find(spec.name, version, spec.version_label)
            outputs = model.predict(model.signature(name, over_rest=False), inputs)
        except Status as error:
            context.abort(getattr(grpc.StatusCode, error.code), error.said)
        response = PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = version
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response


class _Rest(BaseHTTPRequestHandler):
    of: ServingServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.removeprefix("/v1/models/")
        try:
            _, version = self.of.find(name, None, None)
        except Status as error:
            return self._fail(error)
        status = {"error_code": "OK", "error_message": ""}
        state = {"version": str(version), "state": "AVAILABLE", "status": status}
        self._reply(200, json.dumps({"model_version_status": [state]}, indent=1).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            found = re.fullmatch(
                r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?:predict", self.path
            )
            if not found:
                raise Status("INVALID_ARGUMENT", f"Malformed request: POST {self.path}")
            request = json.loads(body)
            name = request.get("signature_name", "serving_default")
            rows = request.get("instances", ())
            self.of.seen.append(Seen(name, len(rows), self.headers["Authorization"]))
            given = self.of.fault()
            if given is not None:
                return self._reply(200, given)
            version = int(found[2]) if found[2] else None
            label = unquote(found[3]) if found[3] else None
            model, _ = self.of.find(unquote(found[1]), version, label)
            signature = model.signature(name, over_rest=True)
            outputs = model.predict(signature, _inputs(request, signature))
        except Status as error:
            return self._fail(error)
        columns = {key: [_value(key, one) for one in column] for key, column in outputs.items()}
        if "inputs" in request:
            answer = {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
        elif len(columns) == 1:
            answer = {"predictions": next(iter(columns.values()))}
        else:
            rows = zip(*columns.values(), strict=True)
            answer = {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}
        self._reply(200, json.dumps(answer).encode())

    def _fail(self, error: Status) -> None:
        # Escaped like a C string, which is not valid JSON.
        said = error.said.replace("\\", r"\\").replace('"', r"\"").replace("'", r"\'")
        self._reply(HTTP_CODES[error.code], f'{{ "error": "{said}" }}'.encode())

    def _reply(self, code: int, body: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client timed out
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


def _inputs(request: dict, signature) -> dict[str, np.ndarray]:
    """Return the tensors of a request in row or column form."""
    if "inputs" in request:
        columns = request["inputs"]
        if not isinstance(columns, dict):
            columns = {next(iter(signature.inputs)): columns}
    else:
        rows = request["instances"]
        named = all(isinstance(row, dict) and set(row) != {"b64"} for row in rows)
        if not named:
            rows = [{next(iter(signature.inputs)): row} for row in rows]
        columns = {key: [row[key] for row in rows] for key in rows[0]}
    kinds = {key: tf.as_dtype(info.dtype).as_numpy_dtype for key, info in signature.inputs.items()}
    return {
        key: np.array(_decoded(column), kinds.get(key, object)) for key, column in columns.items()
    }


def _decoded(value):
    """Decode {"b64": ...} in nested lists."""
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return [_decoded(one) for one in value] if isinstance(value, list) else value


def _value(name: str, value):
    """Encode an output as JSON; outputs named ..._bytes are binary strings."""
    if isinstance(value, bytes):
        if name.endswith("_bytes"):
            return {"b64": base64.b64encode(value).decode()}
        return value.decode()
    return value.tolist()
