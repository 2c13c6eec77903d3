"""The steps after the network: brightness, color, strength, in 8 and 16 bits."""

from __future__ import annotations

import numpy as np
import pytest

from anime_tf.inference import postprocess as module
from anime_tf.inference.postprocess import HALO, blend, postprocess, transfer_color
from anime_tf.io.color import LUMA_WEIGHTS
from anime_tf.io.pixels import as_type
from anime_tf.metrics.similarity import psnr

ROUNDING = 1e-6  # float32, values up to 1
LEVEL = 1  # of 255, where rounding differs


def one(red, green, blue):
    return np.array([[[red, green, blue]]], np.float32)


def scene(height=96, width=120, seed=0):
    """A textured photo, and a drawing of it: flat, its edge 2 pixels off, with a dark line."""
    random = np.random.default_rng(seed)
    photo = np.full((height, width, 3), (90.0, 120.0, 60.0))
    photo[:, width // 2 :] = (200.0, 180.0, 150.0)
    photo += random.normal(0, 12, (height, width, 1))
    anime = np.full((height, width, 3), (70.0, 150.0, 80.0))
    anime[:, width // 2 + 2 :] = (230.0, 200.0, 180.0)
    anime[:, width // 2 + 1 : width // 2 + 3] = 20.0
    return tuple(np.clip(np.rint(x), 0, 255).astype(np.uint8) for x in (photo, anime))


def roughness(picture):
    """Of the parts that are flat in the drawing, far from its line."""
    luma = picture.astype(float) @ np.array(LUMA_WEIGHTS)
    left = luma[:, : luma.shape[1] // 2 - 24]
    return np.abs(np.diff(left, axis=1)).mean()


# --- color ------------------------------------------------------------------------------------


def test_transferred_chroma():
    photo, anime = one(0.6, 0.4, 0.2), one(0.5, 0.5, 0.5)
    # Y of the photo: 0.299 * 0.6 + 0.587 * 0.4 + 0.114 * 0.2 = 0.437; 0.063 is added to each.
    np.testing.assert_allclose(
        transfer_color(photo, anime), one(0.663, 0.463, 0.263), atol=ROUNDING
    )


def test_impossible_colors_lose_chroma_not_luma():
    # Red has Y 0.299 and chroma (0.701, -0.299, -0.299). At Y 0.9 of it fits 0.1 / 0.701.
    out = transfer_color(one(1, 0, 0), one(0.9, 0.9, 0.9))
    rest = 0.9 - 0.299 * 0.1 / 0.701
    np.testing.assert_allclose(out, one(1, rest, rest), atol=ROUNDING)
    # At Y 0.1 fits 0.1 / 0.299 of it.
    out = transfer_color(one(1, 0, 0), one(0.1, 0.1, 0.1))
    np.testing.assert_allclose(out, one(0.1 + 0.701 * 0.1 / 0.299, 0, 0), atol=ROUNDING)
    for gray in (0, 1):  # black lines stay black, and white stays white
        out = transfer_color(one(1, 0, 0), one(gray, gray, gray))
        np.testing.assert_allclose(out, one(gray, gray, gray), atol=ROUNDING)


def test_every_pair_of_colors_keeps_luma_and_hue_without_clipping():
    random = np.random.default_rng(1)
    photo, anime = random.random((2, 64, 64, 3), np.float32)
    out = transfer_color(photo, anime)
    assert out.min() >= -ROUNDING
    assert out.max() <= 1 + ROUNDING
    weights = np.array(LUMA_WEIGHTS)
    np.testing.assert_allclose(out @ weights, anime @ weights, atol=1e-5)
    wanted = photo - (photo @ weights)[..., None]
    kept = out - (out @ weights)[..., None]
    assert ((wanted * kept).sum(-1) >= -ROUNDING).all()
    np.testing.assert_allclose(np.cross(wanted, kept), 0, atol=1e-5)  # one direction: the hue


def test_a_picture_keeps_its_own_colors():
    photo, _ = scene()
    np.testing.assert_array_equal(postprocess(photo, photo.copy(), keep_color=True), photo)


# --- strength ---------------------------------------------------------------------------------


def test_strengths_0_and_1_are_exact():
    photo, anime = scene()
    np.testing.assert_array_equal(postprocess(photo, anime.copy(), strength=0), photo)
    np.testing.assert_array_equal(postprocess(photo, anime.copy(), strength=1), anime)
    values = [x.astype(np.float32) / 255 for x in (photo, anime)]
    np.testing.assert_allclose(blend(*values, 0), values[0], atol=ROUNDING)
    np.testing.assert_allclose(blend(*values, 1), values[1], atol=ROUNDING)


def test_strength_goes_from_the_photo_to_the_drawing():
    photo, anime = scene()
    steps = [
        postprocess(photo, anime.copy(), strength=s) for s in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 1)
    ]
    to_photo = [psnr(photo, step, 255) for step in steps]
    to_anime = [psnr(anime, step, 255) for step in steps]
    assert (np.diff(to_photo) < 0).all()
    assert (np.diff(to_anime) > 0).all()


def test_flat_colors_change_evenly():
    photo, anime = np.full((40, 40, 3), 0.2, np.float32), np.full((40, 40, 3), 0.6, np.float32)
    for strength in (0.25, 0.5, 0.75):
        # Nothing but a base: 0.2 + strength * 0.4.
        expected = np.full((40, 40, 3), 0.2 + 0.4 * strength)
        np.testing.assert_allclose(blend(photo, anime, strength), expected, atol=1e-5)


def test_texture_vanishes_early_and_no_edge_is_doubled():
    photo, anime = scene()
    half = postprocess(photo, anime.copy(), strength=0.5)
    # (1 - 0.5)^3 of the photo's texture, where a mean of the pixels would show half of it.
    assert roughness(half) < 0.2 * roughness(photo)
    # The photo's edge lies at the middle, the drawing's line 1 to 3 pixels to its right.
    middle = photo.shape[1] // 2
    luma = half.mean(axis=(0, 2))
    line = luma[middle + 1 : middle + 3].min()
    mean = (photo.astype(float) + anime)[:, middle + 1 : middle + 3].mean() / 2
    assert line < mean - 15  # darker than a mean of the pixels would have it
    assert luma[middle] < luma[middle + 8] - 40  # and the photo's edge before it is not


def test_halo_and_strips(monkeypatch):
    photo, anime = scene(131, 77)
    whole = postprocess(photo, anime.copy(), strength=0.4, keep_color=True, match_brightness=True)
    changed = photo.copy()
    changed[60, 40] = 255 - changed[60, 40]
    before, after = (postprocess(x, anime.copy(), strength=0.4) for x in (photo, changed))
    rows = np.flatnonzero((before != after).any(axis=(1, 2)))
    assert rows.min() >= 60 - HALO
    assert rows.max() <= 60 + HALO
    monkeypatch.setattr(module, "STRIP", 32)
    strips = postprocess(photo, anime.copy(), strength=0.4, keep_color=True, match_brightness=True)
    np.testing.assert_array_equal(strips, whole)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (16, 33)])
def test_small_and_odd_sizes(size):
    photo, anime = (x[: size[0], : size[1]].copy() for x in scene())
    for strength in (0.0, 0.3, 1.0):
        out = postprocess(
            photo, anime.copy(), strength=strength, keep_color=True, match_brightness=True
        )
        assert (out.dtype, out.shape) == (np.uint8, photo.shape)


# --- depth ------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [np.uint16, np.float32])
def test_higher_bit_depths_are_the_same_picture(depth):
    photo, anime = scene()
    options = {"strength": 0.6, "keep_color": True, "match_brightness": True}
    shallow = postprocess(photo, anime.copy(), **options)
    deep = postprocess(photo, as_type(anime, depth), **options)
    assert deep.dtype == depth
    # The brightness of 8-bit pictures is truncated, as in the original.
    assert np.abs(as_type(deep, np.uint8).astype(int) - shallow).max() <= 2 * LEVEL
    if depth == np.uint16:
        assert len(np.unique(deep)) > 2 * len(np.unique(shallow))


def test_sizes_must_match():
    with pytest.raises(ValueError, match="expected a photo and its result in one shape"):
        postprocess(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))
