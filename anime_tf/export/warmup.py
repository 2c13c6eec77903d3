"""Requests that a server answers by itself after loading a SavedModel, so that users do not wait.

TensorFlow Serving replays the requests in ``assets.extra/tf_serving_warmup_requests`` before it
says that a model is there: the first call of a graph takes much longer than those that follow.

The file holds PredictionLog messages. Their classes come with tensorflow-serving-api, which is no
dependency of an export: two dozen lines would call for a package that brings gRPC along. Of the
messages that stand around a tensor only one or two fields each are needed, so they are written as
bytes by the rule for such fields: number, length, content. A test reads them with the package.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

FILE = "tf_serving_warmup_requests"
"""Name that TensorFlow Serving looks for in ``assets.extra``."""

SIDE = 256
"""Height and width of the pictures: those that the networks learn from."""


def warmup_inputs() -> dict[str, dict[str, Any]]:
    """A small request for each signature of a SavedModel.

    Returns:
        Name of a signature -> name of an input -> its TensorProto: one gray picture.
    """
    pictures = (1, SIDE, SIDE, 3)
    png = tf.io.encode_png(tf.fill(pictures[1:], tf.constant(127, tf.uint8))).numpy()
    return {
        # A value is stored once where all are equal.
        "serving_default": {"pictures_pm1": tf.make_tensor_proto(0.0, tf.float32, pictures)},
        "uint8": {"pictures_u8": tf.make_tensor_proto(127, tf.uint8, pictures)},
        "bytes": {"picture_bytes": tf.make_tensor_proto([png])},
        "bytes_jpeg": {"picture_bytes": tf.make_tensor_proto([png])},
    }


def write_warmup(path: str | os.PathLike[str], inputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes requests to replay.

    Args:
        path: The file, by TensorFlow Serving's rule ``assets.extra/tf_serving_warmup_requests``.
        inputs: As `warmup_inputs` gives them.

    Raises:
        tf.errors.OpError: It cannot be written.
    """
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for signature, tensors in inputs.items():
            writer.write(_prediction_log(signature, tensors))


def _prediction_log(signature: str, tensors: Mapping[str, Any]) -> bytes:
    """A serialised tensorflow.serving.PredictionLog of one Predict request.

    Reference:
        TensorFlow Serving, apis/prediction_log.proto, predict.proto and model.proto: field numbers.
    """
    # PredictRequest: model_spec = 1, inputs = 2. ModelSpec: signature_name = 3; no name, for that
    # is the server's to choose, and it replays requests by their signature.
    request = _field(1, _field(3, signature.encode()))
    for name, tensor in tensors.items():
        # An entry of a map: key = 1, value = 2.
        entry = _field(1, name.encode()) + _field(2, tensor.SerializeToString())
        request += _field(2, entry)
    # PredictionLog: predict_log = 6. PredictLog: request = 1.
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """A field of protocol buffers whose content has a length: a message, a string or bytes."""
    length_delimited = 2
    return _varint(number << 3 | length_delimited) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first; all but the last carry bit 7."""
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
