"""Photos in other sizes and lights: what each scene is, and which a folder gives."""

from pathlib import Path

import numpy as np
import pytest

from anime_tf.io.pictures import read_picture, write_picture

pytest.importorskip("numba", reason="faces are found by the painter, which needs numba")

from recipes import scenes

SKIN = (224, 172, 140)


def portrait(height: int = 48, width: int = 64) -> np.ndarray:
    """Gray, with a square of skin from row 20 and column 36 on, uint8 RGB."""
    photo_u8 = np.full((height, width, 3), 110, np.uint8)
    photo_u8[20:44, 36:60] = SKIN
    return photo_u8


def test_half_size_stops_at_the_least_side() -> None:
    photo_u8 = portrait()
    assert scenes.half_size(photo_u8, 10).shape == (24, 32, 3)
    assert scenes.half_size(photo_u8, 36).shape == (36, 48, 3)
    assert scenes.half_size(photo_u8, 48) is photo_u8


def test_night_is_dark_blue_and_its_lamps_glow() -> None:
    photo_u8 = np.full((40, 60, 3), 128, np.uint8)
    photo_u8[:, 50:] = 255
    dark = scenes.night(photo_u8, np.random.default_rng(0)).astype(float)
    red, green, blue = dark[:, :50].mean(axis=(0, 1))
    assert red < green < blue < 80
    red, green, blue = dark[:, 50:].mean(axis=(0, 1))
    assert min(red, green, blue) > 120
    assert red > blue, "lamps are warm"
    np.testing.assert_array_equal(dark, scenes.night(photo_u8, np.random.default_rng(0)))


def test_other_hues_turn_colors_and_leave_grays() -> None:
    photo_u8 = np.full((4, 8, 3), 128, np.uint8)
    photo_u8[:, 4:] = (200, 120, 90)
    turned = scenes.other_hue(photo_u8, np.random.default_rng(0)).astype(int)
    np.testing.assert_allclose(turned[:, :4], 128, atol=1)
    assert np.argmax(turned[0, 5]) != 0, "red no longer dominates"


def test_face_window_finds_the_skin() -> None:
    # Half of the shorter side, 24 pixels: just the square of skin.
    np.testing.assert_array_equal(scenes.face_window(portrait()), portrait()[20:44, 36:60])


def test_other_light_by_hand() -> None:
    photo_u8 = np.full((4, 4, 3), (51, 102, 153), np.uint8)
    np.testing.assert_array_equal(scenes.other_light(photo_u8, 1.0, 1.0), photo_u8)
    # Squares of 0.2, 0.4, 0.6 are 0.04, 0.16, 0.36; halfway to their mean 28/150: 0.1133, 0.1733,
    # 0.2733.
    expected = np.array([0.11333, 0.17333, 0.27333]) * 255
    found = scenes.other_light(photo_u8, 2.0, 0.5, 6)
    assert found.shape == (6, 6, 3)
    np.testing.assert_allclose(found[0, 0], expected, atol=0.51)


def test_a_folder_of_scenes(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c"):
        write_picture(photos / f"{name}.png", portrait())
    (photos / "d.jpg").write_bytes(b"\xff\xd8\xff")
    written, broken = scenes.scene_folder(
        photos, out, portraits=["c"], least_side=24, night_every=3, hue_every=2
    )
    faces = [f"deep/c_face{which}" for which in range(6)]
    names = [
        "a",
        "a_half",
        "a_hue",
        "a_night",
        "b",
        "b_half",
        *faces,
        "deep/c_half",
        "deep/c_night",
    ]
    assert sorted(str(path)[:-4] for path in written) == sorted([*names, "deep/c"])
    assert sorted(path.relative_to(out) for path in out.rglob("*.png")) == sorted(written)
    assert list(broken) == [photos / "d.jpg"]
    assert read_picture(out / "deep/c_face0.png").size_hw == (256, 256)
    # A photo's night depends only on its name and the seed.
    scenes.scene_folder(photos, tmp_path / "again", least_side=24, night_every=1)
    night = read_picture(out / "a_night.png").rgb_u8
    np.testing.assert_array_equal(night, read_picture(tmp_path / "again/a_night.png").rgb_u8)


def test_a_portrait_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    write_picture(tmp_path / "photos/a.png", portrait())
    with pytest.raises(ValueError, match="portraits anna"):
        scenes.scene_folder(tmp_path / "photos", tmp_path / "out", portraits=["anna"])
    with pytest.raises(ValueError, match="outside"):
        scenes.scene_folder(tmp_path / "photos", tmp_path / "photos/out")
