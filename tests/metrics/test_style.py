import cv2
import numpy as np
import pytest

from anime_tf.metrics.style import SIDE, content_metrics, style_metrics, to_lab


def style_of(picture_u8):
    return style_metrics(to_lab(picture_u8))


def content_of(photo_u8, result_u8):
    return content_metrics(to_lab(photo_u8), to_lab(result_u8))


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


def test_one_color_is_flat_and_has_no_edges():
    style = style_of(np.full((70, 90, 3), 128, np.uint8))
    assert (style.flat, style.sharpness, style.colors) == (1, 0, 1)
    content = content_of(np.full((70, 90, 3), 128, np.uint8), np.full((70, 90, 3), 128, np.uint8))
    assert content.structure == pytest.approx(1) and content.edges == 1


def test_sharpness_of_a_step():
    step = np.zeros((64, 64, 3), np.uint8)
    step[:, 32:] = 255
    style = style_of(step)
    assert style.colors == 2
    # 5x5 windows see the step from 2 pixels on either side: 4 of 64 columns.
    assert style.flat == pytest.approx(60 / 64)
    # Sobel's central difference halves a step, which the factor 2 undoes; sigma 0.5 takes a little.
    assert 0.75 < style.sharpness <= 1.0
    assert style_of(blurred(step)).sharpness < 0.6 * style.sharpness


def test_drawings_are_flat_and_sharp_and_have_few_colors():
    drawing = style_of(boxes())
    assert drawing.flat > 0.5 > style_of(noisy(boxes())).flat
    assert drawing.sharpness > 1.3 * style_of(blurred(boxes())).sharpness
    assert drawing.colors < 30 < style_of(noisy(boxes())).colors


def test_content_of_a_result():
    photo = boxes()
    same = content_of(photo, photo)
    assert same.structure == pytest.approx(1) and same.edges == 1
    assert (same.lightness_shift, same.color_shift) == (0, 0)
    other = content_of(photo, boxes(seed=7))
    soft = content_of(photo, blurred(photo))
    assert other.structure < soft.structure < 1
    assert other.edges < soft.edges
    # Structure ignores contrast; Lab is slightly nonlinear.
    assert content_of(photo, photo // 2 + 60).structure > 0.9


def test_shifts_of_lightness_and_color():
    gray = np.full((64, 64, 3), 119, np.uint8)  # L = 50
    content = content_of(gray, np.full((64, 64, 3), 255, np.uint8))
    assert content.lightness_shift == pytest.approx(50, abs=0.3)
    assert content.color_shift == pytest.approx(0, abs=0.1)
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255  # a = 80.1, b = 67.2 in CIE Lab under D65
    assert content_of(gray, red).color_shift == pytest.approx(np.hypot(80.1, 67.2), abs=0.3)


def test_large_pictures_are_reduced():
    assert to_lab(np.full((SIDE, 600, 3), 119, np.uint8)).shape == (SIDE, 600, 3)
    lab = to_lab(np.full((2 * SIDE, 2000, 3), 119, np.uint8))
    assert lab.shape == (SIDE, 1000, 3)
    np.testing.assert_allclose(lab, np.broadcast_to([50, 0, 0], lab.shape), atol=0.3)
