"""Commands of the recipes: ``python -m recipes paint`` and ``python -m recipes scenes``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.flags import make_config
from anime_tf.config import Config, setting


@dataclass(frozen=True)
class PaintConfig(Config):
    """Settings of ``paint``.

    Attributes:
        input: Folder of photos.
        output: Folder of the painted pictures, PNG under the photos' names; for training,
            DATASET/STYLE/style or DATASET/STYLE/paired.
        max_side: Shrink photos so that no side is longer; 0 is no limit.
        workers: Number of threads; 0 is one per CPU.
    """

    input: str = setting()
    output: str = setting()
    max_side: int = setting(0, minimum=0)
    workers: int = setting(0, minimum=0)


@dataclass(frozen=True)
class ScenesConfig(Config):
    """Settings of ``scenes``.

    Attributes:
        input: Folder of photos.
        output: Folder of the photos and their variants, PNG; for training, DATASET/train_photo.
        portraits: Names, without suffix, of photos whose face is shown in more lights.
    """

    input: str = setting()
    output: str = setting()
    portraits: tuple[str, ...] = setting(())


def paint(values: flags.FlagValues) -> int:
    """Paints photos; returns the exit code."""
    from recipes.painter import paint_folder

    config = make_config(values, PaintConfig)
    report = paint_folder(
        config.input, config.output, max_side=config.max_side, workers=config.workers or None
    )
    return _exit_code(config.output, len(report.painted), report.broken)


def scenes(values: flags.FlagValues) -> int:
    """Makes variants of photos; returns the exit code."""
    from recipes.scenes import scene_folder

    config = make_config(values, ScenesConfig)
    written, broken = scene_folder(config.input, config.output, portraits=config.portraits)
    return _exit_code(config.output, len(written), broken)


def _exit_code(output: str, written: int, broken: Mapping[Path, str]) -> int:
    for path, reason in broken.items():
        # Most reasons begin with the path.
        logging.warning("skipped: %s", reason if str(path) in reason else f"{path}: {reason}")
    logging.info("%s: %d written", output, written)
    if not written:
        return app.EXIT_NOTHING_DONE
    return app.EXIT_SOME_FAILED if broken else app.EXIT_DONE


COMMAND = app.Group(
    name="recipes",
    summary="Make training pictures of the built-in styles.",
    commands=(
        app.Command(
            name="paint",
            summary="Paint photos flat and outlined: pictures of a style without a video.",
            example="--input=dataset/train_photo --output=dataset/MyStyle/style",
            configs=(PaintConfig,),
            main=paint,
        ),
        app.Command(
            name="scenes",
            summary="Make smaller photos, night scenes, and faces in other lights.",
            example="--input=photos --output=dataset/train_photo --portraits=anna,bert",
            configs=(ScenesConfig,),
            main=scenes,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND, sys.argv[1:], "python -m recipes"))
