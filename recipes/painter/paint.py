"""Paint a photo: every step in order."""

from __future__ import annotations

import cv2
import numpy as np

from anime_tf.io.pixels import as_type
from recipes.painter import flatten, lines, masks, tones
from recipes.painter.color import from_oklab, lerp, step, to_oklab
from recipes.painter.grade import draw_ink, grade
from recipes.painter.grays import draw_grays
from recipes.painter.structure import coherent_shock, gauss
from recipes.painter.style import Style

F32 = np.float32

# Masks whose largest value is smaller than this leave no trace in eight bits.
_TRACE = 0.02


def calm(picture: np.ndarray) -> np.ndarray:
    """Take fine texture away: a bilateral filter, twice."""
    for _ in range(2):
        picture = cv2.bilateralFilter(picture, 9, 0.09, 3.0)
    return picture


def paint(photo_u8: np.ndarray, style: Style) -> np.ndarray:
    """Paint a photo.

    Args:
        photo_u8: RGB, uint8 (h, w, 3); its longer side should be about 512 to 768.
        style: GOUACHE, CEL or MANGA of `style.py`, or another.

    Returns:
        RGB, uint8 (h, w, 3).
    """
    exposed = tones.exposed(photo_u8.astype(F32) / F32(255))
    skin = masks.skin_mask(to_oklab(exposed))
    photo = tones.lift_shadows(exposed, style.lift)
    lab = to_oklab(photo)
    face, sky = masks.face_mask(skin), masks.sky_mask(lab)
    focus, detail = masks.focus_mask(lab[..., 0]), masks.detail_mask(lab[..., 0])
    calmed = calm(photo)
    calm_lightness = to_oklab(calmed)[..., 0]
    foliage = masks.foliage_mask(lab[..., 0], calm_lightness)
    calmed = np.ascontiguousarray(lerp(calmed, photo, 0.6 * skin))
    open_ground = (1 - face) * (1 - sky)

    radius = (style.brush + style.brush_foliage * foliage) * (1 - 0.65 * face) * (1 - 0.45 * detail)
    flat = flatten.kuwahara(calmed, radius)
    flat = flatten.drop_islands(flat, 5, 0.05, 0.10, open_ground)

    dim = 0.3 + 0.7 * step(gauss(flat.mean(axis=2), 4.0), 0.12, 0.5)
    flatness = style.flatness * (1 - 0.8 * face) * (1 - 0.9 * sky) * dim
    flatness = flatness * (0.15 + 0.85 * focus) * (1 - 0.5 * detail)
    flat = flatten.l0_smooth(flat, flatness)
    flat = flatten.drop_islands(flat, 7, style.islands, 2 * style.islands, open_ground)
    flat = coherent_shock(flat)

    calm_lightness = to_oklab(calmed)[..., 0]
    dark, light = lines.stroke_response(calm_lightness, style.line_sigma)
    dark = lines.strokes(dark, style.line_low, style.line_high, style.line_length)
    light = lines.strokes(light, 0.006, 0.016, 22)
    share = lines.calm_share(calm_lightness, foliage, dark)
    dark, light = dark * share, light * share
    if style.fine_lines:
        fine = _fine_lines(photo) * np.maximum(skin, 0.8 * detail) * (1 - 0.7 * foliage)
        dark = np.maximum(dark, style.fine_lines * fine)
    restored = style.restore * np.maximum(dark, light)
    flat = lerp(flat, calmed, restored)

    flat = _tone(flat, calmed, sky, skin, face, restored, style)
    lab = to_oklab(np.clip(flat, 0, 1).astype(F32))
    if style.grays:
        return as_type(from_oklab(draw_grays(lab, dark, sky, skin, detail)), np.uint8)
    if style.tone_mix:
        tread = tones.supersampled(lambda v: tones.stairs(v, style.tone_step, 6.0), lab[..., 0])
        mix = style.tone_mix * (1 - sky) * (1 - skin) * focus
        lab[..., 0] += mix * (tread - lab[..., 0])
    graded = grade(lab, sky, skin, style)
    painted = from_oklab(draw_ink(graded, dark, sky, skin, style).astype(F32))
    return as_type(tones.bloom(painted, style.bloom, skin), np.uint8)


def _fine_lines(photo: np.ndarray) -> np.ndarray:
    """Find the thin dark lines that `calm` takes away: eyes, lips, fingers, window frames."""
    lightness = to_oklab(cv2.bilateralFilter(photo, 5, 0.06, 2.0))[..., 0]
    return lines.strokes(lines.stroke_response(lightness, 0.7)[0], 0.007, 0.018, 7)


def _tone(
    flat: np.ndarray,
    calmed: np.ndarray,
    sky: np.ndarray,
    skin: np.ndarray,
    face: np.ndarray,
    restored: np.ndarray,
    style: Style,
) -> np.ndarray:
    """Give sky and skin their tones; then a face's dark features and lines come back."""
    has_sky, has_skin = sky.max() > _TRACE, skin.max() > _TRACE
    if not (has_sky or has_skin):
        return flat
    lab = to_oklab(np.clip(flat, 0, 1).astype(F32))
    if has_sky:
        lab[..., 0] = tones.sky_tones(lab[..., 0], sky)
    if not has_skin:
        return from_oklab(lab)
    lab[..., 0] = tones.skin_planes(lab[..., 0], skin, style.skin_step, style.skin_mix)
    toned = from_oklab(tones.even_hues(lab, skin))
    features = 0.85 * face * step((flat - calmed).mean(axis=2), 0.02, 0.09)
    if face.max() > _TRACE:
        window = _bounding_window(face)
        planes = np.maximum(style.flatness_face * face[window], F32(1e-6))
        smooth = flatten.l0_smooth(toned[window], planes)
        toned[window] = lerp(toned[window], smooth, face[window])
    return lerp(toned, calmed, np.maximum(features, restored * face))


def _bounding_window(mask: np.ndarray) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.max(axis=axis) > _TRACE) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
