import numpy as np
import pytest

pytest.importorskip("numba", reason="the painter needs numba")

from recipes.painter.paint import paint
from recipes.painter.style import CEL, GOUACHE


def landscape():
    """Sky, a hill, a face-colored square; with noise."""
    photo = np.full((96, 128, 3), (115, 165, 230), np.float32)
    photo[56:] = (80, 110, 60)
    photo[40:70, 50:80] = (224, 172, 140)
    photo += np.random.default_rng(0).normal(0, 6, photo.shape)
    return photo.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("style", [GOUACHE, CEL])
def test_paintings_are_flat_and_keep_their_borders(style):
    photo = landscape()
    painted = paint(photo, style)
    assert painted.shape == photo.shape
    assert painted.dtype == np.uint8

    def roughness(picture):
        return np.abs(np.diff(picture[5:35, 5:40].astype(float), axis=1)).mean()

    assert roughness(painted) < 0.2 * roughness(photo)
    border = painted[50:62, 20].astype(float).mean(axis=-1)
    assert np.abs(np.diff(border)).max() > 10


def test_cel_has_ink_where_gouache_has_less():
    photo = landscape()
    assert paint(photo, CEL)[54:59, 10:40].min() < paint(photo, GOUACHE)[54:59, 10:40].min()


def test_the_same_again():
    np.testing.assert_array_equal(paint(landscape(), CEL), paint(landscape(), CEL))


def test_black_white_and_tiny_pictures():
    for level in (0, 255):
        assert paint(np.full((20, 30, 3), level, np.uint8), CEL).shape == (20, 30, 3)


def test_a_speck_of_skin_without_a_face():
    photo = np.full((96, 96, 3), (60, 90, 120), np.uint8)
    photo[40:43, 40:43] = (225, 170, 140)
    assert paint(photo, CEL).shape == photo.shape
