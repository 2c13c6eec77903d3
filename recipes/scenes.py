"""Make more scenes of a folder of photos: smaller, at night, in other hues, faces in other lights.

    python -m recipes.scenes --input=photos --output=dataset/train_photo --portraits=astronaut

A style should hold at night and on few pixels. Everything follows from the photos and the seed.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np

from anime_tf.io.folders import by_stem, find_pictures
from anime_tf.io.pictures import read_picture, write_picture
from recipes.painter.color import to_oklab
from recipes.painter.masks import skin_likeness

# Exponent between stored values and light, near enough to sRGB's curve.
_GAMMA = 2.2

# Light of the night on red, green and blue, before a photo's own share of it.
_MOONLIGHT = (0.80, 0.95, 1.25)

# Colour of lamps, and the luminance of a photo from which it is taken for one.
_LAMPLIGHT, _LAMP = (0.48, 0.36, 0.21), 0.75

# (exponent on values, factor on saturation, side in pixels) of the squares around a face.
_FACE_LIGHTS = (
    (1.0, 1.0, 256),
    (1.5, 1.0, 288),
    (0.8, 0.8, 320),
    (2.0, 1.1, 400),
    (1.2, 0.9, 512),
    (2.6, 1.0, 272),
)


def half_size(photo_u8: np.ndarray, least_side: int) -> np.ndarray:
    """Shrinks a photo to half its size, or to where its shorter side is `least_side`.

    Args:
        photo_u8: RGB, uint8 (h, w, 3).
        least_side: Pixels that the shorter side keeps; a photo that has no more stays as it is.

    Returns:
        RGB, uint8 (h', w', 3).
    """
    height, width = photo_u8.shape[:2]
    scale = max(0.5, least_side / min(height, width))
    if scale >= 1.0:
        return photo_u8
    size = (round(width * scale), round(height * scale))
    return cv2.resize(photo_u8, size, interpolation=cv2.INTER_AREA)


def night(photo_u8: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turns day into night: little, blue light; what was brightest glows as lamps do.

    On linear light x of luminance y: x moonlight u + 1.0 lamplight clip((y - 0.75) / 0.25),
    u uniform in [0.10, 0.30], and noise of 2 of 255 on the values.

    Args:
        photo_u8: RGB, uint8 (h, w, 3).
        rng: Draws u and the noise.

    Returns:
        RGB, uint8 (h, w, 3).
    """
    light = (photo_u8.astype(np.float32) / 255.0) ** _GAMMA
    luminance = light @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    lamps = np.clip((luminance - _LAMP) / (1.0 - _LAMP), 0.0, 1.0)
    dark = light * np.array(_MOONLIGHT, np.float32) * np.float32(rng.uniform(0.10, 0.30))
    dark += lamps[..., None] * np.array(_LAMPLIGHT, np.float32)
    values = 255.0 * np.clip(dark, 0.0, 1.0) ** (1.0 / _GAMMA)
    values += rng.normal(0.0, 2.0, values.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def other_hue(photo_u8: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn all hues by one angle: free photos show rocks and skies, and few greens and reds.

    In CIELAB (a, b) turns by 60 to 300 degrees and grows by a factor of 1.1 to 1.7.

    Args:
        photo_u8: RGB, uint8 (h, w, 3).
        rng: Draws angle and factor.

    Returns:
        RGB, uint8 (h, w, 3).
    """
    angle, factor = np.radians(rng.uniform(60, 300)), rng.uniform(1.1, 1.7)
    lab = cv2.cvtColor(photo_u8.astype(np.float32) / 255.0, cv2.COLOR_RGB2Lab)
    a, b = factor * lab[..., 1], factor * lab[..., 2]
    lab[..., 1] = a * np.cos(angle) - b * np.sin(angle)
    lab[..., 2] = a * np.sin(angle) + b * np.cos(angle)
    values = 255.0 * np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0.0, 1.0)
    return np.rint(values).astype(np.uint8)


def face_window(photo_u8: np.ndarray, share: float = 0.5) -> np.ndarray:
    """Cuts out the square of a portrait that looks most like skin: its face, as a rule.

    Args:
        photo_u8: RGB, uint8 (h, w, 3).
        share: Side of the square as a share of the photo's shorter side.

    Returns:
        RGB, uint8 (s, s, 3).
    """
    height, width = photo_u8.shape[:2]
    side = max(1, round(share * min(height, width)))
    sums = cv2.integral(skin_likeness(to_oklab(photo_u8.astype(np.float32) / 255.0)))
    skin = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(np.argmax(skin), skin.shape)
    return photo_u8[top : top + side, left : left + side]


def other_light(
    photo_u8: np.ndarray, power: float, saturation: float, side: int | None = None
) -> np.ndarray:
    """Darken or brighten a photo by a power of its values, and scale its saturation.

    Args:
        photo_u8: RGB, uint8 (h, w, 3).
        power: Exponent on values in [0, 1]; above 1 darkens.
        saturation: Factor on the distance from gray.
        side: Height and width of the result; None for those of the photo.

    Returns:
        RGB, uint8.
    """
    if side is not None:
        shrinks = side < photo_u8.shape[0]
        way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        photo_u8 = cv2.resize(photo_u8, (side, side), interpolation=way)
    values = (photo_u8.astype(np.float32) / 255.0) ** power
    gray = values.mean(axis=2, keepdims=True)
    values = np.clip(gray + saturation * (values - gray), 0.0, 1.0)
    return np.rint(255.0 * values).astype(np.uint8)


def scene_folder(
    input_dir: str | Path,
    output_dir: str | Path,
    *,
    portraits: Collection[str] = (),
    least_side: int = 262,
    night_every: int = 4,
    hue_every: int = 2,
    seed: int = 0,
) -> tuple[list[Path], dict[Path, str]]:
    """Writes the photos of a folder and more scenes made from them, as PNG.

    NAME.png is the photo, NAME_half.png `half_size`, NAME_night.png `night` of every few photos in
    the order of their names, and NAME_face0.png to 5 the `face_window` of portraits in other
    lights. A photo that cannot be read is left out and named.

    Args:
        input_dir: Folder of photos, searched with its sub-folders.
        output_dir: Folder of the scenes; made where it is missing.
        portraits: Names, without suffix, of photos of one face each.
        least_side: For `half_size`.
        night_every: Of so many photos one becomes a night as well; 0 for none.
        hue_every: Of so many photos one is shown in another hue as well; 0 for none.
        seed: Of nights and hues.

    Returns:
        The files, relative to `output_dir`; and photo -> reason of those left out.

    Raises:
        FileNotFoundError: The folder is missing or holds no pictures.
        ValueError: A portrait is not among the photos, two photos share a name, or the output
            folder lies inside the input folder.
    """
    source_dir, target_dir = Path(input_dir), Path(output_dir)
    if target_dir.resolve().is_relative_to(source_dir.resolve()):
        raise ValueError(
            f"{target_dir}: expected an output folder outside the photos' folder {source_dir}, "
            "found it inside; the scenes would be taken for photos: choose another folder"
        )
    sources = by_stem(find_pictures(source_dir), source_dir)
    missing = sorted(set(portraits) - {Path(stem).name for stem in sources})
    if missing:
        raise ValueError(
            f"{source_dir}: expected the portraits {', '.join(missing)} among the photos, found "
            "none of that name; names are given without suffix"
        )
    written: list[Path] = []
    broken: dict[Path, str] = {}

    def write(name: str, scene_u8: np.ndarray) -> None:
        path = target_dir / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, scene_u8)
        written.append(path.relative_to(target_dir))

    for number, (stem, source) in enumerate(sorted(sources.items())):
        try:
            photo = read_picture(source).rgb_u8
        except (OSError, ValueError) as error:
            broken[source] = " ".join(str(error).split())
            continue
        write(str(stem), photo)
        small = half_size(photo, least_side)
        if small is not photo:
            write(f"{stem}_half", small)
        if night_every and number % night_every == 0:
            # A seed of its own for each photo: one more photo does not change the others' nights.
            draws = np.random.default_rng([seed, zlib.crc32(Path(stem).name.encode())])
            write(f"{stem}_night", night(photo, draws))
        if hue_every and number % hue_every == 0:
            draws = np.random.default_rng([seed, 1, zlib.crc32(Path(stem).name.encode())])
            write(f"{stem}_hue", other_hue(photo, draws))
        if Path(stem).name in portraits:
            face = face_window(photo)
            for which, (power, saturation, side) in enumerate(_FACE_LIGHTS):
                write(f"{stem}_face{which}", other_light(face, power, saturation, side))
    return written, broken


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, required=True, help="Folder of photos.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of the scenes.")
    parser.add_argument(
        "--portraits", default="", help="Names of photos of one face, comma-separated, no suffix."
    )
    parser.add_argument("--night_every", type=int, default=4, help="One night per so many photos.")
    parser.add_argument("--hue_every", type=int, default=2, help="One hue per so many photos.")
    arguments = parser.parse_args(argv)
    portraits = [name for name in arguments.portraits.split(",") if name]
    try:
        written, broken = scene_folder(
            arguments.input,
            arguments.output,
            portraits=portraits,
            night_every=arguments.night_every,
            hue_every=arguments.hue_every,
        )
    except (OSError, ValueError) as error:
        print(f"recipes.scenes: {error}", file=sys.stderr)
        return 2
    for path, reason in broken.items():
        print(f"recipes.scenes: {path}: {reason}", file=sys.stderr)
    print(f"{len(written)} scenes in {arguments.output}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
