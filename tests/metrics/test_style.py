import cv2
import numpy as np
import pytest

from anime_tf.metrics import style as look
from anime_tf.metrics.style import SIDE, lab_of


def look_of(picture_u8):
    return look.look_of(lab_of(picture_u8))


def kept_of(photo_u8, result_u8):
    return look.kept_of(lab_of(photo_u8), lab_of(result_u8))


def boxes(seed=0, side=128):
    """A drawing: flat boxes with hard edges."""
    random = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 200, np.uint8)
    for _ in range(12):
        top, left = random.integers(0, side - 20, 2)
        height, width = random.integers(16, 48, 2)
        picture[top : top + height, left : left + width] = random.integers(0, 256, 3)
    return picture


def noisy(picture, deviation=12.0):
    noise = np.random.default_rng(1).normal(0, deviation, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def blurred(picture, sigma=3.0):
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def test_one_colour_is_flat_and_has_no_edges():
    look = look_of(np.full((70, 90, 3), 128, np.uint8))
    assert (look.flat, look.sharpness, look.colours) == (1, 0, 1)
    kept = kept_of(np.full((70, 90, 3), 128, np.uint8), np.full((70, 90, 3), 128, np.uint8))
    assert kept.structure == pytest.approx(1) and kept.edges == 1


def test_a_step_is_nearly_all_between_two_pixels():
    step = np.zeros((64, 64, 3), np.uint8)
    step[:, 32:] = 255
    look = look_of(step)
    assert look.colours == 2
    # 5x5 windows see the step from 2 pixels on either side: 4 of 64 columns.
    assert look.flat == pytest.approx(60 / 64)
    # Sobel's central difference halves a step, which the factor 2 undoes; sigma 0.5 takes a little.
    assert 0.75 < look.sharpness <= 1.0
    assert look_of(blurred(step)).sharpness < 0.6 * look.sharpness


def test_drawings_are_flat_sharp_and_of_few_colours():
    drawing = look_of(boxes())
    assert drawing.flat > 0.5 > look_of(noisy(boxes())).flat
    assert drawing.sharpness > 1.3 * look_of(blurred(boxes())).sharpness
    assert drawing.colours < 30 < look_of(noisy(boxes())).colours


def test_what_a_result_keeps():
    photo = boxes()
    same = kept_of(photo, photo)
    assert same.structure == pytest.approx(1) and same.edges == 1
    assert (same.lightness_shift, same.colour_shift) == (0, 0)
    other = kept_of(photo, boxes(seed=7))
    soft = kept_of(photo, blurred(photo))
    assert other.structure < soft.structure < 1
    assert other.edges < soft.edges
    # Half the contrast is no change of structure; Lab's curve bends a little.
    assert kept_of(photo, photo // 2 + 60).structure > 0.9


def test_shifts_of_lightness_and_colour():
    gray = np.full((64, 64, 3), 119, np.uint8)  # L = 50
    kept = kept_of(gray, np.full((64, 64, 3), 255, np.uint8))
    assert kept.lightness_shift == pytest.approx(50, abs=0.3)
    assert kept.colour_shift == pytest.approx(0, abs=0.1)
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255  # a = 80.1, b = 67.2 in CIE Lab under D65
    assert kept_of(gray, red).colour_shift == pytest.approx(np.hypot(80.1, 67.2), abs=0.3)


def test_large_pictures_are_measured_smaller():
    assert lab_of(np.full((SIDE, 600, 3), 119, np.uint8)).shape == (SIDE, 600, 3)
    lab = lab_of(np.full((2 * SIDE, 2000, 3), 119, np.uint8))
    assert lab.shape == (SIDE, 1000, 3)
    np.testing.assert_allclose(lab, np.broadcast_to([50, 0, 0], lab.shape), atol=0.3)
