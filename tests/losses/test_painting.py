import numpy as np
import pytest
from tolerances import FEW_ROUNDINGS

from anime_tf.losses import painting


def pictures(shape=(2, 16, 16, 3), seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def ramp(step=0.1, side=16):
    """Pictures whose values grow by `step` a column."""
    row = step * np.arange(side, dtype=np.float32)
    return np.broadcast_to(row[None, None, :, None], (1, side, side, 3)).copy()


@pytest.mark.parametrize(
    "loss",
    [painting.yuv_loss, painting.multi_scale_gradient_loss, painting.gradient_magnitude_loss],
)
def test_equal_pictures_have_no_distance(loss):
    assert float(loss(pictures(), pictures())) == 0


def test_yuv_loss_of_grays_is_their_difference():
    gray, lighter = np.zeros((1, 8, 8, 3), np.float32), np.full((1, 8, 8, 3), 0.25, np.float32)
    np.testing.assert_allclose(
        painting.yuv_loss(gray, lighter, 5.0), 0.25, atol=1e-4
    )  # YUV has 3 digits


def test_chroma_weight():
    red = np.zeros((1, 4, 4, 3), np.float32)
    red[..., 0] = 1
    gray = np.zeros_like(red)
    single, double = (float(painting.yuv_loss(red, gray, weight)) for weight in (1.0, 2.0))
    # Red is 0.299 in Y, -0.147 in U and 0.615 in V.
    np.testing.assert_allclose(single, 0.299 + 0.147 + 0.615, atol=1e-3)  # 3 digits
    np.testing.assert_allclose(double - single, 0.147 + 0.615, atol=1e-3)


def test_multi_scale_gradients_by_hand():
    # A ramp against flat: 0.1 a pixel, 0.2 at half, 0.4 at a quarter of the size.
    flat = np.zeros((1, 16, 16, 3), np.float32)
    result = painting.multi_scale_gradient_loss(ramp(), flat)
    # Ten times a rounding: the values are ten times their differences.
    np.testing.assert_allclose(result, (0.1 + 0.2 + 0.4) / 3, rtol=10 * FEW_ROUNDINGS)


def test_flat_area_loss_counts_only_where_the_target_is_flat():
    target = ramp(0.1)
    target[:, :, :8] = 0
    result = painting.flat_area_loss(ramp(0.05), target)
    # 7 of 15 columns are flat, the eighth has the border.
    np.testing.assert_allclose(result, 0.05 * 7 / 15, rtol=0.02)  # epsilon in the root


def test_magnitudes_do_not_ask_for_the_direction():
    x = ramp()
    assert float(painting.gradient_magnitude_loss(x, -x)) < 1e-6
    assert float(painting.multi_scale_gradient_loss(x, -x)) > 0.1


def test_feature_loss_is_relative():
    target = [np.full((1, 2, 2, 4), 2.0, np.float32), np.full((1, 1, 1, 8), 20.0, np.float32)]
    generated = [1.5 * x for x in target]
    np.testing.assert_allclose(
        painting.feature_loss(generated, target), 0.5, rtol=1e-3
    )  # epsilon in the divisor


def test_shift_consistency_of_a_translation():
    x = pictures((1, 20, 24, 3))
    window = x[:, :16, :16]
    assert float(painting.shift_consistency_loss(window, x[:, 2:18, 3:19], 2, 3)) == 0
    assert float(painting.shift_consistency_loss(window, x[:, 1:17, 3:19], 2, 3)) > 0.1
