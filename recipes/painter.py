"""Turn photos into flat, outlined pictures: the style pictures of the built-in style.

A photo passes these steps; what each does to a pixel is decided by its neighbourhood, but for the
first, which looks at the mean:

1. `expose`: dark photos are brightened, pale ones darkened.
2. `calm_texture`: a bilateral filter takes foliage, grass and rock down to patches.
3. `l0_smooth`: L0 gradient smoothing leaves flat regions between sharp borders; gentler near the
   colours of skin (`near_skin`), where features are small.
4. `merge_steps`: a narrow bilateral filter turns the stairs that step 3 cut into slow
   gradients (skies, cheeks) back into gradients.
5. `fresh_tones`: softly quantised lightness, lifted mid-tones, more chroma, cooler shadows.
6. `ink_lines`: thin lines along the borders in a mixture of steps 2 and 3, free of noise; none
   where the photo is out of focus (`in_focus`), few in texture (`coherence`).
7. `draw_ink`: the lines laid over the tones in a dark shade of the local colour.

Inside, pictures are float32 RGB in [0, 1]; uint8 RGB goes in and comes out. `docs/painter.md`
tells the numbers and their sources.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from anime_tf.io.folders import by_stem, find_pictures
from anime_tf.io.pictures import limit_side, read_picture, write_picture

# Padding around the Fourier transform of `l0_smooth`, in pixels: it keeps the picture's opposite
# borders, which the transform makes neighbours, out of each other's way.
_FFT_MARGIN = 8

# The penalty of `l0_smooth` grows up to this value; the paper's choice.
_L0_BETA_MAX = 1e5

# Where skin lies in CIELAB, of any depth: hue angle in degrees and chroma, with the widths of the
# soft window of `skin_likeness` around them. docs/painter.md tells the
# measurement behind them.
_SKIN_HUE, _SKIN_HUE_WIDTH = 47.0, 20.0
_SKIN_CHROMA, _SKIN_CHROMA_WIDTH = 22.0, 13.0


@dataclass(frozen=True)
class PaintRecipe:
    """Numbers of the painter; the defaults are the recipe of the built-in style.

    Attributes:
        exposure_low: Mean lightness below which a photo is brightened, above 0.
        exposure_high: Mean lightness above which it is darkened, below 1.
        exposure_power: Smallest exponent on lightness, up to 1, and 1 / the largest; 1 leaves all
            photos as they are.
        calm_passes: Passes of the bilateral filter of `calm_texture`; 0 leaves it out.
        calm_range: Its range sigma: of a difference summed over the channels, each in [0, 1].
        calm_radius: Its spatial sigma in pixels.
        l0_lambda: Weight of the gradient count in `l0_smooth`; larger is flatter.
        l0_kappa: Growth of its penalty from one iteration to the next, above 1.
        skin_care: Share by which that weight falls near the colours of skin, where features are
            small, 0 to below 1.
        merge_range: Range sigma of `merge_steps`, as calm_range.
        merge_radius: Its spatial sigma in pixels.
        levels: Lightness levels of `soft_quantise` between black and white.
        level_softness: Slope of its steps; small is soft.
        level_mix: Share of the quantised lightness, 0 to 1.
        lift: Brightening of the mid-tones, in units of lightness at lightness 0.5.
        skin_lift: The same again for the colours of skin (`skin_likeness`), whose chroma stays.
        black: Lightness of black, 0 to 1: the darkest shadows keep a colour.
        chroma: Factor on the chroma of dull colours.
        chroma_limit: Chroma (CIELAB) that a colour approaches but does not pass by this step.
        cool_shadows: Shift of black towards blue, in units of CIELAB b.
        line_detail: Share of the calmed picture, beside the flat one, in which lines are sought: it
            brings back folds, strands and features that the flat picture has lost.
        line_sigma: Standard deviation of the finer Gaussian of `ink_lines` in pixels.
        line_ratio: Ratio of the wider Gaussian to it.
        line_threshold: Response of the difference of Gaussians at which a line starts.
        line_slope: Steepness of a line's opacity above the threshold.
        line_flow: Standard deviation of the smoothing along the line in pixels.
        line_chroma: Weight of the colour borders beside the lightness borders.
        busy_radius: Standard deviation in pixels of the window that measures how dense lines are.
        busy_low: Density of lines up to which they stay at full strength.
        busy_high: Density of lines from which they are at their weakest.
        busy_floor: Strength of lines there, 0 to 1.
        focus_low: Sharpness of the photo (`in_focus`) up to which no line is drawn.
        focus_high: Sharpness from which lines have their full strength.
        contrast_low: Span of lightness around a line up to which none is drawn.
        contrast_high: Span from which lines have their full strength.
        speck_extent: Lines shorter than this many pixels, in both directions, are dropped.
        ink_strength: Opacity of a full line, 0 to 1.
        ink_lightness: Lightness of ink as a share of the local lightness.
        ink_light: The same share where all around is as light as white: a line between cloud and
            sky is a soft one.
        ink_chroma: Chroma of ink as a share of the local chroma.
    """

    exposure_low: float = 0.42
    exposure_high: float = 0.65
    exposure_power: float = 0.7
    calm_passes: int = 2
    calm_range: float = 0.065
    calm_radius: float = 3.0
    l0_lambda: float = 0.015
    l0_kappa: float = 2.0
    skin_care: float = 0.75
    merge_range: float = 0.025
    merge_radius: float = 5.0
    levels: int = 10
    level_softness: float = 2.5
    level_mix: float = 0.5
    lift: float = 0.12
    skin_lift: float = 0.05
    black: float = 0.05
    chroma: float = 1.4
    chroma_limit: float = 110.0
    cool_shadows: float = 8.0
    line_detail: float = 0.9
    line_sigma: float = 1.0
    line_ratio: float = 1.6
    line_threshold: float = 0.0045
    line_slope: float = 60.0
    line_flow: float = 2.0
    line_chroma: float = 0.5
    busy_radius: float = 8.0
    busy_low: float = 0.12
    busy_high: float = 0.35
    busy_floor: float = 0.25
    focus_low: float = 0.16
    focus_high: float = 0.30
    contrast_low: float = 0.06
    contrast_high: float = 0.22
    speck_extent: int = 16
    ink_strength: float = 1.0
    ink_lightness: float = 0.18
    ink_light: float = 0.75
    ink_chroma: float = 1.0

    def __post_init__(self) -> None:
        """Refuse numbers that the steps cannot work with."""
        for name in (
            "calm_range",
            "calm_radius",
            "merge_range",
            "merge_radius",
            "line_sigma",
            "l0_lambda",
            "level_softness",
            "busy_radius",
            "chroma_limit",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"PaintRecipe: {name} must be above 0, found {getattr(self, name)}; "
                    "give a positive number"
                )
        for name in ("l0_kappa", "line_ratio"):
            if getattr(self, name) <= 1:
                raise ValueError(
                    f"PaintRecipe: {name} must be above 1, found {getattr(self, name)}; "
                    "2 and 1.6 are usual"
                )
        if not 0 <= self.skin_care < 1:
            raise ValueError(
                f"PaintRecipe: skin_care must be at least 0 and below 1, found {self.skin_care}; "
                "0 smooths skin as all else"
            )
        if self.levels < 1:
            raise ValueError(
                f"PaintRecipe: levels must be at least 1, found {self.levels}; "
                "level_mix=0 leaves quantisation out"
            )
        for name, remedy in (
            ("busy", "busy_floor=1 leaves the weakening out"),
            ("focus", "-1 and 0 draw lines out of focus as well"),
            ("contrast", "-1 and 0 draw faint lines as well"),
        ):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if high <= low:
                raise ValueError(
                    f"PaintRecipe: {name}_high must be above {name}_low, found {high} and {low}; "
                    f"{remedy}"
                )
        if not 0 < self.exposure_low <= self.exposure_high < 1 or not 0 < self.exposure_power <= 1:
            raise ValueError(
                "PaintRecipe: expected 0 < exposure_low <= exposure_high < 1 and exposure_power "
                f"in 0..1, found {self.exposure_low}, {self.exposure_high} and "
                f"{self.exposure_power}; exposure_power=1 leaves photos as they are"
            )


@dataclass(frozen=True)
class PaintReport:
    """What `paint_folder` did.

    Attributes:
        painted: Pictures written, as paths relative to the output folder, sorted.
        broken: Input file -> one-line reason, for each that could not be painted.
    """

    painted: tuple[Path, ...] = ()
    broken: dict[Path, str] = field(default_factory=dict)


def expose(rgb: np.ndarray, recipe: PaintRecipe) -> np.ndarray:
    """Brighten a dark photo, shadows most, and darken a pale one.

    Night is drawn in colours, not in black, and snow not all in white. In CIELAB, with l the
    lightness in [0, 1] of mean m: l^p, p = log(e) / log(m), e the end of [exposure_low,
    exposure_high] that m lies beyond, p in [exposure_power, 1 / exposure_power]. Chroma changes
    by the ratio of new and old lightness, at most 1.6, as if there had been more light.

    Args:
        rgb: Photo, float32 (h, w, 3) in [0, 1].
        recipe: The numbers.

    Returns:
        Photo of the same shape, type and range.
    """
    lab: np.ndarray = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)
    lightness = np.clip(lab[..., 0] / 100.0, 1e-4, 1.0)
    mean = min(float(lightness.mean()), 0.999)
    wanted = min(max(mean, recipe.exposure_low), recipe.exposure_high)
    power = np.log(wanted) / np.log(mean)
    power = min(max(power, recipe.exposure_power), 1.0 / recipe.exposure_power)
    if power == 1.0:
        return rgb
    exposed = lightness**power
    lab[..., 1:] *= np.minimum(exposed / lightness, 1.6)[..., None]
    lab[..., 0] = 100.0 * exposed
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0.0, 1.0)


def calm_texture(rgb: np.ndarray, passes: int, range_sigma: float, radius: float) -> np.ndarray:
    """Take fine texture down with a bilateral filter, applied several times.

    out(p) = sum_q g(|p - q| / radius) g(|I(p) - I(q)| / range_sigma) I(q), normalised, with
    g(t) = exp(-t^2 / 2), q within 1.5 radius, and |I(p) - I(q)| summed over the channels.

    Args:
        rgb: Picture, float32 (h, w, 3) in [0, 1].
        passes: Number of passes; 0 returns the picture as it is.
        range_sigma: Standard deviation over colour: of the sum over the channels.
        radius: Standard deviation over space in pixels.

    Returns:
        Picture of the same shape, type and range.

    Reference:
        Tomasi and Manduchi, Bilateral Filtering for Gray and Color Images, ICCV 1998; applied
        several times before abstraction as in Winnemoeller, Olsen and Gooch, Real-Time Video
        Abstraction, SIGGRAPH 2006.
    """
    diameter = 2 * round(1.5 * radius) + 1
    for _ in range(passes):
        rgb = cv2.bilateralFilter(rgb, diameter, range_sigma, radius)
    return rgb


def merge_steps(rgb: np.ndarray, range_sigma: float, radius: float) -> np.ndarray:
    """Turn stairs of small steps back into smooth gradients; borders of large steps stay.

    One bilateral filter whose range sigma is about the height of the steps to be merged: the
    stairs that `l0_smooth` cuts into skies and skin.

    Args:
        rgb: Picture, float32 (h, w, 3) in [0, 1].
        range_sigma: Standard deviation over colour: of the sum over the channels.
        radius: Standard deviation over space in pixels.

    Returns:
        Picture of the same shape, type and range.
    """
    return calm_texture(rgb, 1, range_sigma, radius)


def _spectra(planes: np.ndarray) -> np.ndarray:
    """OpenCV's packed Fourier transforms of float32 planes (c, h, w), of the same shape.

    They take a quarter of the time of `numpy.fft.rfft2`.
    """
    return np.stack([cv2.dft(plane) for plane in planes])


def _packed_laplacian(height: int, width: int) -> np.ndarray:
    """|F[dx]|^2 + |F[dy]|^2 of circular forward differences, in the layout of `_spectra`.

    Column 0 packs frequency 0 along the rows, then each pair of columns holds the real and
    imaginary parts of one frequency; the last column of an even width is packed as the first.
    Real and imaginary parts of a frequency are scaled alike, so both carry its value.
    """
    rows, columns = np.arange(height), np.arange(width)
    frequency_x = np.broadcast_to((columns + 1) // 2, (height, width))
    frequency_y = np.repeat(rows[:, None], width, axis=1)
    packed = (rows + 1) // 2
    frequency_y[:, 0] = packed
    if width % 2 == 0:
        frequency_y[:, -1] = packed
    return (
        4.0
        - 2.0 * np.cos(2.0 * np.pi * frequency_x / width)
        - 2.0 * np.cos(2.0 * np.pi * frequency_y / height)
    ).astype(np.float32)


def l0_smooth(rgb: np.ndarray, lam: float | np.ndarray, kappa: float = 2.0) -> np.ndarray:
    """Smooth a picture under a penalty on the number of its non-zero gradients.

    Minimises sum_p (S_p - I_p)^2 + lam * #{p : |dx S_p| + |dy S_p| != 0} by half-quadratic
    splitting: with beta = 2 max(lam), times kappa each iteration, up to 1e5,

        (h, v)_p = (dx S_p, dy S_p) where its squared length over channels > lam / beta, else 0
        S = F^-1[ (F[I] + beta (F[dx]* F[h] + F[dy]* F[v])) / (1 + beta (|F[dx]|^2 + |F[dy]|^2)) ]

    Args:
        rgb: Picture, float32 (h, w, c).
        lam: Weight of the count, a number or float32 (h, w) for one weight a pixel, which the
            paper has not; larger is flatter.
        kappa: Growth of beta, above 1; 2 is the paper's fast choice.

    Returns:
        Picture float32 of the same shape.

    Reference:
        Xu, Lu, Xu and Jia, Image Smoothing via L0 Gradient Minimization, SIGGRAPH Asia 2011,
        algorithm 1.
    """
    height, width = rgb.shape[:2]
    full_height = cv2.getOptimalDFTSize(height + 2 * _FFT_MARGIN)
    full_width = cv2.getOptimalDFTSize(width + 2 * _FFT_MARGIN)
    margins = (
        _FFT_MARGIN,
        full_height - height - _FFT_MARGIN,
        _FFT_MARGIN,
        full_width - width - _FFT_MARGIN,
    )
    padded = cv2.copyMakeBorder(rgb, *margins, cv2.BORDER_REFLECT)
    weights: np.ndarray = np.broadcast_to(np.asarray(lam, np.float32), (height, width))
    weights = cv2.copyMakeBorder(weights, *margins, cv2.BORDER_REFLECT)
    # Channels first: each channel is then one contiguous plane of the transforms.
    smooth = np.ascontiguousarray(padded.transpose(2, 0, 1))
    source_spectrum = _spectra(smooth)
    laplacian = _packed_laplacian(full_height, full_width)
    beta = 2.0 * float(weights.max())
    while beta < _L0_BETA_MAX:
        dx = np.diff(smooth, axis=2, append=smooth[:, :, :1])
        dy = np.diff(smooth, axis=1, append=smooth[:, :1])
        kept = (np.sum(dx * dx + dy * dy, axis=0) >= weights / beta).astype(np.float32)
        dx *= kept
        dy *= kept
        # The adjoint of a forward difference is a negative backward difference.
        divergence = -np.diff(dx, axis=2, prepend=dx[:, :, -1:])
        divergence -= np.diff(dy, axis=1, prepend=dy[:, -1:])
        spectrum = _spectra(divergence)
        spectrum *= beta
        spectrum += source_spectrum
        spectrum /= 1.0 + beta * laplacian
        for plane, plane_spectrum in zip(smooth, spectrum, strict=True):
            cv2.dft(plane_spectrum, dst=plane, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
        beta *= kappa
    inner = smooth[:, _FFT_MARGIN : _FFT_MARGIN + height, _FFT_MARGIN : _FFT_MARGIN + width]
    return np.ascontiguousarray(inner.transpose(1, 2, 0))


def soft_quantise(value: np.ndarray, levels: int, softness: float) -> np.ndarray:
    """Draw values towards evenly spaced levels, without jumps.

    With the step d = 1 / levels and n the multiple of d nearest to the value:
    out = n + (d / 2) tanh(softness (value - n) / (d / 2)) / tanh(softness). The levels lie
    half-way between the multiples. The division, not in the paper, makes neighbouring steps
    meet: the curve is continuous, rises everywhere, and keeps 0 and 1.

    Args:
        value: Float array in [0, 1].
        levels: Number of steps between 0 and 1.
        softness: Above 0. Towards 0 the curve becomes the identity; a large value makes it
            jump from level to level.

    Returns:
        Array of the same shape and type.

    Reference:
        Winnemoeller, Olsen and Gooch, Real-Time Video Abstraction, SIGGRAPH 2006
        (luminance quantisation).
    """
    half = 0.5 / levels
    nearest = np.round(value * levels) / levels
    bent = np.tanh(softness * (value - nearest) / half) / np.tanh(softness)
    return (nearest + half * bent).astype(value.dtype)


def skin_likeness(lab: np.ndarray) -> np.ndarray:
    """How near a colour comes to skin of any depth: warm, and neither grey nor vivid.

    exp(-((hue - 47 deg) / 20 deg)^2 / 2) exp(-((chroma - 22) / 13)^2 / 2) in CIELAB. Wood and
    sand come near as well, and do well with the same light touch.

    Args:
        lab: CIELAB picture, float32 (h, w, 3), lightness in 0..100.

    Returns:
        Float32 (h, w) in [0, 1].
    """
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    return np.exp(
        -0.5 * ((hue - _SKIN_HUE) / _SKIN_HUE_WIDTH) ** 2
        - 0.5 * ((chroma - _SKIN_CHROMA) / _SKIN_CHROMA_WIDTH) ** 2
    )


def near_skin(rgb: np.ndarray) -> np.ndarray:
    """How much of a pixel's neighbourhood looks like skin: there lie eyes, noses and mouths.

    min(1, 1.5 G_6 * s), with s from `skin_likeness` and 6 pixels of standard deviation.

    Args:
        rgb: Picture, float32 (h, w, 3) in [0, 1].

    Returns:
        Float32 (h, w) in [0, 1].
    """
    skin = skin_likeness(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab))
    return np.minimum(1.0, 1.5 * cv2.GaussianBlur(skin, (0, 0), 6.0))


def fresh_tones(rgb: np.ndarray, recipe: PaintRecipe) -> np.ndarray:
    """Give a flat picture the clear tones of a painted cel.

    In CIELAB, with l the lightness in [0, 1] and c the chroma:
    l is drawn to levels by `soft_quantise`, mixed with `level_mix`, lifted by
    4 (lift + skin_lift s) l (1 - l), s being the likeness to skin, and pressed into
    [black, 1]; c becomes limit tanh(c (1 + (chroma - 1) (1 - s)) / limit); b falls by
    cool_shadows (1 - l)^2.

    Args:
        rgb: Picture, float32 (h, w, 3) in [0, 1].
        recipe: The numbers.

    Returns:
        Picture of the same shape, type and range.
    """
    lab: np.ndarray = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)
    lightness = np.clip(lab[..., 0] / 100.0, 0.0, 1.0)
    drawn = soft_quantise(lightness, recipe.levels, recipe.level_softness)
    lightness = lightness + recipe.level_mix * (drawn - lightness)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    skin = skin_likeness(lab)
    lift = recipe.lift + recipe.skin_lift * skin
    lightness = lightness + 4.0 * lift * lightness * (1.0 - lightness)
    lightness = recipe.black + (1.0 - recipe.black) * lightness
    factor = 1.0 + (recipe.chroma - 1.0) * (1.0 - skin)
    limit = recipe.chroma_limit
    gain = limit * np.tanh(factor * chroma / limit) / np.maximum(chroma, 1e-6)
    lab[..., 0] = 100.0 * lightness
    lab[..., 1] *= gain
    lab[..., 2] = lab[..., 2] * gain - recipe.cool_shadows * (1.0 - lightness) ** 2
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0.0, 1.0)


def _structure_tensor(planes: np.ndarray, sigma: float) -> np.ndarray:
    """Jxx, Jxy, Jyy of G_sigma * sum over channels of grad grad^T, float32 (h, w, 3)."""
    dx = cv2.Sobel(planes, cv2.CV_32F, 1, 0)
    dy = cv2.Sobel(planes, cv2.CV_32F, 0, 1)
    tensor = np.stack(
        [np.sum(dx * dx, axis=2), np.sum(dx * dy, axis=2), np.sum(dy * dy, axis=2)], axis=2
    )
    return cv2.GaussianBlur(tensor, (0, 0), sigma)


def tangent_field(planes: np.ndarray, sigma: float) -> np.ndarray:
    """Direction along the borders of a picture: the minor eigenvector of the structure tensor.

    J = G_sigma * sum over channels of grad grad^T; its major direction has the angle
    0.5 atan2(2 Jxy, Jxx - Jyy), and the tangent stands across it.

    Args:
        planes: Picture, float32 (h, w, c).
        sigma: Standard deviation of the smoothing of J in pixels.

    Returns:
        Unit vectors (x, y), float32 (h, w, 2).

    Reference:
        Kyprianidis and Doellner, Image Abstraction by Structure Adaptive Filtering, EG UK
        Theory and Practice of Computer Graphics 2008; the role of the tangent flow in Kang, Lee
        and Chui, Coherent Line Drawing, NPAR 2007.
    """
    tensor = _structure_tensor(planes, sigma)
    angle = 0.5 * np.arctan2(2.0 * tensor[..., 1], tensor[..., 0] - tensor[..., 2])
    return np.stack([-np.sin(angle), np.cos(angle)], axis=2).astype(np.float32)


def smooth_along(value: np.ndarray, tangent: np.ndarray, sigma: float) -> np.ndarray:
    """Average a plane along the tangent field with Gaussian weights.

    Args:
        value: Float32 (h, w).
        tangent: Unit vectors (x, y), float32 (h, w, 2).
        sigma: Standard deviation along the tangent in pixels; 0 returns the plane as it is.

    Returns:
        Float32 (h, w).
    """
    if sigma <= 0:
        return value
    height, width = value.shape
    grid_x, grid_y = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    total = value.copy()
    weight_sum = 1.0
    for step in range(1, round(2 * sigma) + 1):
        weight = float(np.exp(-0.5 * (step / sigma) ** 2))
        for signed in (step, -step):
            total += weight * cv2.remap(
                value,
                grid_x + signed * tangent[..., 0],
                grid_y + signed * tangent[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )
        weight_sum += 2.0 * weight
    return total / weight_sum


def drop_specks(lines: np.ndarray, extent: int) -> np.ndarray:
    """Erase connected pieces of line that are short in both directions.

    Args:
        lines: Opacity of ink, float32 (h, w) in [0, 1].
        extent: Pieces whose bounding box is less than this many pixels high and wide go.

    Returns:
        Float32 (h, w): the lines of the pieces that stay, 0 elsewhere.
    """
    drawn = (lines > 0.15).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(drawn, connectivity=8)
    longest = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    stays = longest >= extent
    # Label 0 is the paper between the lines: it holds only opacities too weak to be seen.
    stays[0] = False
    return np.where(stays[labels], lines, np.float32(0.0))


def soft_step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """3 t^2 - 2 t^3 with t = (value - low) / (high - low) in [0, 1]: 0 below, 1 above, no kink."""
    part = np.clip((value - low) / (high - low), 0.0, 1.0)
    return part * part * (3.0 - 2.0 * part)


def lightness_span(lightness: np.ndarray, side: int) -> np.ndarray:
    """Largest less smallest lightness of the square window around each pixel.

    Args:
        lightness: Float32 (h, w).
        side: Side of the window in pixels, odd.

    Returns:
        Float32 (h, w), at least 0.
    """
    window = np.ones((side, side), np.uint8)
    return cv2.dilate(lightness, window) - cv2.erode(lightness, window)


def in_focus(lightness: np.ndarray) -> np.ndarray:
    """How sharp the borders of a photo are, whatever their contrast.

    Of what lightness spans in 9x9 pixels, the part that its steepest gradient within 5x5 takes in
    one pixel: about 1 / (sqrt(2 pi) s) for a border blurred by a Gaussian of s pixels, the 0.9 of
    the measurement itself included; 0.4 for the sharpest, 0.16 for s = 2.5.

    Args:
        lightness: Of the photo, float32 (h, w) in [0, 1].

    Returns:
        Float32 (h, w), at least 0; near 0 as well where nothing spans more than noise does.
    """
    calm = cv2.GaussianBlur(lightness, (0, 0), 0.7)
    # Scharr's kernel answers 32 to a slope of 1.
    slope = np.hypot(cv2.Scharr(calm, cv2.CV_32F, 1, 0), cv2.Scharr(calm, cv2.CV_32F, 0, 1)) / 32.0
    steepest = cv2.dilate(slope, np.ones((5, 5), np.uint8))
    return steepest / (lightness_span(calm, 9) + 0.02)


def coherence(planes: np.ndarray, sigma: float) -> np.ndarray:
    """How much the borders around each pixel run one way: 1 for a straight one, 0 for texture.

    ((Jxx - Jyy)^2 + 4 Jxy^2) / (Jxx + Jyy)^2 of the structure tensor of `tangent_field`.

    Args:
        planes: Picture, float32 (h, w, c).
        sigma: Standard deviation of the smoothing of J in pixels.

    Returns:
        Float32 (h, w) in [0, 1].
    """
    xx, xy, yy = np.moveaxis(_structure_tensor(planes, sigma), 2, 0)
    return ((xx - yy) ** 2 + 4.0 * xy**2) / ((xx + yy) ** 2 + 1e-12)


def ink_lines(rgb: np.ndarray, recipe: PaintRecipe, focus: np.ndarray | None = None) -> np.ndarray:
    """Thin lines along the borders of a flat picture, on the darker side.

    The difference of Gaussians e = G_(ratio sigma) * L - G_sigma * L is positive on the dark
    side of a border; |the same| of the colour planes joins it with weight line_chroma. It is
    averaged along the tangent field and passed through tanh(slope (e - threshold)), 0 below the
    threshold. Lines fade where lightness spans little around them, and where the photo is out of
    focus; where they are dense (their mean over a Gaussian window between busy_low and busy_high)
    and run in all directions (`coherence`: foliage, grass, rock), they are weakened down to
    busy_floor; and short pieces are dropped.

    Args:
        rgb: Flat picture, float32 (h, w, 3) in [0, 1].
        recipe: The numbers.
        focus: Sharpness of the photo (`in_focus`), float32 (h, w); None for sharp all over.

    Returns:
        Opacity of ink, float32 (h, w) in [0, 1].

    Reference:
        Winnemoeller, Kyprianidis and Olsen, XDoG: An eXtended difference-of-Gaussians compendium
        including advanced image stylization, Computers & Graphics 36, 2012;
        Kang, Lee and Chui, Coherent Line Drawing, NPAR 2007 (averaging along the flow).
    """
    lab: np.ndarray = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab) / 100.0
    fine = cv2.GaussianBlur(lab, (0, 0), recipe.line_sigma)
    wide = cv2.GaussianBlur(lab, (0, 0), recipe.line_sigma * recipe.line_ratio)
    difference = wide - fine
    edge = np.maximum(difference[..., 0], 0.0)
    edge += recipe.line_chroma * 0.5 * np.hypot(difference[..., 1], difference[..., 2])
    edge = smooth_along(edge, tangent_field(fine, 2.0), recipe.line_flow)
    coherent = soft_step(coherence(fine, 4.0), 0.3, 0.75)
    lines = np.tanh(recipe.line_slope * np.maximum(edge - recipe.line_threshold, 0.0))
    lines *= soft_step(lightness_span(fine[..., 0], 9), recipe.contrast_low, recipe.contrast_high)
    if focus is not None:
        lines *= soft_step(focus, recipe.focus_low, recipe.focus_high)
    density = cv2.GaussianBlur(lines, (0, 0), recipe.busy_radius)
    busy = np.clip((density - recipe.busy_low) / (recipe.busy_high - recipe.busy_low), 0.0, 1.0)
    lines *= 1.0 - (1.0 - recipe.busy_floor) * busy * (1.0 - coherent)
    return drop_specks(lines, recipe.speck_extent)


def draw_ink(rgb: np.ndarray, lines: np.ndarray, recipe: PaintRecipe) -> np.ndarray:
    """Lay lines over a picture in a dark shade of the local colour.

    Args:
        rgb: Picture, float32 (h, w, 3) in [0, 1].
        lines: Opacity of ink, float32 (h, w) in [0, 1].
        recipe: The numbers: `ink_strength`, `ink_lightness`, `ink_chroma`.

    Returns:
        Picture of the same shape, type and range.
    """
    lab: np.ndarray = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)
    opacity = recipe.ink_strength * lines
    # Within 3 pixels a line between two light colours has nothing dark beside it.
    darkest = cv2.erode(lab[..., 0] / 100.0, np.ones((7, 7), np.uint8))
    light = soft_step(darkest, 0.45, 0.95)
    shade = recipe.ink_lightness + (recipe.ink_light - recipe.ink_lightness) * light
    lab[..., 0] *= 1.0 - opacity * (1.0 - shade)
    lab[..., 1:] *= 1.0 - (opacity * (1.0 - recipe.ink_chroma))[..., None]
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0.0, 1.0)


def paint(photo_u8: np.ndarray, recipe: PaintRecipe = PaintRecipe()) -> np.ndarray:  # noqa: B008
    """Paint a photo: flat colours, thin lines, the composition untouched.

    The result depends on the photo and the recipe alone. Lengths are in pixels, meant for
    pictures whose longer side is about 400 to 700.

    Args:
        photo_u8: RGB photo, uint8 (h, w, 3) in 0..255.
        recipe: The numbers of all steps; the default is the built-in style's recipe.

    Returns:
        RGB picture, uint8 (h, w, 3) in 0..255.

    Raises:
        ValueError: The array is not uint8 (h, w, 3) or is empty.
    """
    if photo_u8.dtype != np.uint8 or photo_u8.ndim != 3 or photo_u8.shape[2] != 3:
        raise ValueError(
            f"paint: expected uint8 RGB of shape (h, w, 3), found {photo_u8.dtype} of shape "
            f"{photo_u8.shape}; read photos with anime_tf.io.pictures.read_picture"
        )
    if photo_u8.size == 0:
        raise ValueError(
            f"paint: expected a picture of at least 1 by 1 pixel, found shape {photo_u8.shape}; "
            "leave it out"
        )
    rgb = photo_u8.astype(np.float32) / 255.0
    rgb = expose(rgb, recipe)
    lightness = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[..., 0] / 100.0
    rgb = calm_texture(rgb, recipe.calm_passes, recipe.calm_range, recipe.calm_radius)
    weights = recipe.l0_lambda * (1.0 - recipe.skin_care * near_skin(rgb))
    flat = np.clip(l0_smooth(rgb, weights, recipe.l0_kappa), 0.0, 1.0)
    lines = ink_lines(flat + recipe.line_detail * (rgb - flat), recipe, in_focus(lightness))
    tones = fresh_tones(merge_steps(flat, recipe.merge_range, recipe.merge_radius), recipe)
    return np.rint(255.0 * draw_ink(tones, lines, recipe)).astype(np.uint8)


def _paint_file(source: Path, target: Path, recipe: PaintRecipe, max_side: int) -> str | None:
    """Paint one file; None when it is written, else the reason in one line."""
    try:
        photo = limit_side(read_picture(source), max_side)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_picture(target, paint(photo.rgb_u8, recipe))
    except (OSError, ValueError) as error:
        return " ".join(str(error).split())
    return None


def paint_folder(
    input_dir: str | Path,
    output_dir: str | Path,
    *,
    recipe: PaintRecipe = PaintRecipe(),  # noqa: B008
    max_side: int = 0,
    workers: int | None = None,
) -> PaintReport:
    """Paint every picture of a folder into PNG files of the same names and sub-folders.

    Each file appears whole or not at all; a broken one is skipped and named in the report. A
    progress bar shows on a terminal only. Transparency is left out.

    Args:
        input_dir: Folder of photos, searched with its sub-folders.
        output_dir: Folder of the paintings; made where it is missing. It must not lie inside
            `input_dir`, nor be the same folder.
        recipe: The numbers of the painter.
        max_side: Longest side in pixels to which photos are shrunk first; 0 keeps their size.
        workers: Pictures painted at a time; None means one per core.

    Returns:
        What was painted, and what was not with the reason.

    Raises:
        FileNotFoundError: The folder is missing or holds no pictures.
        ValueError: The output folder lies inside the input folder, or two photos share a name
            but for the suffix.
    """
    source_dir, target_dir = Path(input_dir), Path(output_dir)
    if target_dir.resolve().is_relative_to(source_dir.resolve()):
        raise ValueError(
            f"{target_dir}: expected an output folder outside the photos' folder {source_dir}, "
            "found it inside; the paintings would be taken for photos: choose another folder"
        )
    sources = by_stem(find_pictures(source_dir), source_dir)
    painted: list[Path] = []
    broken: dict[Path, str] = {}
    # Threads, not processes: OpenCV and numpy's transforms release the interpreter's lock.
    with ThreadPoolExecutor(max_workers=workers or os.cpu_count()) as pool:
        futures = {
            pool.submit(_paint_file, source, target_dir / f"{stem}.png", recipe, max_side): stem
            for stem, source in sources.items()
        }
        finished = tqdm(
            as_completed(futures),
            total=len(futures),
            desc="painting",
            unit="picture",
            disable=not sys.stderr.isatty(),
        )
        for future in finished:
            stem = futures[future]
            reason = future.result()
            if reason is None:
                painted.append(Path(f"{stem}.png"))
            else:
                broken[sources[stem]] = reason
    return PaintReport(tuple(sorted(painted)), dict(sorted(broken.items())))
