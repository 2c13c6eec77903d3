"""Picture files through a `Stylizer`, with the chosen treatment of faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anime_tf.faces.align import OrientedSquare, crop_portrait
from anime_tf.faces.config import FaceConfig
from anime_tf.faces.detect import FaceFinder
from anime_tf.faces.draw import draw_faces
from anime_tf.faces.face_stylizer import FaceStylizer, Stylize
from anime_tf.inference.batch import BatchReport, Task, extract_files, plan, stylize_files
from anime_tf.inference.config import InferConfig, StylizerConfig
from anime_tf.inference.screentone import screentone
from anime_tf.io import pictures
from anime_tf.io.geometry import limit_array_side, side_by_side
from anime_tf.io.pictures import Picture
from anime_tf.styles.registry import weights_path


def face_weights_config(config: StylizerConfig, faces: FaceConfig) -> StylizerConfig:
    """Return the settings for faces: their own weights, if any, in the fastest engine."""
    if faces.weights is None:
        return config
    return config.replace(weights=faces.weights, engine="auto", engine_precision="auto")


def stylize_pictures(
    config: InferConfig, stylizer_config: StylizerConfig, face_config: FaceConfig
) -> tuple[list[Task], BatchReport]:
    """Stylize the pictures of `config.input`; find wrong inputs before TensorFlow is loaded.

    Returns:
        The pictures, and the results.

    Raises:
        FileNotFoundError: There are no such pictures or weights.
        ValueError: An output that cannot be written, or a missing package.
    """
    tasks = plan(config.input, config.output, bits=config.bits, keep_foreign=config.keep_foreign)
    weights_path(stylizer_config.weights)
    if face_config.weights:
        weights_path(face_config.weights)
    work = make_picture_work(config, stylizer_config, face_config)
    if config.faces == "crop":
        return tasks, extract_files(tasks, work, "face", allow_truncated=config.allow_truncated)
    settings = {name: getattr(config, name) for name in ("quality", "bits", "allow_truncated")}
    return tasks, stylize_files(tasks, work, **settings)


def make_picture_work(
    config: InferConfig, stylizer_config: StylizerConfig, face_config: FaceConfig
) -> Callable[[Any], Any]:
    """Make the function of `stylize_files`, or with --faces=crop that of `extract_files`."""
    finder = None if config.faces == "off" else FaceFinder(face_config)
    if config.bits == 16:
        stylizer_config = stylizer_config.replace(dtype="uint16")
    if finder is not None and config.faces == "crop":
        return _FaceCrops(config, stylizer_config, face_config, finder)
    work = _picture_stylizer(config, stylizer_config, face_config, finder)

    def stylize(photo: Picture | np.ndarray) -> np.ndarray:
        array = photo.array_u8 if isinstance(photo, Picture) else photo
        array = limit_array_side(array, stylizer_config.max_side)
        anime = work(array)
        if config.screentone:
            anime = screentone(anime, config.screentone)
        return side_by_side(array, anime) if config.compare else anime

    return stylize


def _picture_stylizer(
    config: InferConfig,
    stylizer_config: StylizerConfig,
    face_config: FaceConfig,
    finder: FaceFinder | None,
) -> Stylize:
    if finder is not None and config.faces == "draw":
        found = finder

        def draw(photo_u8: np.ndarray) -> np.ndarray:
            rgb_u8 = pictures.as_picture(photo_u8).rgb_u8
            return draw_faces(rgb_u8, found(rgb_u8), face_config.padding)

        return draw
    from anime_tf.inference.stylizer import Stylizer

    stylizer = Stylizer(stylizer_config)
    if finder is None:
        return stylizer
    return make_face_stylizer(stylizer, stylizer_config, face_config, finder)


def make_face_stylizer(
    stylizer: Stylize, config: StylizerConfig, face_config: FaceConfig, finder: FaceFinder
) -> FaceStylizer:
    """Make a `FaceStylizer`, with weights of its own for faces if there are any."""
    from anime_tf.inference.stylizer import Stylizer

    own = Stylizer(face_weights_config(config, face_config)) if face_config.weights else None
    return FaceStylizer(stylizer, finder, face_stylizer=own, config=face_config)


class _FaceCrops:
    """Cut stylized portraits out of a photo; with `compare` next to the photo's."""

    def __init__(
        self,
        config: InferConfig,
        stylizer_config: StylizerConfig,
        face_config: FaceConfig,
        finder: FaceFinder,
    ) -> None:
        from anime_tf.inference.stylizer import Stylizer

        stylizer = Stylizer(face_weights_config(stylizer_config, face_config))
        self._compare, self._screentone = config.compare, config.screentone
        self._max_side = stylizer_config.max_side
        self._finder, self._face_config = finder, face_config
        self._face_stylizer = FaceStylizer(stylizer, finder, config=face_config)

    def __call__(self, photo: Picture) -> list[Picture]:
        rgb_u8 = pictures.limit_side(photo, self._max_side).rgb_u8
        faces = sorted(self._finder(rgb_u8), key=lambda face: face.box[0])
        made = self._face_stylizer.portraits(rgb_u8, faces)
        if self._screentone:
            made = [screentone(portrait_u8, self._screentone) for portrait_u8 in made]
        if self._compare:
            size, padding = self._face_config.size, self._face_config.padding
            before = [
                crop_portrait(rgb_u8, OrientedSquare.from_face(face, padding), size)
                for face in faces
            ]
            made = [side_by_side(*pair) for pair in zip(before, made, strict=True)]
        return [pictures.as_picture(made_u8) for made_u8 in made]
