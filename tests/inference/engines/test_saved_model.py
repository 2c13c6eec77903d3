"""`SavedModelEngine`: invalid and foreign folders."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from anime_tf.inference.autotune import open_engine
from anime_tf.inference.engines.saved_model import CHECKPOINT_OPERATIONS, OPERATIONS
from anime_tf.inference.stylizer import Stylizer


def test_invalid_saved_models(exports, archive, tmp_path):
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        open_engine(tmp_path / "none", "saved_model")
    with pytest.raises(ValueError, match="expected a SavedModel folder, got a file"):
        open_engine(archive, "saved_model")
    with pytest.raises(ValueError, match="got a folder without saved_model.pb$"):
        open_engine(tmp_path)
    with pytest.raises(ValueError, match="exported/saved_model$"):
        open_engine(exports["animegan_v2"].folder)
    (tmp_path / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(ValueError, match="the SavedModel is incomplete or damaged"):
        open_engine(tmp_path)

    @tf.function(input_signature=[tf.TensorSpec((1, 256, 256, 3))], autograph=False)
    def fixed(x):
        return {"y": x}

    module = tf.Module()
    tf.saved_model.save(module, str(tmp_path / "other"), signatures=fixed)
    with pytest.raises(ValueError, match="of any size, got another network"):
        open_engine(tmp_path / "other")
    tf.saved_model.save(module, str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="of any size, got another network"):
        open_engine(tmp_path / "empty")


def write_network(folder, run):
    signature = [tf.TensorSpec((None, None, None, 3), name="pictures_pm1")]

    def network(pictures_pm1):
        return {"anime_pm1": tf.ensure_shape(run(pictures_pm1), (None, None, None, 3))}

    module = tf.Module()
    module.run = tf.function(network, input_signature=signature, autograph=False)
    tf.saved_model.save(module, str(folder), signatures=module.run)


def test_operations_that_do_more_than_compute_need_trust(tmp_path):
    written = tmp_path / "written"

    def writes(x):
        with tf.control_dependencies([tf.io.write_file(str(written), "x")]):
            return tf.identity(x)

    def saves(x):
        with tf.control_dependencies(
            [
                tf.raw_ops.SaveV2(
                    prefix=str(written), tensor_names=["a"], shape_and_slices=[""], tensors=[x]
                )
            ]
        ):
            return tf.identity(x)

    def prints(x):
        with tf.control_dependencies([tf.print("x")]):
            return tf.identity(x)

    foreign = {
        "WriteFile": writes,
        "SaveV2": saves,
        "PrintV2": prints,
        "ReadFile": lambda x: x + tf.strings.to_number(tf.io.read_file("/etc/hostname")),
        "PyFunc": lambda x: tf.numpy_function(lambda y: y, [x], tf.float32),
        "MatchingFiles": lambda x: x + tf.cast(tf.size(tf.io.matching_files("/*")), tf.float32),
    }
    photo = np.full((8, 8, 3), 100, np.uint8)
    for name, run in foreign.items():
        write_network(tmp_path / name, run)
        with pytest.raises(ValueError, match=rf"does not write \(.*{name}.*--trust_weights"):
            Stylizer(tmp_path / name, engine="saved_model")
    assert not written.exists()
    trusted = Stylizer(tmp_path / "WriteFile", trust_weights=True)
    np.testing.assert_array_equal(trusted(photo), photo)
    assert written.read_text() == "x"
    assert not OPERATIONS & {*foreign, *CHECKPOINT_OPERATIONS}


def test_values_that_are_not_finite_are_an_error(tmp_path):
    for number, value in enumerate((float("nan"), float("inf"), -float("inf"))):
        write_network(tmp_path / str(number), lambda x, value=value: tf.where(x > 0.9, value, x))
        stylizer = Stylizer(tmp_path / str(number), engine="saved_model")
        photo = np.zeros((8, 8, 3), np.uint8)
        np.testing.assert_array_equal(stylizer(photo), photo)
        photo[3, 3] = 255
        with pytest.raises(ValueError, match=": expected finite numbers from the network"):
            stylizer(photo)
