"""Engines with frozen statistics, through `Stylizer`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anime_tf import Stylizer
from anime_tf.inference import memory, norm_statistics, tiling
from anime_tf.inference.frozen import Freezer, can_freeze

LEVEL = 1  # of 255: rounding at the border of a level


@pytest.fixture(scope="module")
def stylizer(archive):
    return Stylizer(archive, engine="keras")


@pytest.fixture(scope="module")
def frozen(stylizer, photo):
    return stylizer.freeze(photo(100, 130))


def difference(a, b):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    return np.abs(a.astype(int) - b.astype(int)).max()


def test_the_photo_itself_is_unchanged(stylizer, frozen, photo):
    assert difference(frozen(photo(100, 130)), stylizer(photo(100, 130))) <= LEVEL


def test_other_photos_use_its_statistics(stylizer, frozen, photo):
    other = photo(40, 50, seed=3) // 2
    assert difference(frozen(other), stylizer(other)) > 10 * LEVEL
    part = photo(100, 130)[:96, :96]
    whole = frozen(photo(100, 130))
    near = 40  # pixels further right and below depend on what was cropped
    assert difference(frozen(part)[:near, :near], whole[:near, :near]) <= LEVEL


def test_batches_alpha_and_settings(frozen, photo):
    x = photo(20, 30)
    batch = np.stack([x, 255 - x])
    np.testing.assert_array_equal(frozen(batch), np.stack([frozen(x), frozen(255 - x)]))
    rgba = np.dstack([x, x[..., 0]])
    np.testing.assert_array_equal(frozen(rgba), np.dstack([frozen(x), x[..., 0]]))
    np.testing.assert_array_equal(frozen.with_settings(strength=0)(x), x)


def test_by_openvino(archive, frozen, photo):
    pytest.importorskip("openvino")
    stylizer = Stylizer(archive, engine="openvino", engine_precision="float32")
    x = photo(100, 130)
    other = stylizer.freeze(x)
    assert difference(other(x), frozen(x)) <= LEVEL
    assert difference(other.with_settings(tile=64)(x), frozen(x)) <= LEVEL


def test_several_photos_count_as_one(stylizer, photo, monkeypatch):
    monkeypatch.setattr(norm_statistics, "PASSES", 0)
    light, dark = photo(64, 64), photo(64, 64) // 3
    both = stylizer.freeze([light, dark])
    apart = [stylizer.freeze(x)(light) for x in (light, dark)]
    assert all(difference(both(light), y) > LEVEL for y in apart)


def test_tiles_of_given_size(stylizer, frozen, photo):
    """Tiles use the statistics of their picture."""
    x = photo(100, 130)
    assert difference(stylizer.with_settings(tile=64)(x), frozen(x)) <= LEVEL
    assert difference(frozen.with_settings(tile=64)(x), frozen(x)) <= LEVEL
    small = photo(64, 60)
    np.testing.assert_array_equal(stylizer.with_settings(tile=64)(small), stylizer(small))


def test_freezing_loads_once(archive, photo):
    """Also when settings change from picture to picture, as in the server."""
    stylizer = Stylizer(archive, engine="keras")
    assert stylizer._freezer._estimate is None
    x = photo(70, 66)
    stylizer.with_settings(tile=64, strength=0.5)(x)
    estimate = stylizer._freezer._estimate
    assert estimate is not None
    frozen = stylizer.with_settings(strength=0.5).freeze(x)
    assert frozen.config.strength == 0.5
    assert frozen.with_settings(tile=64)._freezer._estimate is estimate


def test_tiles_when_memory_is_short(stylizer, photo, monkeypatch):
    x = photo(100, 130)
    monkeypatch.setattr(tiling, "TILE_SIDE", 64)
    for fits, side in ((False, 64), (True, 0)):
        assert tiling.choose_tile_side((100, 130), "auto", lambda pixels, fits=fits: fits) == side
        assert tiling.choose_tile_side((100, 130), "never", lambda pixels, fits=fits: fits) == 0
    monkeypatch.setattr(memory, "free_memory", lambda: 100 * 130 * 850)
    expected = stylizer.with_settings(tile=64)(x)
    np.testing.assert_array_equal(stylizer(x), expected)
    assert tiling.choose_tile_side((5000, 5000), "auto", lambda pixels: True) == 64, (
        "too many values"
    )


@pytest.mark.parametrize("tile", ["sometimes", 8, True, 64.0])
def test_tile_is_checked(archive, tile):
    with pytest.raises(ValueError, match="tile: expected auto, never, or at least 64 pixels, got"):
        Stylizer(archive, tile=tile)


def test_other_weights_cannot_be_frozen(stylizer, tmp_path):
    engine = stylizer._engine
    assert not can_freeze(tmp_path, engine) and not can_freeze(Path("x.tflite"), engine)
    with pytest.raises(ValueError, match="x.onnx: expected a .keras archive"):
        Freezer(Path("x.onnx"), engine)


def test_photos_are_checked(stylizer):
    with pytest.raises(ValueError, match="at least one photo"):
        stylizer.freeze([])
    with pytest.raises(ValueError, match="expected photos"):
        stylizer.freeze(np.zeros((8, 8, 4), np.uint8))
