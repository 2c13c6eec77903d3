import numpy as np
import pytest
from golden_files import arrays, assert_close

from anime_tf.models.guided_filter import guided_filter

FLOAT32 = 4e-5  # a variance as a difference, over 0.2, of sums of 121


def reference(x, y, radius, epsilon):
    """The definition, pixel by pixel, in double precision."""

    def mean(t):
        result = np.empty_like(t)
        for i, j in np.ndindex(t.shape[:2]):
            top, left = max(i - radius, 0), max(j - radius, 0)
            result[i, j] = t[top : i + radius + 1, left : j + radius + 1].mean((0, 1))
        return result

    a = (mean(x * y) - mean(x) * mean(y)) / (mean(x * x) - mean(x) ** 2 + epsilon)
    return mean(a) * x + mean(mean(y) - a * mean(x))


def test_equals_the_original():
    golden = arrays("guided_filter")
    picture = golden["picture"].astype(np.float32)
    found = guided_filter(picture, picture, 5, 0.2)
    assert_close(found, golden["r5_eps0.2_self"], atol=FLOAT32)


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 0.005), (2, 0.01)])
def test_equals_the_definition(radius, epsilon):
    random = np.random.default_rng(1)
    guide, picture = random.uniform(-1, 1, (2, 7, 9, 3))
    found = guided_filter(guide[None], picture[None], radius, epsilon)
    assert_close(found[0], reference(guide, picture, radius, epsilon), atol=FLOAT32)


def test_keeps_edges_and_smooths_flat_parts():
    step = np.ones((1, 16, 16, 3))
    step[:, :, :8] = -1
    noisy = step + np.random.default_rng(2).normal(0, 0.1, step.shape)
    smooth = np.asarray(guided_filter(step, noisy, 2, 1e-4))
    assert np.abs(smooth - step).mean() < np.abs(noisy - step).mean() / 2
