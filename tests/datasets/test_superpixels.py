import numpy as np
import pytest
from golden_files import arrays, assert_close
from small_data_set import make_data_set

from anime_tf.datasets.pipeline import TrainingPictures, add_salt
from anime_tf.datasets.superpixels import denoise, felzenszwalb, l0_smooth, revise, superpixels
from anime_tf.datasets.workers import cached_superpixels
from anime_tf.io.folders import dataset_folders

ROUNDING = 1e-6  # the goldens' own; the Fourier transforms are in double precision


@pytest.fixture(scope="module")
def golden():
    return arrays("animegan_v3_image_operations")


@pytest.mark.parametrize("min_size", [50, 100])
def test_superpixels_equal_the_originals(golden, min_size):
    labels = felzenszwalb(golden["crop"], min_size)
    np.testing.assert_array_equal(labels, golden[f"labels_{min_size}"])
    filled = superpixels(golden["crop"], min_size)
    np.testing.assert_array_equal(filled, golden[f"superpixel_{min_size}"])


def test_flat_picture_is_one_region():
    assert not felzenszwalb(np.full((9, 7, 3), 40, np.uint8), 5).any()


@pytest.mark.parametrize(("style", "settings"), [("hayao", (5, 6, 5)), ("shinkai", (7, 6, 6))])
def test_revision_equals_the_original(golden, style, settings):
    np.testing.assert_array_equal(denoise(golden["crop"], *settings), golden[f"nlm_{style}"])
    revised = revise(golden["crop"], *settings)[::4, ::2]
    assert_close(revised, golden[f"revised_{style}"], atol=ROUNDING)


def test_l0_smoothing_equals_the_original(golden):
    assert_close(l0_smooth(golden["crop"] / 255.0)[::2], golden["l0"], atol=ROUNDING)


def test_superpixels_are_cached(golden, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expected = golden["superpixel_50"]
    np.testing.assert_array_equal(cached_superpixels(golden["crop"], 50), expected)
    (file,) = tmp_path.rglob("*.png")
    monkeypatch.setattr("anime_tf.datasets.workers.worker_pool", None)  # would fail
    np.testing.assert_array_equal(cached_superpixels(golden["crop"], 50), expected)
    file.write_bytes(b"damaged")
    with pytest.raises(TypeError):
        cached_superpixels(golden["crop"], 50)


def test_salt_follows_from_the_name():
    picture = np.zeros((40, 50, 3), np.uint8)
    salted = add_salt(picture, "0001.jpg")
    np.testing.assert_array_equal(salted, add_salt(picture, "0001.jpg"))
    assert not picture.any() and not salted[[0, -1]].any() and not salted[:, [0, -1]].any()
    assert 0.08 < np.mean(salted[..., 0] == 255) < 0.1
    assert (salted != add_salt(picture, "0002.jpg")).any()


@pytest.mark.parametrize("fit", ["resize", "crop"])
def test_the_pipeline_flattens_photos_and_salts_smooth_pictures(tmp_path, monkeypatch, fit):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data_set = make_data_set(tmp_path)
    (data_set / "Dots/smooth").symlink_to(data_set / "Dots/style")
    folders = dataset_folders(str(data_set), "Dots", need_smooth=True)
    options = {"image_size": 32, "batch_size": 1, "seed": 0, "fit": fit, "augment_flip": True}
    plain, salted = (TrainingPictures(folders, **options, salt=salt) for salt in (False, True))
    streams = ("photo_superpixel", "photo", "anime", "smooth")
    for slot in range(2):
        read, other = plain.read_slot(slot, streams), salted.read_slot(slot, streams)
        expected = superpixels(read["photo"], 50)
        np.testing.assert_array_equal(read["photo_superpixel"], expected)
        np.testing.assert_array_equal(read["anime"], read["smooth"])
        changed = (other["smooth"] != read["smooth"]).any(-1)
        assert 0.03 < changed.mean() < 0.1 and (other["smooth"][changed] == 255).all()
