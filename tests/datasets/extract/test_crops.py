import numpy as np
import pytest

from anime_tf.datasets.extract.crops import cut, make_generator, overlap, windows


def laid(size_hw, side, count, mode, seed=0):
    return list(windows(size_hw, side, count, mode, make_generator(seed, "film", 7)))


def test_grid_fills_the_picture_from_edge_to_edge():
    boxes = sorted(laid((20, 33), 10, 99, "grid"))
    lefts = (0, 12, 23)  # two gaps of 1.5 pixels
    assert boxes == [(top, left, 10, 10) for top in (0, 10) for left in lefts]
    assert laid((10, 10), 10, 5, "grid") == [(0, 0, 10, 10)]
    assert laid((19, 10), 10, 5, "grid") == [(4, 0, 10, 10)]  # one window stands in the middle


def test_random_windows_depend_on_seed_video_and_frame():
    boxes = laid((40, 60), 10, 4, "random")
    assert len(boxes) == 32
    assert all(0 <= top <= 30 and 0 <= left <= 50 for top, left, _, _ in boxes)
    assert boxes == laid((40, 60), 10, 4, "random")
    assert boxes != laid((40, 60), 10, 4, "random", seed=1)
    other_film = list(windows((40, 60), 10, 4, "random", make_generator(0, "other", 7)))
    other_frame = list(windows((40, 60), 10, 4, "random", make_generator(0, "film", 8)))
    assert boxes != other_film
    assert boxes != other_frame


@pytest.mark.parametrize("mode", ["random", "grid"])
def test_pictures_too_small_for_a_window(mode):
    assert laid((9, 100), 10, 3, mode) == []


def test_overlap():
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == 0.5
    assert overlap((0, 0, 10, 10), (5, 5, 10, 10)) == 0.25
    assert overlap((0, 0, 10, 10), (10, 0, 10, 10)) == 0
    assert overlap((0, 0, 10, 10), (2, 2, 4, 4)) == 1


def test_cut():
    picture = np.arange(5 * 6 * 3).reshape(5, 6, 3)
    np.testing.assert_array_equal(cut(picture, (1, 2, 3, 4)), picture[1:4, 2:6])
