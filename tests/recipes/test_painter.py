"""The painter: hand-checkable facts of each step, of a whole painting, and of a folder run."""

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from anime_tf.io.pictures import read_picture, write_picture
from recipes import painter
from recipes.painter import PaintRecipe, paint, paint_folder

# float32 transforms with a penalty of up to 1e5 lose about this much against float64.
L0_TOLERANCE = 1e-3
# OpenCV's CIELAB of float32 goes through tables: there and back loses less than half a step of
# uint8.
LAB_TOLERANCE = 2e-3
# float32 arithmetic on values up to 1.
FLOAT32_TOLERANCE = 1e-6


def step_picture(
    dark: float, light: float, height: int = 48, width: int = 64, column: int = 32
) -> np.ndarray:
    """Grey float32 RGB picture, dark left of the column and light from it on."""
    rgb = np.full((height, width, 3), light, np.float32)
    rgb[:, :column] = dark
    return rgb


def photo_like(height: int, width: int, seed: int = 5) -> np.ndarray:
    """Random blobs of colour with fine noise, uint8 RGB."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (5, 7, 3)).astype(np.float32)
    blobs = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(blobs + rng.normal(0, 8, blobs.shape), 0, 255).astype(np.uint8)


def l0_reference(rgb: np.ndarray, lam: float, kappa: float, margin: int) -> np.ndarray:
    """Algorithm 1 of the paper in float64 with plain complex transforms."""
    height, width = rgb.shape[:2]
    full_height = cv2.getOptimalDFTSize(height + 2 * margin)
    full_width = cv2.getOptimalDFTSize(width + 2 * margin)
    smooth = cv2.copyMakeBorder(
        rgb.astype(np.float64),
        margin,
        full_height - height - margin,
        margin,
        full_width - width - margin,
        cv2.BORDER_REFLECT,
    )
    kernel_x = np.zeros((full_height, full_width))
    kernel_x[0, 0], kernel_x[0, -1] = -1.0, 1.0
    kernel_y = np.zeros((full_height, full_width))
    kernel_y[0, 0], kernel_y[-1, 0] = -1.0, 1.0
    otf_x = np.fft.fft2(kernel_x)[..., None]
    otf_y = np.fft.fft2(kernel_y)[..., None]
    source = np.fft.fft2(smooth, axes=(0, 1))
    beta = 2.0 * lam
    while beta < 1e5:
        dx = np.roll(smooth, -1, axis=1) - smooth
        dy = np.roll(smooth, -1, axis=0) - smooth
        drop = (dx**2 + dy**2).sum(axis=2) < lam / beta
        dx[drop] = 0
        dy[drop] = 0
        top = source + beta * (
            np.conj(otf_x) * np.fft.fft2(dx, axes=(0, 1))
            + np.conj(otf_y) * np.fft.fft2(dy, axes=(0, 1))
        )
        bottom = 1.0 + beta * (np.abs(otf_x) ** 2 + np.abs(otf_y) ** 2)
        smooth = np.fft.ifft2(top / bottom, axes=(0, 1)).real
        beta *= kappa
    return smooth[margin : margin + height, margin : margin + width]


@pytest.mark.parametrize("size", [(40, 56), (41, 57), (16, 16)])
def test_l0_smooth_equals_the_paper_s_algorithm(size: tuple[int, int]) -> None:
    # A step and a bar of clear contrast: no gradient lies near the threshold, where float32 and
    # float64 might decide apart.
    rgb = step_picture(0.2, 0.7, *size, column=size[1] // 2)
    rgb[size[0] // 3 : size[0] // 2, : size[1] // 4] = (0.9, 0.1, 0.4)
    expected = l0_reference(rgb, 0.015, 2.0, margin=8)
    found = painter.l0_smooth(rgb, 0.015)
    difference = np.abs(found - expected)
    assert difference.max() < L0_TOLERANCE, (
        difference.max(),
        np.unravel_index(difference.argmax(), difference.shape),
    )


@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 8), (6, 7), (5, 7)])
def test_packed_laplacian_matches_the_transform_s_layout(height: int, width: int) -> None:
    plane = np.random.default_rng(0).normal(size=(height, width)).astype(np.float32)
    # Scaling the packed spectrum by the Laplacian's eigenvalues is the circular 5-point Laplacian.
    scaled = cv2.dft(plane) * painter._packed_laplacian(height, width)
    found = cv2.dft(scaled, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
    expected = 4 * plane
    for axis in (0, 1):
        expected -= np.roll(plane, 1, axis) + np.roll(plane, -1, axis)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_l0_smooth_removes_noise_and_keeps_the_step() -> None:
    noise = np.random.default_rng(1).uniform(-0.03, 0.03, (48, 64, 1)).astype(np.float32)
    smooth = painter.l0_smooth(step_picture(0.3, 0.7) + noise, 0.015)
    left, right = smooth[8:40, 4:30], smooth[8:40, 34:60]
    # The noise has a standard deviation of 0.06 / sqrt(12) = 0.017; a tenth of it may stay.
    assert left.std() < 0.0017
    assert right.std() < 0.0017
    # Column 31 is dark, column 32 light, as before.
    jump = smooth[8:40, 32] - smooth[8:40, 31]
    assert jump.min() > 0.35


def test_l0_smooth_takes_a_weight_a_pixel() -> None:
    rgb = step_picture(0.45, 0.55)
    assert np.ptp(painter.l0_smooth(rgb, 0.3)) < 0.03, "a heavy weight removes the step"
    # A light weight along the step keeps it, whatever lies beside.
    weights = np.full((48, 64), 0.3, np.float32)
    weights[:, 24:40] = 1e-4
    smooth = painter.l0_smooth(rgb, weights)
    assert (smooth[:, 32] - smooth[:, 31]).min() > 0.08


def test_soft_quantise_by_hand() -> None:
    # 4 levels: d / 2 = 0.125. At 0.3 the nearest multiple is 0.25, the offset 0.05.
    expected = 0.25 + 0.125 * np.tanh(2.0 * 0.05 / 0.125) / np.tanh(2.0)
    found = painter.soft_quantise(np.array([0.0, 0.25, 0.3, 0.375, 1.0], np.float32), 4, 2.0)
    np.testing.assert_allclose(found, [0.0, 0.25, expected, 0.375, 1.0], atol=FLOAT32_TOLERANCE)
    assert found.dtype == np.float32


@pytest.mark.parametrize("softness", [0.1, 2.5, 20.0])
def test_soft_quantise_never_falls_and_never_jumps(softness: float) -> None:
    value = np.linspace(0.0, 1.0, 20001)
    drawn = painter.soft_quantise(value, 10, softness)
    rise = np.diff(drawn)
    assert rise.min() > -1e-12
    # Its steepest slope is softness / tanh(softness).
    assert rise.max() < 1.01 * softness / np.tanh(softness) * (value[1] - value[0])


def test_soft_quantise_with_little_softness_changes_nothing() -> None:
    value = np.linspace(0.0, 1.0, 101)
    np.testing.assert_allclose(painter.soft_quantise(value, 10, 1e-3), value, atol=1e-6)


def test_calm_texture_without_passes_changes_nothing() -> None:
    rgb = step_picture(0.2, 0.8)
    np.testing.assert_array_equal(painter.calm_texture(rgb, 0, 0.1, 3.0), rgb)


def test_merge_steps_smooths_small_stairs_and_keeps_large_ones() -> None:
    # The filter sums differences over the channels: 0.006 grey is 0.018, below a range sigma of
    # 0.03; 0.4 grey is far above it.
    small = painter.merge_steps(step_picture(0.500, 0.506), 0.03, 5.0)
    large = painter.merge_steps(step_picture(0.30, 0.70), 0.03, 5.0)
    assert np.diff(small[24, :, 0]).max() < 0.003, "half of 0.006"
    assert np.diff(large[24, :, 0]).max() > 0.399


def test_skin_likeness_tells_skin_from_grey_sky_and_grass() -> None:
    colours = np.array(
        [[[224, 172, 140], [128, 128, 128], [90, 160, 240], [60, 140, 40]]], np.uint8
    )
    lab = cv2.cvtColor(colours.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
    skin, *others = painter.skin_likeness(lab)[0]
    assert skin > 0.7
    assert max(others) < 0.3


def test_fresh_tones_keeps_white_and_gives_black_a_colour() -> None:
    rgb = np.zeros((4, 4, 3), np.float32)
    rgb[:, 2:] = 1.0
    toned = painter.fresh_tones(rgb, PaintRecipe())
    np.testing.assert_allclose(toned[:, 2:], 1.0, atol=LAB_TOLERANCE)
    red, _, blue = toned[0, 0]
    assert blue > red, "shadows are cool"
    assert toned[0, 0].max() < 0.15, "and dark"


def test_fresh_tones_brightens_and_enriches_mid_tones() -> None:
    rgb = np.full((2, 2, 3), (0.3, 0.5, 0.4), np.float32)
    before = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[0, 0]
    after = cv2.cvtColor(painter.fresh_tones(rgb, PaintRecipe()), cv2.COLOR_RGB2Lab)[0, 0]
    assert after[0] > before[0] + 5.0
    assert np.hypot(*after[1:]) > 1.2 * np.hypot(*before[1:])


def test_tangent_field_runs_along_a_step() -> None:
    tangent = painter.tangent_field(step_picture(0.2, 0.8), 2.0)
    along = np.abs(tangent[10:38, 30:34])
    np.testing.assert_allclose(along[..., 0], 0.0, atol=1e-4)
    np.testing.assert_allclose(along[..., 1], 1.0, atol=1e-4)


def test_smooth_along_keeps_a_line_along_the_field() -> None:
    value = np.zeros((21, 21), np.float32)
    value[:, 10] = 1.0
    tangent = np.zeros((21, 21, 2), np.float32)
    tangent[..., 1] = 1.0
    np.testing.assert_allclose(painter.smooth_along(value, tangent, 2.0), value, atol=1e-6)
    # Across the field the line spreads, and its mass stays.
    tangent = tangent[..., ::-1].copy()
    spread = painter.smooth_along(value, tangent, 2.0)
    assert spread[5, 10] < 0.3
    np.testing.assert_allclose(spread[5].sum(), 1.0, atol=1e-5)


def test_drop_specks_keeps_what_is_long_in_one_direction() -> None:
    lines = np.zeros((30, 30), np.float32)
    lines[3:6, 3:6] = 1.0
    lines[12, 2:11] = 0.8
    lines[20:28, 20] = 1.0
    expected = np.zeros_like(lines)
    expected[12, 2:11] = 0.8
    np.testing.assert_array_equal(painter.drop_specks(lines, 9), expected)


def test_a_step_gets_one_thin_line_on_its_dark_side() -> None:
    lines = painter.ink_lines(step_picture(0.3, 0.8), PaintRecipe())
    profile = lines[24]
    assert profile[31] > 0.5, "the dark pixel beside the step is inked"
    drawn = np.flatnonzero(profile > 0.3)
    assert set(drawn) <= {29, 30, 31}
    assert profile[33:].max() == 0.0


def test_a_flat_picture_gets_no_line() -> None:
    assert painter.ink_lines(step_picture(0.5, 0.5), PaintRecipe()).max() == 0.0


def checks(dark: float, light: float, side: int = 96, cell: int = 3) -> np.ndarray:
    """Grey float32 RGB checkerboard: dense borders in two directions."""
    odd = np.add.outer(np.arange(side) // cell, np.arange(side) // cell) % 2
    return np.repeat(np.where(odd, light, dark)[..., None], 3, axis=2).astype(np.float32)


def test_dense_lines_are_weaker_than_a_single_one() -> None:
    recipe = PaintRecipe()
    strongest = painter.ink_lines(step_picture(0.2, 0.8, 96, 96, 48), recipe)[48, 40:56].max()
    weakened = painter.ink_lines(checks(0.2, 0.8), recipe)[40:56, 40:56].max()
    assert strongest > 0.9
    assert weakened < 0.5 * strongest


def test_coherence_is_one_along_a_step_and_nought_in_checks() -> None:
    along = painter.coherence(step_picture(0.2, 0.8), 4.0)[10:38, 30:34]
    np.testing.assert_allclose(along, 1.0, atol=1e-4)
    assert painter.coherence(checks(0.2, 0.8), 4.0)[30:60, 30:60].max() < 0.1


def test_in_focus_is_the_slope_s_share_of_a_blurred_step() -> None:
    # A step of 0.5 blurred to s has the slope 0.5 / (sqrt(2 pi) s), and 0.02 is added to the span.
    for blur, tolerance in ((1.0, 0.03), (2.0, 0.02)):
        step = cv2.GaussianBlur(step_picture(0.2, 0.7)[..., 0], (0, 0), blur)
        # The measurement's own blur, and the variance of its difference over two pixels.
        sigma = np.sqrt(blur**2 + 0.7**2 + 2.0**2 / 12.0)
        # Of the whole step 9 pixels see that from -4 to 4 pixels.
        span = 0.5 * math.erf(4 / (np.sqrt(2) * sigma))
        expected = 0.5 / (np.sqrt(2 * np.pi) * sigma) / (span + 0.02)
        assert abs(painter.in_focus(step)[24, 32] - expected) < tolerance
    assert painter.in_focus(np.full((20, 20), 0.4, np.float32)).max() < FLOAT32_TOLERANCE


def test_borders_out_of_focus_and_faint_ones_get_no_line() -> None:
    rgb, recipe = step_picture(0.3, 0.8), PaintRecipe()
    soft = cv2.GaussianBlur(rgb, (0, 0), 4.0)
    assert painter.ink_lines(rgb, recipe, painter.in_focus(soft[..., 0])).max() == 0.0
    assert painter.ink_lines(rgb, recipe, painter.in_focus(rgb[..., 0])).max() > 0.9
    assert painter.ink_lines(step_picture(0.50, 0.54), recipe).max() == 0.0


def test_expose_by_hand() -> None:
    recipe = PaintRecipe(exposure_low=0.4, exposure_high=0.6, exposure_power=0.5)

    def lightness(rgb: np.ndarray) -> float:
        return float(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[0, 0, 0]) / 100.0

    for grey in (0.1, 0.25, 0.5, 0.9):
        rgb = np.full((4, 4, 3), grey, np.float32)
        before, after = lightness(rgb), lightness(painter.expose(rgb, recipe))
        # A picture of one lightness meets the end of the span that it lies beyond, as far as the
        # exponents 0.5 to 2 reach.
        wanted = min(max(before, 0.4), 0.6)
        expected = min(max(wanted, before**2.0), before**0.5)
        assert abs(after - expected) < LAB_TOLERANCE, (grey, before, after, expected)


def test_a_line_between_light_colours_is_light() -> None:
    lines = np.zeros((20, 20), np.float32)
    lines[:, 10] = 1.0
    recipe = PaintRecipe()
    on_white = painter.draw_ink(np.ones((20, 20, 3), np.float32), lines, recipe)[10, 10]
    on_grey = painter.draw_ink(np.full((20, 20, 3), 0.4, np.float32), lines, recipe)[10, 10]
    assert on_white.min() > 0.6
    assert on_grey.max() < 0.15


def test_ink_takes_the_local_colour() -> None:
    rgb = np.full((4, 4, 3), (0.9, 0.3, 0.2), np.float32)
    lines = np.zeros((4, 4), np.float32)
    lines[:, 0] = 1.0
    inked = painter.draw_ink(rgb, lines, PaintRecipe())
    np.testing.assert_allclose(inked[:, 1:], rgb[:, 1:], atol=LAB_TOLERANCE)
    red, green, blue = inked[0, 0]
    assert red > green and red > blue, "ink on red is a dark red"
    assert red < 0.6


@pytest.mark.parametrize("grey", [0, 40, 128, 255])
def test_a_flat_photo_stays_flat(grey: int) -> None:
    painted = paint(np.full((33, 47, 3), grey, np.uint8))
    assert np.ptp(painted.reshape(-1, 3), axis=0).max() == 0


@pytest.mark.parametrize(
    "size", [(16, 16), (17, 16), (16, 23), (61, 37), (1, 1), (2, 9), (64, 200)]
)
def test_paint_keeps_the_size(size: tuple[int, int]) -> None:
    painted = paint(photo_like(*size))
    assert painted.shape == (*size, 3)
    assert painted.dtype == np.uint8


def test_paint_is_deterministic_and_leaves_the_photo_alone() -> None:
    photo_u8 = photo_like(70, 90)
    before = photo_u8.copy()
    first = paint(photo_u8)
    np.testing.assert_array_equal(first, paint(photo_u8.copy()))
    np.testing.assert_array_equal(photo_u8, before)


def test_paint_keeps_a_step_in_its_place_and_inks_it() -> None:
    photo_u8 = np.full((64, 96, 3), 200, np.uint8)
    photo_u8[:, :48] = 110
    noise = np.random.default_rng(3).integers(-6, 7, photo_u8.shape)
    photo_u8 = (photo_u8 + noise).astype(np.uint8)
    row = paint(photo_u8)[32].mean(axis=1)
    dark, light = row[20:40].mean(), row[56:80].mean()
    assert row[49] > light - 8, "light begins where it began"
    assert row[46:48].min() < dark - 40, "a line stands on the dark side"
    assert np.ptp(row[10:42]) < 3, "no noise and no line stays in the flat part"


def test_painted_noise_is_flatter_than_the_photo() -> None:
    photo_u8 = photo_like(120, 160)
    small = np.abs(np.diff(photo_u8.astype(int), axis=1)).mean()
    assert np.abs(np.diff(paint(photo_u8).astype(int), axis=1)).mean() < 0.5 * small


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_paint_refuses_what_is_no_rgb_picture(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="paint: expected"):
        paint(wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("l0_lambda", 0.0),
        ("l0_kappa", 1.0),
        ("line_sigma", -1.0),
        ("levels", 0),
        ("busy_high", 0.1),
        ("focus_high", 0.1),
        ("contrast_high", 0.0),
        ("exposure_low", 0.7),
        ("skin_care", 1.0),
    ],
)
def test_recipe_refuses_numbers_that_cannot_work(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(PaintRecipe(), **{name: value})


def test_folder_run_paints_skips_and_names(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    write_picture(photos / "a.jpg", photo_like(40, 60))
    write_picture(photos / "deep" / "b.v2.png", photo_like(30, 20))
    whole = (photos / "a.jpg").read_bytes()
    (photos / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    report = paint_folder(photos, tmp_path / "out", max_side=32, workers=2)
    assert report.painted == (Path("a.png"), Path("deep/b.v2.png"))
    assert list(report.broken) == [photos / "broken.jpg"]
    assert "broken.jpg" in report.broken[photos / "broken.jpg"]
    found = sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.*"))
    assert found == [Path("a.png"), Path("deep/b.v2.png")], "nothing half-written stays"
    assert read_picture(tmp_path / "out" / "a.png").rgb_u8.shape == (21, 32, 3)
    # What is in the file is what `paint` gives.
    small = read_picture(photos / "deep" / "b.v2.png").rgb_u8
    np.testing.assert_array_equal(
        read_picture(tmp_path / "out" / "deep" / "b.v2.png").rgb_u8, paint(small)
    )


def test_folder_run_refuses_to_paint_into_its_photos(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", photo_like(16, 16))
    for target in (tmp_path, tmp_path / "painted"):
        with pytest.raises(ValueError, match="outside"):
            paint_folder(tmp_path, target)


def test_folder_run_refuses_two_photos_of_one_name(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    write_picture(photos / "a.png", photo_like(16, 16))
    write_picture(photos / "a.jpg", photo_like(16, 16))
    with pytest.raises(ValueError, match=r"a\.(png|jpg)"):
        paint_folder(photos, tmp_path / "out")


def test_folder_run_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        paint_folder(tmp_path / "nowhere", tmp_path / "out")
