import json

import numpy as np
import pytest

from anime_tf.io.pictures import write_picture
from anime_tf.models.archive import load_generator
from anime_tf.models.live import LiveGenerator
from recipes import train_live


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b_loc"):
        photo = rng.integers(0, 256, (40, 48, 3)).astype(np.uint8)
        for folder in ("photos", "paintings"):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_picture(tmp_path / folder / f"{name}.png", photo)
    write_picture(tmp_path / "photos" / "unpainted.png", photo)
    return tmp_path


def test_windows_of_pairs_match(folders):
    pairs = train_live.Pairs(folders / "photos", folders / "paintings", 32, people_share=0.8)
    assert pairs.names == ["a", "b_loc"]
    np.testing.assert_allclose(pairs.weights, [0.2, 0.8])
    photos, paintings, means = pairs.batch(np.random.default_rng(0), 5)
    np.testing.assert_array_equal(photos, paintings)
    assert photos.shape == (5, 32, 32, 3)
    assert means.shape == (5, 1, 1, 1)
    assert np.abs(means).max() < 0.1


def test_trains_resumes_and_begins_with_an_archive(folders):
    arguments = [f"--{name}={folders / name}" for name in ("photos", "paintings")]
    arguments += ["--width=2", "--size=32", "--batch=1", "--precision=float32", "--threads=0"]
    run = folders / "run"
    assert train_live.main([*arguments, f"--run_dir={run}", "--steps=2"]) == 0
    assert train_live.main([*arguments, f"--run_dir={run}", "--steps=50"]) == 0
    (line,) = (run / "stats.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 50
    other = folders / "other"
    weights = f"--init_weights={run / 'generator.keras'}"
    assert train_live.main([*arguments, f"--run_dir={other}", weights, "--steps=1"]) == 0
    assert load_generator(other / "generator.keras").width == 2


def test_a_wider_generator_begins_with_the_pictures_of_a_narrower_one():
    narrow, wide = LiveGenerator(2), LiveGenerator(3)
    rng = np.random.default_rng(0)
    for weight in narrow.weights:
        weight.assign(weight + 0.1 * rng.standard_normal(weight.shape).astype(np.float32))
    train_live.begin_with(wide, narrow)
    picture = rng.uniform(-1, 1, (1, 32, 48, 3)).astype(np.float32)
    np.testing.assert_allclose(wide(picture), narrow(picture), atol=1e-5)
    with pytest.raises(ValueError, match="expected an archive as wide or narrower"):
        train_live.begin_with(narrow, wide)
