"""SavedModels, loaded by TensorFlow alone, against the networks they were made from."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from picture_files import noise, smooth_noise, whole_files
from tolerances import picture_tolerance

from anime_tf.export.saved_model import EXTRA, SIGNATURES, write_saved_model
from anime_tf.export.warmup import FILE as WARMUP_FILE
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.io import pictures
from anime_tf.io.geometry import crop_padding, pad_to_multiple
from anime_tf.io.pixels import to_pm1, to_u8
from anime_tf.models.archive import load_generator
from anime_tf.models.registry import GENERATORS

ROUNDING = 1e-5  # the optimised graph may fuse what the eager network does step by step
LEVEL = 1  # where a rounding error lies on the border between two levels
SIZES = [(1, 1, 1), (2, 16, 24), (1, 17, 50), (3, 5, 33)]


def expected_pm1(model, x_pm1: np.ndarray) -> np.ndarray:
    """The rule of the house, by numpy: pad, network, crop."""
    padded, padding = pad_to_multiple(x_pm1, model.STRIDE, model.MINIMUM_SIDE)
    return crop_padding(np.asarray(model(padded, training=False)), padding)


def expected_u8(model, data: bytes) -> np.ndarray:
    """What infer.py makes of a file: RGB, or RGBA with the alpha of the photo."""
    photo = pictures.decode_picture(data, "photo")
    anime_u8 = to_u8(expected_pm1(model, to_pm1(photo.rgb_u8[None])))[0]
    return pictures.Picture(anime_u8, photo.alpha_u8).array_u8


@pytest.mark.parametrize("name", GENERATORS)
def test_all_signatures_take_every_size(exports, name):
    model, _, folder = exports[name]
    signatures = tf.saved_model.load(str(folder / "saved_model")).signatures
    assert set(signatures) == set(SIGNATURES)
    assert set(SIGNATURES) == {"serving_default", "uint8", "bytes", "bytes_jpeg"}
    for key, function in signatures.items():
        assert set(function.structured_input_signature[1]) == set(SIGNATURES[key].inputs)
        assert set(function.structured_outputs) == set(SIGNATURES[key].outputs)

    random = np.random.default_rng(2)
    for n, height, width in SIZES:
        x_u8 = random.integers(0, 256, (n, height, width, 3), np.uint8)
        y_pm1 = expected_pm1(model, to_pm1(x_u8))
        floats = signatures["serving_default"](pictures_pm1=tf.constant(to_pm1(x_u8)))
        tolerance = picture_tolerance(ROUNDING, name, x_u8.shape)
        np.testing.assert_allclose(floats["anime_pm1"], y_pm1, atol=tolerance)
        pixels = signatures["uint8"](pictures_u8=tf.constant(x_u8))["anime_u8"].numpy()
        assert pixels.dtype == np.uint8
        difference = np.abs(pixels.astype(int) - to_u8(y_pm1)).max()
        assert difference <= picture_tolerance(LEVEL, name, x_u8.shape)

    rgba = np.dstack([smooth_noise(21, 34), noise(21, 34, 1)])
    files = [
        pictures.encode_picture(smooth_noise(16, 24), ".jpg"),
        b"no picture",
        pictures.encode_picture(rgba, ".png"),
    ]
    results = signatures["bytes"](picture_bytes=tf.constant(files))
    anime = results["anime_bytes"].numpy()
    assert results["error"].numpy()[[0, 2]].tolist() == [b"", b""]
    assert anime[1] == b"" and b"6e 6f 20 70" in results["error"].numpy()[1]
    for i in (0, 2):
        actual = pictures.decode_picture(anime[i], "anime").array_u8.astype(int)
        assert np.abs(actual - expected_u8(model, files[i])).max() <= LEVEL


def test_the_network_stands_in_it_once(exports):
    """Four signatures, and a fourfold graph would be four times as long to load."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    _, _, folder = exports["animegan_v2"]
    saved = SavedModel.FromString((folder / "saved_model/saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    operators = [[node.op for node in function.node_def] for function in functions]
    assert sum("Conv2D" in ops for ops in operators) == 1
    # Python is not there on a server; the last came with TensorFlow 2.20, and older servers would
    # not load the graph.
    foreign = {"PyFunc", "EagerPyFunc", "PyFuncStateless", "DecodeWebP"}
    assert not foreign & {op for ops in operators for op in ops}


def test_a_session_as_servers_have_it_and_the_warmup_requests(exports):
    """TensorFlow's C++ loader, fed with the requests that TensorFlow Serving replays."""
    logs = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason="tensorflow-serving-api (the extra serving) is not installed",
    )
    model, _, folder = exports["animegan_v2_light"]
    path = folder / "saved_model"
    records = tf.data.TFRecordDataset(str(path / EXTRA / WARMUP_FILE)).as_numpy_iterator()
    requests = [logs.PredictionLog.FromString(record).predict_log.request for record in records]
    assert [request.model_spec.signature_name for request in requests] == list(SIGNATURES)

    # Both kinds of alpha, and each kind of file.
    names = ("color.jpg", "alpha.png", "sixteen.png", "gray.png", "alpha.webp", "lossy.webp")
    files = {name: data for name, data in whole_files().items() if name in names}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(path))

        def run(signature, inputs):
            tensors = graph.signature_def[signature]
            outputs = {name: tensor.name for name, tensor in tensors.outputs.items()}
            feed = {tensors.inputs[name].name: value for name, value in inputs.items()}
            return session.run(outputs, feed)

        for request in requests:
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            results = run(request.model_spec.signature_name, inputs)
            assert set(results) == set(SIGNATURES[request.model_spec.signature_name].outputs)
            assert all(len(result) == 1 for result in results.values())
            assert results.get("error", [b""])[0] == b""
        jpeg = run("bytes_jpeg", {"picture_bytes": [files["alpha.png"], b""]})
        results = run("bytes", {"picture_bytes": [*files.values(), b"", b"nothing"]})

    assert [bool(error) for error in results["error"]] == [False] * len(files) + [True, True]
    assert pictures.decode_picture(jpeg["anime_bytes"][0], "jpeg").array_u8.shape == (40, 56, 3)
    assert jpeg["anime_bytes"][0][:2] == b"\xff\xd8" and jpeg["anime_bytes"][1] == b""
    for data, anime in zip(files.values(), results["anime_bytes"], strict=False):
        actual = pictures.decode_picture(anime, "anime").array_u8.astype(int)
        assert np.abs(actual - expected_u8(model, data)).max() <= LEVEL


def test_saved_model_cli(exports, tmp_path):
    command = shutil.which("saved_model_cli", path=sysconfig.get_path("scripts"))
    if command is None:
        pytest.skip("saved_model_cli, which comes with TensorFlow, is not beside this Python")
    model, _, folder = exports["animegan_v2"]
    data = pictures.encode_picture(smooth_noise(16, 24), ".png")
    np.save(tmp_path / "files.npy", np.array([data]))
    done = subprocess.run(
        [
            command,
            "run",
            f"--dir={folder / 'saved_model'}",
            "--tag_set=serve",
            "--signature_def=bytes",
            f"--inputs=picture_bytes={tmp_path / 'files.npy'}",
            f"--outdir={tmp_path}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    # TensorFlow's tool writes arrays of objects; this file is its own.
    (anime,) = np.load(tmp_path / "anime_bytes.npy", allow_pickle=True)
    actual = pictures.decode_picture(anime, "anime").rgb_u8.astype(int)
    assert np.abs(actual - expected_u8(model, data)).max() <= LEVEL


def test_every_precision(exports, tmp_path):
    """The graph is the network's own under its precision, and near to that under float32."""
    archive = exports["animegan_v2_light"].archive
    x_u8 = smooth_noise(32, 48)[None]
    y_pm1 = expected_pm1(load_generator(archive), to_pm1(x_u8))
    model = load_generator(archive, precision="mixed_bfloat16")
    write_saved_model(PaddedGenerator(model), tmp_path / "saved_model")
    assert {p.name for p in Path(tmp_path / "saved_model" / EXTRA).iterdir()} == {WARMUP_FILE}
    signatures = tf.saved_model.load(str(tmp_path / "saved_model")).signatures
    anime_pm1 = signatures["serving_default"](tf.constant(to_pm1(x_u8)))["anime_pm1"]
    assert anime_pm1.dtype == tf.float32
    own = expected_pm1(model, to_pm1(x_u8))
    bfloat16 = 0.15  # 8 significant bits, through 26 convolutions with random weights
    np.testing.assert_allclose(anime_pm1, own, atol=bfloat16)
    np.testing.assert_allclose(anime_pm1, y_pm1, atol=bfloat16)
    files = signatures["bytes"](picture_bytes=[pictures.encode_picture(x_u8[0], ".png")])
    assert files["error"].numpy().tolist() == [b""]
