"""The verb ``dataset``: builds style data sets from films, pictures and photos."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.datasets.edge_smooth import RESAMPLINGS, smooth_folder
from anime_tf.datasets.extract.crops import CROP_MODES
from anime_tf.datasets.extract.extractor import FrameSettings
from anime_tf.datasets.extract.quality import QualityLimits
from anime_tf.metrics.perceptual_hash import HASH_BITS


def _workers(values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "workers",
        0,
        "Pictures worked on at a time; 0 for as many as there are CPUs.",
        lower_bound=0,
        flag_values=values,
    )


def _define_frames(values: flags.FlagValues) -> None:
    limits, settings = QualityLimits(), FrameSettings()
    flags.DEFINE_string(
        "input",
        None,
        "A film in any format that FFmpeg reads, a folder of films, a glob, or several of these "
        "with commas between.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "Folder of the pictures, FILM_000123.png with the number of the frame; for training, "
        "DATASET/STYLE/style.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_integer("every", 5, "Look at every Nth frame.", lower_bound=1, flag_values=values)
    flags.DEFINE_bool(
        "scenes", False, "Look at one frame of each shot instead.", flag_values=values
    )
    flags.DEFINE_float(
        "min_luma",
        limits.luma,
        "Leave out near-black pictures, with a mean luma (0..255) under this.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "min_contrast",
        limits.contrast,
        "Leave out near-blank pictures, whose luma has a standard deviation under this.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "min_sharpness",
        limits.sharpness,
        "Leave out blurred pictures, with a variance of the Laplacian under this, measured with "
        "the shorter side at 256 pixels.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "min_distance",
        settings.min_distance,
        "Leave out near-duplicates, pictures whose perceptual hash differs in fewer of 64 bits "
        "from that of another one, of any film or in the folder already; 0 keeps them.",
        lower_bound=0,
        upper_bound=HASH_BITS,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "cut_bars", settings.cut_bars, "Cut off the film's black bars.", flag_values=values
    )
    flags.DEFINE_list(
        "trim",
        ["0", "0", "0", "0"],
        "Percent to cut off at top, bottom, left and right besides: 0,15,0,0 for subtitles.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "crops",
        settings.crops,
        "Windows to cut from each frame at full resolution, at most; 0 for whole frames.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "crop_size",
        settings.crop_size,
        "Side of a window in pixels.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "crop_mode",
        settings.crop_mode,
        CROP_MODES,
        "Where windows lie: anywhere, or side by side.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", settings.seed, "Of the windows.", lower_bound=0, flag_values=values
    )
    flags.DEFINE_integer(
        "max_pictures",
        0,
        "End when so many pictures are written; 0 for no end.",
        lower_bound=0,
        flag_values=values,
    )


def _trim(words: list[str]) -> tuple[float, float, float, float]:
    try:
        top, bottom, left, right = (float(word) for word in words)
    except ValueError:
        raise app.UsageError(
            "--trim must be four percents, for top, bottom, left and right, as in 0,15,0,0; got "
            + ",".join(words)
        ) from None
    return top, bottom, left, right


def _frames(values: flags.FlagValues) -> int:
    from anime_tf.datasets.extract.extractor import extract_frames
    from anime_tf.io.video.paths import find_films

    if values.scenes and values["every"].present:
        raise app.UsageError("give --every or --scenes, not both")
    settings = FrameSettings(
        every=values.every,
        scenes=values.scenes,
        limits=QualityLimits(values.min_luma, values.min_contrast, values.min_sharpness),
        min_distance=values.min_distance,
        cut_bars=values.cut_bars,
        trim=_trim(values.trim),
        crops=values.crops,
        crop_size=values.crop_size,
        crop_mode=values.crop_mode,
        seed=values.seed,
    )
    report = extract_frames(
        find_films(values.input), values.output, settings, max_pictures=values.max_pictures
    )
    for line in report.lines():
        logging.info("%s", line)
    if not report.films_read:
        return app.EXIT_NOTHING_DONE
    if not report.listed:
        looked_at = sum(film.record.candidates for film in report.films if film.record)
        app.complain(f"{values.output}: no picture; all {looked_at} candidates were left out")
        return app.EXIT_NOTHING_DONE
    return app.EXIT_SOME_FAILED if report.troubles else app.EXIT_DONE


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
    return app.EXIT_SOME_FAILED if report.skipped else app.EXIT_DONE


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
    from recipes.painter import paint_folder

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
        return app.EXIT_NOTHING_DONE
    return app.EXIT_SOME_FAILED if report.broken else app.EXIT_DONE


def _define_scenes(values: flags.FlagValues) -> None:
    flags.DEFINE_string("input", None, "Folder of photos.", required=True, flag_values=values)
    flags.DEFINE_string(
        "output",
        None,
        "Folder of the photos and of what is made of them, PNG; for training, DATASET/train_photo.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_list(
        "portraits",
        [],
        "Names, without suffix, of photos whose face is to be shown in more lights.",
        flag_values=values,
    )


def _scenes(values: flags.FlagValues) -> int:
    from recipes.scenes import scene_folder

    written, broken = scene_folder(values.input, values.output, portraits=values.portraits)
    for path, reason in broken.items():
        logging.warning("left out: %s", reason if str(path) in reason else f"{path}: {reason}")
    logging.info("%s: %d written", values.output, len(written))
    if not written:
        return app.EXIT_NOTHING_DONE
    return app.EXIT_SOME_FAILED if broken else app.EXIT_DONE


def _define_check(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "dataset_dir",
        None,
        "Folder with train_photo and the style's folder, as for training.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "style",
        None,
        "Name of the style's folder below --dataset_dir.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "image_size", 256, "Side of the training pictures.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_string(
        "json", "", "File for the report with every name and number.", flag_values=values
    )
    _workers(values)


def _check(values: flags.FlagValues) -> int:
    from anime_tf.datasets.check import check_dataset
    from anime_tf.io.pictures import write_bytes_whole

    report = check_dataset(
        values.dataset_dir,
        values.style,
        image_size=values.image_size,
        workers=values.workers or None,
    )
    print(report.text(), flush=True)
    for problem in report.problems:
        app.complain(problem)
    if values.json:
        text = json.dumps(report.facts, indent=2, ensure_ascii=False) + "\n"
        write_bytes_whole(values.json, text.encode())
    return app.EXIT_SOME_FAILED if report.problems else app.EXIT_DONE


COMMAND = app.Group(
    name="dataset",
    summary="Build a style data set: frames of films, their smooth half, painted photos; check it.",
    commands=(
        app.Command(
            name="frames",
            summary="Take pictures of the style out of films: whole frames, or crops of them.",
            example="--input=film.mkv --output=dataset/MyStyle/style --every=5\n"
            "--input=films --output=dataset/MyStyle/style --scenes --crops=4 --crop_size=256",
            define_flags=_define_frames,
            main=_frames,
        ),
        app.Command(
            name="smooth",
            summary="Make the smooth half of a style: its pictures with blurred edges.",
            example="--style_dir=dataset/MyStyle/style --image_size=256",
            define_flags=_define_smooth,
            main=_smooth,
        ),
        app.Command(
            name="paint",
            summary="Paint photos flat and outlined: pictures of a style without a film.",
            example="--input=dataset/train_photo --output=dataset/MyStyle/style",
            define_flags=_define_paint,
            main=_paint,
        ),
        app.Command(
            name="scenes",
            summary="Photos smaller, by night, and faces in other lights: more to train on.",
            example="--input=photos --output=dataset/train_photo --portraits=anna,bert",
            define_flags=_define_scenes,
            main=_scenes,
        ),
        app.Command(
            name="check",
            summary="Look at every picture of a data set, and tell what is wrong with it.",
            example="--dataset_dir=dataset --style=MyStyle",
            define_flags=_define_check,
            main=_check,
        ),
    ),
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
