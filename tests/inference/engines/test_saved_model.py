"""`SavedModelEngine`: invalid folders."""

from __future__ import annotations

import pytest
import tensorflow as tf

from anime_tf.inference.autotune import open_engine


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
