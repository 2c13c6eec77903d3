"""Warmup requests, which TensorFlow Serving runs after loading a SavedModel.

The first run of a graph is much slower than later ones. The file consists of PredictionLog
messages, encoded here by hand: their classes are in tensorflow-serving-api, which would add gRPC to
the requirements of an export. A test reads them with that package.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

FILE = "tf_serving_warmup_requests"  # name of the file in ``assets.extra``
SIDE = 256  # height and width of the pictures


def warmup_inputs() -> dict[str, dict[str, Any]]:
    """Return a gray picture for each signature: its name -> name of an input -> TensorProto."""
    shape = (1, SIDE, SIDE, 3)
    png = tf.io.encode_png(tf.fill(shape[1:], tf.constant(127, tf.uint8))).numpy()
    return {
        # Equal values are stored once.
        "serving_default": {"pictures_pm1": tf.make_tensor_proto(0.0, tf.float32, shape)},
        "uint8": {"pictures_u8": tf.make_tensor_proto(127, tf.uint8, shape)},
        "bytes": {"picture_bytes": tf.make_tensor_proto([png])},
        "bytes_jpeg": {"picture_bytes": tf.make_tensor_proto([png])},
    }


def write_warmup(path: str | os.PathLike[str], inputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Write requests with inputs as of `warmup_inputs`.

    Raises:
        tf.errors.OpError: The file cannot be written.
    """
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for signature, tensors in inputs.items():
            writer.write(_prediction_log(signature, tensors))


def _prediction_log(signature: str, tensors: Mapping[str, Any]) -> bytes:
    """Serialize a tensorflow.serving.PredictionLog of one Predict request.

    Reference:
        TensorFlow Serving, apis/prediction_log.proto, predict.proto and model.proto: field numbers.
    """
    # PredictRequest: model_spec = 1, inputs = 2. ModelSpec: signature_name = 3, without a name,
    # which the server knows.
    request = _field(1, _field(3, signature.encode()))
    for name, tensor in tensors.items():
        # An entry of a map: key = 1, value = 2.
        request += _field(2, _field(1, name.encode()) + _field(2, tensor.SerializeToString()))
    # PredictionLog: predict_log = 6. PredictLog: request = 1.
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """Serialize a length-delimited field: a message, a string or bytes."""
    length_delimited = 2
    return _varint(number << 3 | length_delimited) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Serialize a number in groups of seven bits, lowest first; all but the last have bit 7."""
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
