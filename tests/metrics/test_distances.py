import numpy as np
import pytest

from anime_tf.metrics.distances import (
    cubic_kernel,
    frechet_distance,
    gaussian_kernel,
    kernel_distance,
)

ROUNDING = 1e-9


def test_frechet_distance_by_hand():
    # Means 0 and (3, 4), covariances diag(4, 2 / 3) and its double:
    # 25 + trace(A + 2 A - 2 sqrt(2) A) = 25 + (3 - 2 sqrt(2)) trace(A).
    square = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * np.sqrt([3.0, 0.5])
    other = square * np.sqrt(2) + [3, 4]
    trace = 4 + 2 / 3
    expected = 25 + (3 - 2 * np.sqrt(2)) * trace
    assert frechet_distance(square, other) == pytest.approx(expected, rel=ROUNDING)
    assert frechet_distance(square, square) == pytest.approx(0, abs=ROUNDING)


def test_kernel_distance_by_hand():
    x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [2.0]])
    # k(0, 1) = 1; k(2, 2) = 5^3; k(0, 2) = 1, k(1, 2) = 3^3
    assert kernel_distance(x, y, cubic_kernel) == pytest.approx(
        1 + 125 - 2 * (1 + 27) / 2, rel=ROUNDING
    )
    near, far = np.exp(-0.5), np.exp(-2)
    expected = near + 1 - 2 * (far + near) / 2
    assert kernel_distance(x, y, gaussian_kernel) == pytest.approx(expected, rel=ROUNDING)


def test_kernel_distance_of_one_distribution_is_zero_on_average():
    random = np.random.default_rng(0)
    distances = [
        kernel_distance(random.normal(size=(20, 3)), random.normal(size=(30, 3)), gaussian_kernel)
        for _ in range(200)
    ]
    # Four standard errors.
    assert abs(np.mean(distances)) < 4 * np.std(distances) / np.sqrt(200)
    assert min(distances) < 0


@pytest.mark.parametrize("shape", [(1, 3), (4, 2), (4,)])
def test_sets_of_wrong_shapes(shape):
    with pytest.raises(ValueError, match="of one length, got shapes"):
        frechet_distance(np.zeros((4, 3)), np.zeros(shape))
