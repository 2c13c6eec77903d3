"""Movement and the warping error, on textures that move by hand."""

import cv2
import numpy as np
import pytest
from moving_textures import texture, window

from anime_tf.metrics.warping import FlowEstimator, WarpingError, miss_squared, visible, warped

RESAMPLED = 2.0  # levels: the texture is smooth, and linear interpolation of it errs by less
FOUND = 0.1  # pixels: what DIS finds of a texture's movement, on average
LEVEL = 1.0  # of 255


def gray(picture):
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def test_a_picture_moves_by_its_flow():
    flow = np.zeros((3, 4, 2), np.float32)
    flow[..., 0] = 0.5
    ramp = np.tile(np.float32([0, 10, 20, 30]), (3, 1)) + np.float32([[0], [100], [200]])
    moved = warped(ramp, flow)
    expected = np.tile(np.float32([5, 15, 25, 30]), (3, 1)) + np.float32([[0], [100], [200]])
    np.testing.assert_allclose(moved, expected, atol=1e-4)
    flow[...] = (0, 1)
    np.testing.assert_array_equal(warped(ramp, flow), ramp[[1, 2, 2]])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_large_picture_in_colour_moves_by_its_flow(dtype):
    """OpenCV takes other ways for many pixels, three channels and movements of all kinds."""
    picture = texture(480, 270).astype(dtype)
    y, x = np.mgrid[:480, :270].astype(np.float32)
    flow = np.stack([np.sin(y / 40) * 9, np.cos(x / 30) * 7], axis=-1)
    places = np.clip(np.stack([x, y], -1) + flow, 0, [269, 479])
    low = np.minimum(places.astype(int), [268, 478])
    part = places - low
    (left, top), (a, b) = np.moveaxis(low, -1, 0), np.moveaxis(part[..., None], 2, 0)
    rows = [picture[top + i, left] * (1 - a) + picture[top + i, left + 1] * a for i in (0, 1)]
    expected = rows[0] * (1 - b) + rows[1] * b
    assert np.abs(warped(picture, flow) - expected).max() <= LEVEL


def test_the_way_there_and_back():
    flow = np.zeros((4, 6, 2), np.float32)
    flow[..., 0] = 2
    back = -flow
    miss, lengths = miss_squared(flow, back)
    np.testing.assert_array_equal(miss[:, :4], 0)
    assert np.isinf(miss[:, 4:]).all(), "the last two columns leave the picture"
    np.testing.assert_array_equal(lengths, 8)
    seen = [[True] * 4 + [False] * 2] * 4
    np.testing.assert_array_equal(visible(flow, back), seen)
    back[1, 3] = (-1.2, 0)  # misses by 0.8: 0.64 against 0.5 + 0.01 (4 + 1.44)
    seen[1] = [True, False, True, True, False, False]
    np.testing.assert_array_equal(visible(flow, back), seen)


@pytest.mark.parametrize("preset", [0, 1, 2])
def test_the_estimator_finds_a_translation(preset):
    picture = texture()
    one, other = window(picture, 20, 12), window(picture, 17.5, 10)
    flow = FlowEstimator(preset)(gray(one), gray(other))
    assert (flow.shape, flow.dtype) == ((64, 80, 2), np.float32)
    inner = flow[8:-8, 8:-8]
    assert np.abs(inner - [2.5, 2]).mean() < FOUND
    assert np.abs(warped(other, flow)[8:-8, 8:-8].astype(int) - one[8:-8, 8:-8]).mean() < RESAMPLED


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (7, 11), (12, 200), (63, 65)])
def test_the_estimator_takes_every_size(size):
    picture = gray(texture(*size))
    for finest in (None, 0):
        flow = FlowEstimator(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, finest)(picture, picture)
        assert flow.shape == (*size, 2)
        assert np.abs(flow).max() < FOUND, "nothing moves"


def films(count=5):
    """Photos that move, and three films of them: steady, by 20 levels up and down, and black."""
    picture = texture(80, 160)
    for i in range(count):
        photo = window(picture, 10 + 2 * i, 4 + i)
        flicker = np.clip(photo.astype(int) + 10 * (-1) ** i, 0, 255)
        yield (
            photo,
            {
                "photo": photo,
                "steady": 255 - photo,
                "flicker": flicker.astype(np.uint8),
                "black": np.zeros_like(photo),
            },
            i / 25,
        )


def test_the_warping_error():
    error = WarpingError()
    for photo, made, seconds in films():
        error.add(photo, made, seconds)
    figures = error.figures()
    assert {figure.pairs for figure in figures.values()} == {4}
    assert figures["black"].square == figures["black"].absolute == 0
    assert figures["photo"].absolute < RESAMPLED
    assert figures["steady"].absolute == pytest.approx(figures["photo"].absolute, abs=0.05)
    assert figures["flicker"].absolute == pytest.approx(20, abs=RESAMPLED)
    assert figures["flicker"].square == pytest.approx((20 / 255) ** 2, rel=0.2)


def test_a_cut_is_no_error():
    error = WarpingError()
    shots = [np.full((64, 80, 3), 40, np.uint8), texture(64, 80)]
    for i, photo in enumerate([shots[0], shots[0], shots[1], shots[1]]):
        error.add(photo, {"photo": photo}, i / 25)
    assert error.figures()["photo"].pairs == 2
    assert error.figures()["photo"].absolute == 0


def test_films_of_another_size_than_the_photos():
    error = WarpingError()
    for photo, _, seconds in films():
        error.add(photo, {"small": cv2.resize(photo, (40, 32))}, seconds)
    assert error.figures()["small"].absolute < 2 * RESAMPLED, "details are smaller too"


def test_films_must_be_of_one_size_and_the_same():
    photo = texture(32, 32)
    error = WarpingError()
    with pytest.raises(ValueError, match=r"all of one size, received a \(32, 32, 3\), b \(16, 16"):
        error.add(photo, {"a": photo, "b": photo[:16, :16]}, 0)
    error.add(photo, {"a": photo}, 0)
    with pytest.raises(ValueError, match="expected a frame of each film"):
        error.add(photo, {"b": photo}, 0.04)
    assert WarpingError().figures() == {}
