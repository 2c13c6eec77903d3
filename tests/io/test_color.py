from pathlib import Path

import numpy as np
import pytest
from picture_files import noise

from anime_tf.io.color import luma, match_brightness

GOLDEN = Path(__file__).parents[1] / "golden"


def test_luma_by_hand():
    assert luma(np.array([[[100, 50, 200]]])) == pytest.approx(29.9 + 29.35 + 22.8)


def test_brightness_equals_the_originals():
    golden = np.load(GOLDEN / "brightness.npz")
    np.testing.assert_array_equal(
        match_brightness(golden["photo_rgb"], golden["stylized_rgb"]), golden["adjusted_rgb"]
    )


def test_brightness_of_black_stays_black():
    black = np.zeros((4, 4, 3), np.uint8)
    np.testing.assert_array_equal(match_brightness(noise(4, 4), black), black)
