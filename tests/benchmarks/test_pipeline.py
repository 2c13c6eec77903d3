import numpy as np
import pytest

from anime_tf.datasets.pipeline import TrainingPictures
from anime_tf.io.pictures import encode_picture, read_picture
from benchmarks.pipeline import generate_dataset, generate_photo, pipeline_candidates
from benchmarks.timing import interleave

PHASES = ("init", "gan")


def test_generated_photos_compress_like_photos():
    """Decoding time depends on the bits: noise has 10 or more per pixel, a flat picture near 0."""
    size_hw = (192, 256)
    photo = generate_photo(np.random.default_rng(0), size_hw)
    assert photo.shape == (*size_hw, 3)
    assert photo.dtype == np.uint8
    bits = 8 * len(encode_picture(photo, ".jpg")) / (size_hw[0] * size_hw[1])
    assert 1 < bits < 5
    assert generate_photo(np.random.default_rng(0), (3, 5)).shape == (3, 5, 3)


def test_the_generated_dataset_suits_both_fits(tmp_path):
    sets = generate_dataset(tmp_path / "data", side=64, image_size=32, count=3)
    assert read_picture(sets["resize"].smooth[0]).size_hw == (32, 32)
    assert read_picture(sets["crop"].smooth[0]).size_hw == (48, 64)
    sources = {
        fit: TrainingPictures(folders, image_size=32, batch_size=2, seed=0, fit=fit)
        for fit, folders in sets.items()
    }
    candidates = pipeline_candidates(sources, PHASES, steps=2)
    assert [list(c.labels.values()) for c in candidates] == [
        ["init", "resize"],
        ["init", "crop"],
        ["gan", "resize"],
        ["gan", "crop"],
    ]
    interleave(candidates, 1)
    assert all(c.seconds[0] > 0 for c in candidates)


def test_errors_of_the_pipeline(tmp_path):
    folders = generate_dataset(tmp_path / "data", side=64, image_size=32, count=3)["resize"]
    source = TrainingPictures(folders, image_size=32, batch_size=3, seed=0)
    candidate = pipeline_candidates({"resize": source}, ["init"], steps=2)[0]
    # The process itself reads the first picture of a batch before the round.
    first = next(iter(source.folders.train_photo))
    for path in source.folders.train_photo:
        if path != first:
            path.write_bytes(b"")
    assert candidate.run(0) > 0  # skips two broken pictures
    assert len(source.broken) == 2
    first.write_bytes(b"")
    with pytest.raises(ValueError, match="expected readable photo pictures, got 3 unreadable"):
        candidate.run(1)
