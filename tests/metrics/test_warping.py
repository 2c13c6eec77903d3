"""Optical flow and the warping error on textures with known motion."""

import json

import cv2
import numpy as np
import pytest
from moving_textures import texture, window

from anime_tf.cli import app, evaluate
from anime_tf.io.pictures import write_picture
from anime_tf.metrics.warping import (
    FlowEstimator,
    WarpingError,
    forward_backward_error,
    visible,
    warp,
)

RESAMPLED = 2.0  # levels: an upper bound of linear interpolation's error on a smooth texture
FLOW_ERROR = 0.1  # pixels: mean error of DIS on a texture
LEVEL = 1.0  # of 255


def gray(picture):
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def test_warp_by_hand():
    flow = np.zeros((3, 4, 2), np.float32)
    flow[..., 0] = 0.5
    ramp = np.tile(np.float32([0, 10, 20, 30]), (3, 1)) + np.float32([[0], [100], [200]])
    moved = warp(ramp, flow)
    expected = np.tile(np.float32([5, 15, 25, 30]), (3, 1)) + np.float32([[0], [100], [200]])
    np.testing.assert_allclose(moved, expected, atol=1e-4)
    flow[...] = (0, 1)
    np.testing.assert_array_equal(warp(ramp, flow), ramp[[1, 2, 2]])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_warp_a_large_color_picture(dtype):
    """OpenCV has other code paths for many pixels and three channels."""
    picture = texture(480, 270).astype(dtype)
    y, x = np.mgrid[:480, :270].astype(np.float32)
    flow = np.stack([np.sin(y / 40) * 9, np.cos(x / 30) * 7], axis=-1)
    points = np.clip(np.stack([x, y], -1) + flow, 0, [269, 479])
    low = np.minimum(points.astype(int), [268, 478])
    part = points - low
    (left, top), (a, b) = np.moveaxis(low, -1, 0), np.moveaxis(part[..., None], 2, 0)
    rows = [picture[top + i, left] * (1 - a) + picture[top + i, left + 1] * a for i in (0, 1)]
    expected = rows[0] * (1 - b) + rows[1] * b
    assert np.abs(warp(picture, flow) - expected).max() <= LEVEL


def test_forward_backward_check():
    flow = np.zeros((4, 6, 2), np.float32)
    flow[..., 0] = 2
    back = -flow
    error, lengths = forward_backward_error(flow, back)
    np.testing.assert_array_equal(error[:, :4], 0)
    assert np.isinf(error[:, 4:]).all(), "the last two columns leave the picture"
    np.testing.assert_array_equal(lengths, 8)
    mask = [[True] * 4 + [False] * 2] * 4
    np.testing.assert_array_equal(visible(flow, back), mask)
    back[1, 3] = (-1.2, 0)  # misses by 0.8: 0.64 against 0.5 + 0.01 (4 + 1.44)
    mask[1] = [True, False, True, True, False, False]
    np.testing.assert_array_equal(visible(flow, back), mask)


@pytest.mark.parametrize("preset", [0, 1, 2])
def test_the_estimator_finds_a_translation(preset):
    picture = texture()
    one, other = window(picture, 20, 12), window(picture, 17.5, 10)
    flow = FlowEstimator(preset)(gray(one), gray(other))
    assert (flow.shape, flow.dtype) == ((64, 80, 2), np.float32)
    inner = flow[8:-8, 8:-8]
    assert np.abs(inner - [2.5, 2]).mean() < FLOW_ERROR
    assert np.abs(warp(other, flow)[8:-8, 8:-8].astype(int) - one[8:-8, 8:-8]).mean() < RESAMPLED


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (7, 11), (12, 200), (63, 65)])
def test_the_estimator_accepts_every_size(size):
    picture = gray(texture(*size))
    for finest in (None, 0):
        flow = FlowEstimator(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, finest)(picture, picture)
        assert flow.shape == (*size, 2)
        assert np.abs(flow).max() < FLOW_ERROR, "nothing moves"


def videos(count=5):
    """Moving photos and three videos of them: stable, flickering by 20 levels, and black."""
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
    for photo, made, seconds in videos():
        error.add(photo, made, seconds)
    results = error.results()
    assert {result.pairs for result in results.values()} == {4}
    assert results["black"].square == results["black"].absolute == 0
    assert results["photo"].absolute < RESAMPLED
    assert results["steady"].absolute == pytest.approx(results["photo"].absolute, abs=0.05)
    assert results["flicker"].absolute == pytest.approx(20, abs=RESAMPLED)
    assert results["flicker"].square == pytest.approx((20 / 255) ** 2, rel=0.2)


def test_cuts_are_excluded():
    error = WarpingError()
    shots = [np.full((64, 80, 3), 40, np.uint8), texture(64, 80)]
    for i, photo in enumerate([shots[0], shots[0], shots[1], shots[1]]):
        error.add(photo, {"photo": photo}, i / 25)
    assert error.results()["photo"].pairs == 2
    assert error.results()["photo"].absolute == 0


def test_videos_of_another_size_than_the_photos():
    error = WarpingError()
    for photo, _, seconds in videos():
        error.add(photo, {"small": cv2.resize(photo, (40, 32))}, seconds)
    assert error.results()["small"].absolute < 2 * RESAMPLED, "details are smaller too"


def test_videos_must_have_one_size_and_fixed_names():
    photo = texture(32, 32)
    error = WarpingError()
    with pytest.raises(ValueError, match=r"all of one size, got a \(32, 32, 3\), b \(16, 16"):
        error.add(photo, {"a": photo, "b": photo[:16, :16]}, 0)
    error.add(photo, {"a": photo}, 0)
    with pytest.raises(ValueError, match="expected a frame of each video"):
        error.add(photo, {"b": photo}, 0.04)
    assert WarpingError().results() == {}


def test_evaluate_measures_a_video(tmp_path, capsys):
    frames = list(videos())
    for name in ("photo", "flicker"):
        (tmp_path / name).mkdir()
        for i, (_, made, _) in enumerate(frames):
            write_picture(tmp_path / name / f"{i}.png", made[name])
    source, flicker = f"{tmp_path / 'photo'}", f"{tmp_path / 'flicker'}"
    arguments = [f"--video={source}", f"--results={source},{flicker}"]
    assert app.run(evaluate.COMMAND, [*arguments, f"--json={tmp_path / 'a.json'}"]) == 0
    same, worse = json.loads((tmp_path / "a.json").read_text())
    assert same["ratio"] == 1
    assert same["pairs"] == worse["pairs"] == 4
    assert worse["absolute"] == pytest.approx(20, abs=RESAMPLED)
    assert worse["ratio"] == pytest.approx(worse["e_warp"] / same["e_warp"])
    assert f"{worse['ratio']:.2f}" in capsys.readouterr().out

    (tmp_path / "flicker" / "4.png").unlink()
    assert app.run(evaluate.COMMAND, arguments) == 2
    assert "as many frames as --results, got 5 in" in capsys.readouterr().err
    assert app.run(evaluate.COMMAND, [*arguments, "--style=a"]) == 2
    assert "expected videos as --results with --video" in capsys.readouterr().err
