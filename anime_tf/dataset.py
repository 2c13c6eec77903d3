"""The verb ``dataset``: builds style data sets from films, pictures and photos."""

from __future__ import annotations

import sys
from pathlib import Path

from absl import flags, logging

from anime_tf import cli
from anime_tf.data.edge_smooth import RESAMPLINGS, smooth_folder


def _workers(values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "workers",
        0,
        "Pictures worked on at a time; 0 for as many as there are CPUs.",
        lower_bound=0,
        flag_values=values,
    )


def _define_frames(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "input", None, "A film, in any format that FFmpeg reads.", required=True, flag_values=values
    )
    flags.DEFINE_string(
        "output",
        None,
        "Folder of the pictures, FILM_000123.png with the number of the frame; for training, "
        "DATASET/STYLE/style.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_integer("every", 5, "Take every Nth frame.", lower_bound=1, flag_values=values)


def _frames(values: flags.FlagValues) -> int:
    from anime_tf.data.frames import extract_frames

    report = extract_frames(values.input, values.output, every=values.every)
    logging.info("%s: %d of %d frames written", values.output, len(report.written), report.frames)
    return cli.EXIT_DONE if report.damage is None else cli.EXIT_SOME_FAILED


def _define_smooth(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "style_dir",
        None,
        "Folder with the pictures of the style, DATASET/STYLE/style.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        "",
        "Folder of the smooth pictures; empty for 'smooth' beside --style_dir, where training "
        "looks for it.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "image_size",
        256,
        "Side in pixels to bring the pictures to, that of training; 0 leaves them at full size, "
        "for training on crops.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "resampling",
        RESAMPLINGS[0],
        RESAMPLINGS,
        "How to resize: area, as training resizes the style pictures; linear, as the original "
        "implementation does.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "overwrite",
        False,
        "Replace the smooth pictures that an earlier run made.",
        flag_values=values,
    )
    _workers(values)


def _smooth(values: flags.FlagValues) -> int:
    size = values.image_size
    report = smooth_folder(
        values.style_dir,
        values.output or Path(values.style_dir).parent / "smooth",
        (size, size) if size else None,
        workers=values.workers or None,
        resampling=values.resampling,
        overwrite=values.overwrite,
    )
    logging.info("%s: %d written", report.folder, report.written)
    return cli.EXIT_SOME_FAILED if report.skipped else cli.EXIT_DONE


def _define_paint(values: flags.FlagValues) -> None:
    flags.DEFINE_string("input", None, "Folder of photos.", required=True, flag_values=values)
    flags.DEFINE_string(
        "output",
        None,
        "Folder of the painted pictures, PNG under the photos' names; for training, "
        "DATASET/STYLE/style or DATASET/STYLE/paired.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "max_side",
        0,
        "Shrink photos first so that no side is longer than this; 0 keeps their size.",
        lower_bound=0,
        flag_values=values,
    )
    _workers(values)


def _paint(values: flags.FlagValues) -> int:
    from anime_tf.data.painter import paint_folder

    report = paint_folder(
        values.input,
        values.output,
        max_side=values.max_side,
        workers=values.workers or None,
    )
    for path, reason in report.broken.items():
        # Most reasons begin with the path as it is.
        logging.warning("left out: %s", reason if str(path) in reason else f"{path}: {reason}")
    logging.info("%s: %d written", values.output, len(report.painted))
    if not report.painted:
        return cli.EXIT_NOTHING_DONE
    return cli.EXIT_SOME_FAILED if report.broken else cli.EXIT_DONE


COMMAND = cli.Group(
    name="dataset",
    summary="Build a style data set: pictures from films, their smooth half, painted photos.",
    commands=(
        cli.Command(
            name="frames",
            summary="Take every Nth frame of a film as a picture of the style.",
            example="--input=film.mkv --output=dataset/MyStyle/style --every=5",
            define_flags=_define_frames,
            main=_frames,
        ),
        cli.Command(
            name="smooth",
            summary="Make the smooth half of a style: its pictures with blurred edges.",
            example="--style_dir=dataset/MyStyle/style --image_size=256",
            define_flags=_define_smooth,
            main=_smooth,
        ),
        cli.Command(
            name="paint",
            summary="Paint photos flat and outlined: pictures of a style without a film.",
            example="--input=dataset/train_photo --output=dataset/MyStyle/style",
            define_flags=_define_paint,
            main=_paint,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(cli.run(COMMAND))
