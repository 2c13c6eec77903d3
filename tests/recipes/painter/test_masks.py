import numpy as np
import pytest

pytest.importorskip("numba", reason="the painter needs numba")

from recipes.painter import masks
from recipes.painter.color import to_oklab

SKIN = np.array((0.88, 0.67, 0.55), np.float32)
SKY = np.array((0.45, 0.65, 0.90), np.float32)
GRAY = np.array((0.40, 0.40, 0.40), np.float32)


def scene(color, rows=slice(0, 40), height=120, width=160):
    """Gray, with a patch of a color in columns 40 to 120."""
    picture = np.full((height, width, 3), GRAY, np.float32)
    picture[rows, 40:120] = color
    return to_oklab(picture)


def test_skin_is_found_and_gray_is_not():
    mask = masks.skin_mask(scene(SKIN))
    assert mask[20, 80] > 0.9
    assert mask[100, 80] < 0.05


def test_a_picture_full_of_skin_colors_is_sand():
    assert masks.skin_mask(to_oklab(np.full((60, 60, 3), SKIN, np.float32))).max() < 0.1


def test_the_grain_of_wood_is_no_skin():
    grain = 1 + 0.15 * np.sin(np.arange(160) * 0.9)[None, :, None]
    wood = np.full((120, 160, 3), GRAY, np.float32)
    wood[20:100, 40:120] = (SKIN * grain[:, 40:120]).astype(np.float32)
    assert masks.skin_mask(to_oklab(wood))[60, 80] < 0.5


def test_the_face_is_wider_than_its_skin():
    skin = masks.skin_mask(scene(SKIN, slice(40, 80)))
    assert masks.face_mask(skin)[85, 80] > skin[85, 80]


def test_sky_at_the_top_and_blue_glass_below():
    assert masks.sky_mask(scene(SKY))[10, 80] > 0.9
    assert masks.sky_mask(scene(SKY, slice(70, 100)))[85, 80] < 0.05


def test_leaves_are_foliage_letters_are_not():
    leaves = np.random.default_rng(0).random((100, 100), np.float32)
    assert masks.foliage_mask(leaves, leaves)[20:80, 20:80].mean() > 0.5
    letters = np.full((100, 100), 0.9, np.float32)
    letters[::20], letters[:, ::20] = 0.1, 0.1
    assert masks.foliage_mask(letters, letters)[20:80, 20:80].mean() < 0.2
    assert masks.detail_mask(letters)[20:80, 20:80].mean() > 0.2


def test_focus():
    columns = np.arange(120, dtype=np.float32)
    sharp = np.repeat((columns > 60)[None].astype(np.float32), 60, 0)
    blurred = np.repeat(1 / (1 + np.exp(-(columns - 60) / 6))[None], 60, 0).astype(np.float32)
    assert masks.focus_mask(sharp)[30, 60] > 0.9
    assert masks.focus_mask(blurred)[30, 60] < 0.3
    assert masks.focus_mask(np.full((60, 60), 0.5, np.float32)).min() > 0.99
