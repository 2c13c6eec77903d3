"""Numbers of the styles."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Style:
    """Numbers of the painter; lengths in pixels, lightness in OKLab.

    Attributes:
        name: Of the style.
        lift: Of shadows, `tones.lift_shadows`.
        brush: Radius of brush strokes, `flatten.kuwahara`,
        brush_foliage: and how much larger it is in foliage.
        flatness: Lambda of `flatten.l0_smooth`,
        flatness_face: and on faces, after their planes.
        islands: Islands of a smaller change go, `flatten.drop_islands`.
        line_sigma: Half width of lines, `lines.stroke_response`.
        line_low: Lines continue down to here,
        line_high: and begin above here.
        line_length: Shortest line.
        ink: Opacity of lines,
        ink_lightness: their share of the lightness below,
        ink_skin: and their opacity on skin as a share of `ink`.
        restore: Share of the photo that comes back along lines.
        skin_step: Height of the planes of skin,
        skin_mix: and their share.
        tone_step: Height of the tone stairs elsewhere,
        tone_mix: and their share.
        black: Lightness of black.
        contrast: Of the S-curve.
        vibrance: Chroma added to dull colors.
        cool_shadows: OKLab b taken from shadows.
        warm_lights: OKLab b added to lights.
        split: OKLab b of grays: mid lights cream, mid darks violet.
        skin_light: Lightness added to skin.
        bloom: Glow of lights.
        fine_lines: Opacity of thin lines, on skin and in small detail.
        grays: Draw in four grays, `grays.draw_grays`, instead of colors. The fields `ink` to
            `ink_skin` and `tone_step` to `bloom` then do not count.
    """

    name: str
    lift: float = 0.20
    brush: float = 3.0
    brush_foliage: float = 2.5
    flatness: float = 0.006
    flatness_face: float = 0.0035
    islands: float = 0.07
    line_sigma: float = 0.9
    line_low: float = 0.006
    line_high: float = 0.016
    line_length: float = 22
    ink: float = 0.55
    ink_lightness: float = 0.38
    ink_skin: float = 0.5
    restore: float = 0.8
    skin_step: float = 0.12
    skin_mix: float = 0.85
    tone_step: float = 0.085
    tone_mix: float = 0.0
    black: float = 0.035
    contrast: float = 0.25
    vibrance: float = 0.80
    cool_shadows: float = 0.020
    warm_lights: float = 0.012
    split: float = 0.022
    skin_light: float = 0.02
    bloom: float = 0.14
    fine_lines: float = 0.0
    grays: bool = False


GOUACHE = Style("gouache")

CEL = Style(
    "cel",
    lift=0.28,
    brush=2.4,
    brush_foliage=2.2,
    flatness=0.010,
    flatness_face=0.006,
    islands=0.09,
    line_sigma=1.0,
    line_low=0.0055,
    line_high=0.015,
    line_length=22,
    ink=1.0,
    ink_lightness=0.25,
    ink_skin=0.9,
    skin_step=0.14,
    skin_mix=0.95,
    tone_mix=0.7,
    contrast=0.22,
    vibrance=0.90,
    bloom=0.08,
)

MANGA = dataclasses.replace(
    CEL,
    name="manga",
    lift=0.15,
    flatness=0.012,
    islands=0.10,
    line_sigma=1.1,
    line_low=0.005,
    line_high=0.014,
    line_length=20,
    fine_lines=1.0,
    grays=True,
)

STYLES = {style.name: style for style in (GOUACHE, CEL, MANGA)}
