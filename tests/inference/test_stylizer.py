"""Stylizer: ranges, shapes, strength, size, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from icc_profiles import matrix_profile
from PIL import Image
from tolerances import FEW_ROUNDINGS

from anime_tf import Stylizer
from anime_tf.inference.engines.graph import run_graph
from anime_tf.inference.postprocess import postprocess
from anime_tf.inference.tiling import out_of_memory_message
from anime_tf.io import pictures
from anime_tf.io.color import luma, match_brightness
from anime_tf.io.profiles import to_srgb

LEVEL = 1  # of 255: where float rounding lies on the border between two levels


@pytest.fixture(scope="module")
def stylizer(archive):
    return Stylizer(archive)


def network(generator, photo_u8):
    """The reference, step by step: pixel / 127.5 - 1, network, round((y + 1) * 127.5)."""
    y = np.asarray(generator(photo_u8[None].astype(np.float32) / 127.5 - 1))[0]
    return np.clip(np.rint((y + 1) * 127.5), 0, 255).astype(np.uint8)


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max()


def test_output_is_the_network_and_nothing_else(generator, stylizer, photo):
    x = photo(48, 64)
    y = stylizer(x)
    assert (y.dtype, y.shape) == (np.uint8, x.shape)
    assert difference(y, network(generator, x)) <= LEVEL
    assert difference(y, network(generator, x[..., ::-1])) > 10 * LEVEL  # RGB, not BGR


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (15, 16), (17, 23), (50, 33), (16, 16)])
def test_every_size_is_kept(generator, stylizer, photo, size):
    x = photo(*size)
    y = stylizer(x)
    assert y.shape == x.shape
    height, width = (max(16, -(-side // 4) * 4) for side in size)
    padded = np.pad(x, ((0, height - size[0]), (0, width - size[1]), (0, 0)), "reflect")
    assert difference(y, network(generator, padded)[: size[0], : size[1]]) <= LEVEL


def test_alpha_is_kept(stylizer, photo):
    x = photo(24, 32, channels=4)
    y = stylizer(x)
    assert y.shape == x.shape
    np.testing.assert_array_equal(y[..., 3], x[..., 3])
    np.testing.assert_array_equal(y[..., :3], stylizer(np.ascontiguousarray(x[..., :3])))


def test_paths_and_images(archive, stylizer, photo, tmp_path):
    rgba = photo(24, 32, channels=4)
    path = tmp_path / "a.png"
    pictures.write_picture(path, rgba)
    expected = stylizer(rgba)
    for given in (path, str(path), Image.open(path), Image.fromarray(rgba)):
        np.testing.assert_array_equal(stylizer(given), expected)
    turned = Image.fromarray(np.rot90(rgba[..., :3]))
    block = turned.getexif()
    block[0x0112] = 6
    turned.info["icc_profile"] = matrix_profile()
    upright = to_srgb(np.ascontiguousarray(rgba[..., :3]), matrix_profile())
    np.testing.assert_array_equal(stylizer(turned), stylizer(upright))
    gray = Image.fromarray(rgba[..., 0])
    for image in (gray, gray.convert("I;16"), gray.convert("P")):
        assert stylizer(image).shape == (24, 32, 3) and stylizer(image).dtype == np.uint8
    deep = pictures.encode_picture(rgba.astype(np.uint16) * 257, ".png")
    path.write_bytes(deep)
    assert stylizer(path).dtype == np.uint8
    assert stylizer.with_settings(dtype="uint16")(path).dtype == np.uint16
    with pytest.raises(
        FileNotFoundError, match=r"gone.png: no such file or folder; expected a picture file"
    ):
        stylizer("gone.png")
    with pytest.raises(ValueError, match="mode F"):
        stylizer(gray.convert("F"))
    frozen = stylizer.freeze([Image.fromarray(rgba[..., :3])])
    np.testing.assert_array_equal(frozen(rgba), stylizer.freeze(rgba[..., :3])(rgba))


def test_a_batch_equals_its_pictures(stylizer, photo):
    batch = np.stack([photo(20, 30, seed=i) for i in range(3)])
    y = stylizer(batch)
    assert y.shape == batch.shape
    for one, all_together in zip(batch, y, strict=True):
        assert difference(stylizer(one), all_together) <= LEVEL
    assert stylizer(batch[:0]).shape == (0, 20, 30, 3)


@pytest.mark.parametrize("options", [{}, {"strength": 0}, {"strength": 0.5}, {"max_side": 8}])
def test_the_input_is_unchanged_and_the_output_new(stylizer, photo, options):
    x = photo(16, 20)
    kept = x.copy()
    x.setflags(write=False)
    y = stylizer.with_settings(**options)(x)
    y[...] = 0  # must be writable, and not a view of the input
    np.testing.assert_array_equal(x, kept)


def test_calls_share_no_state(stylizer, photo):
    x = photo(32, 32)
    first = stylizer(x)
    stylizer(photo(40, 16, seed=3))
    np.testing.assert_array_equal(stylizer(x), first)


def test_strength_goes_from_the_photo_to_the_network(stylizer, photo):
    x = photo(32, 32)
    anime = stylizer(x)
    strengths = [0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999, 1]
    blends = [stylizer.with_settings(strength=s)(x) for s in strengths]
    np.testing.assert_array_equal(blends[0], x)
    np.testing.assert_array_equal(blends[-1], anime)
    for blended, strength in zip(blends[1:-1], strengths[1:-1], strict=True):
        np.testing.assert_array_equal(blended, postprocess(x, anime.copy(), strength=strength))


def test_depth(generator, stylizer, photo):
    x = photo(24, 20, channels=4)
    deep = stylizer.with_settings(dtype="uint16")(x)
    y = np.asarray(generator(x[None, ..., :3].astype(np.float32) / 127.5 - 1))[0]
    expected = np.clip(np.rint((y + 1) * 32767.5), 0, 65535)
    assert deep.dtype == np.uint16
    assert difference(deep[..., :3], expected) <= 257 * LEVEL
    np.testing.assert_array_equal(deep[..., 3], x[..., 3].astype(int) * 257)
    assert (deep[..., :3] % 257 != 0).mean() > 0.9  # not 8 bits, scaled
    # A photo of 16 bits keeps them by default.
    fine = np.clip(x[..., :3].astype(int) * 257 + 100, 0, 65535).astype(np.uint16)
    assert stylizer(fine).dtype == np.uint16
    assert not np.array_equal(stylizer(fine), stylizer(x[..., :3].astype(np.uint16) * 257))
    assert stylizer.with_settings(dtype="uint8")(fine).dtype == np.uint8
    np.testing.assert_array_equal(stylizer.with_settings(strength=0)(fine), fine)
    floats = stylizer.with_settings(dtype="float32")(x[..., :3])
    np.testing.assert_allclose(floats, deep[..., :3] / 65535, atol=1 / 65535)


def test_keep_color(stylizer, photo):
    x = photo(24, 20)
    np.testing.assert_array_equal(
        stylizer.with_settings(keep_color=True)(x), postprocess(x, stylizer(x), keep_color=True)
    )


def test_strength_zero_is_the_photo_with_any_settings(stylizer, photo):
    x = photo(18, 18, channels=4)
    y = stylizer.with_settings(strength=0, match_brightness=True)(x)
    np.testing.assert_array_equal(y, x)


def test_match_brightness(stylizer, photo):
    x = np.stack([photo(32, 32, seed=i) for i in range(2)]) // 4
    plain, matched = stylizer(x), stylizer.with_settings(match_brightness=True)(x)
    for one, before, after in zip(x, plain, matched, strict=True):
        np.testing.assert_array_equal(after, match_brightness(one, before))
    # Truncation and clipping move the mean a little.
    assert abs(luma(matched[0]) - luma(x[0])) < 3
    assert abs(luma(plain[0]) - luma(x[0])) > 10


def test_max_side_shrinks_before_the_network(stylizer, photo):
    small = stylizer.with_settings(max_side=20)
    x = photo(30, 40, channels=4)
    y = small(x)
    assert y.shape == (15, 20, 4)
    reduced = pictures.limit_side(pictures.as_picture(x), 20)
    np.testing.assert_array_equal(y, stylizer(reduced.array_u8))
    assert small(photo(20, 12)).shape == (20, 12, 3)
    assert small(np.stack([photo(40, 10)] * 2)).shape == (2, 20, 5, 3)


def too_much(pictures_pm1):
    """Fails as a network without enough memory; TensorFlow would retry for ten seconds."""

    def run(x):
        raise tf.errors.ResourceExhaustedError(None, None, f"OOM when allocating {x.shape}\nHint:")

    return run_graph(run, pictures_pm1)


def test_too_little_memory_is_one_line_with_a_remedy(stylizer, photo):
    other = stylizer.with_settings()
    other._engine = too_much
    with pytest.raises(MemoryError) as failure:
        other(photo(10, 14))
    assert str(failure.value) == (
        "not enough memory to stylize 14x10 pixels at once; stylize in tiles (--tile=640) or limit "
        "the size (--max_side)"
    )
    other._freezer = None
    with pytest.raises(MemoryError, match=r"2 x 14x10 pixels at once; limit the size \(--max"):
        other(np.stack([photo(10, 14)] * 2))
    assert out_of_memory_message((1, 10, 14, 3), 320, True).endswith(
        "in tiles of 320; use smaller tiles (--tile) or limit the size (--max_side)"
    )


def test_threads_share_one_stylizer(archive, photo):
    fresh = Stylizer(archive)
    photos = [photo(16 + 4 * i, 32 - 4 * i, seed=i) for i in range(5)]
    with ThreadPoolExecutor(5) as pool:
        together = list(pool.map(fresh, photos))
    for x, y in zip(photos, together, strict=True):
        np.testing.assert_array_equal(y, fresh(x))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (
            np.zeros((8, 8, 3), np.float32),
            "expected uint8 pixels in 0..255, or uint16, got float32",
        ),
        (np.zeros((8, 8), np.uint8), r"got an array of shape \(8, 8\)"),
        (np.zeros((8, 8, 1), np.uint8), r"got an array of shape \(8, 8, 1\)"),
        (np.zeros((2, 8, 8, 4), np.uint8), r"batch \(n, height, width, 3\), .*\(2, 8, 8, 4\)"),
        (np.zeros((0, 8, 3), np.uint8), "at least 1x1"),
    ],
)
def test_wrong_arrays(stylizer, array, words):
    with pytest.raises(ValueError, match=words):
        stylizer(array)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strength": -0.1}, "strength: expected a number from 0 to 1, got -0.1"),
        ({"strength": 1.1}, "strength: expected a number from 0 to 1"),
        ({"strength": float("nan")}, "strength: expected a number from 0 to 1, got nan"),
        ({"max_side": -1}, "max_side: expected an integer of at least 0, got -1"),
        ({"dtype": "int8"}, "dtype: expected one of uint8, uint16, float32"),
        ({"engine": "magic"}, "engine: expected one of auto, keras"),
    ],
)
def test_wrong_options(archive, stylizer, options, words):
    with pytest.raises(ValueError, match=words):
        Stylizer(archive, **options)
    if "engine" not in options:
        with pytest.raises(ValueError, match=words):
            stylizer.with_settings(**options)


def test_other_settings(stylizer, photo):
    """The new stylizer shares the network; the original is unchanged."""
    x = photo(20, 30)
    half = stylizer.with_settings(strength=0.5, max_side=24)
    deep = half.with_settings(dtype="uint16", tile=64)
    assert deep.config == half.config.replace(dtype="uint16", tile=64)
    assert (half.config.strength, half.config.max_side, half.config.tile) == (0.5, 24, "auto")
    assert (stylizer.config.strength, stylizer.config.max_side) == (1.0, 0)
    np.testing.assert_array_equal(half(x), Stylizer(stylizer._path, strength=0.5, max_side=24)(x))
    assert deep._engine is half._engine is stylizer._engine
    with pytest.raises(ValueError, match="engine: expected a setting of the pictures"):
        stylizer.with_settings(engine="openvino")


def test_missing_weights():
    with pytest.raises(FileNotFoundError, match="no such weights"):
        Stylizer("none.keras")


def test_a_photo_in_place_of_weights(photo):
    for wrong in (photo, "me.jpg"):
        with pytest.raises(ValueError, match=r'Stylizer\("cel"\)'):
            Stylizer(wrong)


def test_averaged_statistics_of_frames(stylizer, photo):
    small = stylizer.with_settings(max_side=32, strength=0.5, match_brightness=True)
    first, second = photo(40, 48), photo(40, 48, seed=1)
    anime, held = small.stylize_ema(first, None, 0.3)
    np.testing.assert_array_equal(anime, small(first))  # the first frame
    anime, used = small.stylize_ema(second, held, 1.0)
    np.testing.assert_array_equal(anime, small(second))
    assert not np.array_equal(used, held)
    anime, used = small.stylize_ema(second, held, 0.0)
    np.testing.assert_array_equal(used, held)
    assert difference(anime, small(second)) > LEVEL
    anime, used = small.stylize_ema(second, held, 0.0, tolerance=0.0)
    np.testing.assert_array_equal(anime, small(second))
    anime, used = stylizer.with_settings(strength=0.0).stylize_ema(second, held, 0.5)
    np.testing.assert_array_equal(anime, second)
    assert used is held


def test_measured_statistics_stand_for_other_photos(stylizer, photo):
    small = stylizer.with_settings(max_side=32, keep_color=True)
    first, second = photo(40, 48), photo(40, 48, seed=1)
    own, others = small.measure_statistics(second), small.measure_statistics(first)
    np.testing.assert_array_equal(own, small.stylize_ema(second, None, 1.0)[1])
    anime, used = small.stylize_ema(second, None, 0.3, measured=own)
    np.testing.assert_array_equal(used, own)
    assert difference(anime, small(second)) <= LEVEL
    anime, used = small.stylize_ema(second, own, 1.0, measured=others)
    np.testing.assert_array_equal(used, others)
    assert difference(anime, small.stylize_ema(second, others, 0.0)[0]) <= LEVEL
    assert difference(anime, small(second)) > LEVEL
    _, used = small.stylize_ema(second, own, 0.25, measured=others)
    np.testing.assert_allclose(used, 0.75 * own + 0.25 * others, rtol=1e-5, atol=FEW_ROUNDINGS)
    _, used = small.stylize_ema(second, own, 0.25, tolerance=0.0, measured=others)
    np.testing.assert_allclose(used, others, rtol=1e-5, atol=FEW_ROUNDINGS)


def test_averaged_statistics_need_a_frame_and_a_momentum(stylizer, photo):
    assert stylizer.supports_ema
    with pytest.raises(ValueError, match=r"expected a frame \(height, width, 3\), got \(8, 8, 4"):
        stylizer.stylize_ema(photo(8, 8, channels=4), None, 1.0)
    with pytest.raises(ValueError, match="momentum: expected a number from 0 to 1, got 1.5"):
        stylizer.stylize_ema(photo(8, 8), None, 1.5)
    with pytest.raises(ValueError, match="tolerance: expected a number of at least 0, got -1"):
        stylizer.stylize_ema(photo(8, 8), None, 1.0, tolerance=-1)
