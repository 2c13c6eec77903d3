import cv2
import numpy as np
import pytest
from video_scenes import blurred, scene

from anime_tf.datasets.extract.quality import (
    BLURRED,
    NEAR_BLACK,
    NEAR_BLANK,
    QualityLimits,
    gray_at,
    measure,
)


def test_luma_and_contrast_by_hand():
    halves = np.zeros((256, 300, 3), np.uint8)
    halves[:, 150:] = 200
    quality = measure(halves)
    assert (quality.luma, quality.contrast) == (100, 100)
    # the Laplacian is +200 and -200 in one column each, 0 in the other 298
    assert quality.sharpness == pytest.approx(2 * 200**2 / 300)


def test_luma_weights():
    assert measure(np.full((9, 9, 3), (255, 0, 0), np.uint8)).luma == 76  # 0.299 * 255


def test_sharpness_does_not_depend_on_the_size():
    small = scene(0, 256, 320)
    large = cv2.resize(small, (960, 768), interpolation=cv2.INTER_NEAREST)
    assert measure(large).sharpness == pytest.approx(measure(small).sharpness)
    assert gray_at(large, 256).shape == (256, 320)
    assert gray_at(np.zeros((3, 500, 3), np.uint8), 4).shape == (3, 500)  # nothing is enlarged


@pytest.mark.parametrize(
    ("picture", "fault"),
    [
        (scene(1), None),
        (scene(1) // 20, NEAR_BLACK),
        (np.full((64, 64, 3), 230, np.uint8), NEAR_BLANK),
        (120 + scene(1) // 20, NEAR_BLANK),
        (blurred(scene(1, 256, 320)), BLURRED),
    ],
)
def test_faults(picture, fault):
    assert QualityLimits().fault(measure(picture)) == fault
    assert QualityLimits(0, 0, 0).fault(measure(picture)) is None


def test_limits_are_checked():
    with pytest.raises(ValueError, match="contrast: expected a number of at least 0, got -1"):
        QualityLimits(contrast=-1)
