"""The verb ``evaluate``: how near results are to a style, and what they keep of their photos."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from absl import flags, logging

from anime_tf.cli import app


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("photos", None, "Folder of photos.", required=True, flag_values=values)
    flags.DEFINE_list(
        "results",
        None,
        "Folder of what was made of them, under the photos' names; several with commas between "
        "are compared.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "style",
        None,
        "Folder of pictures in the style, whole frames.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string("json", None, "File that gets every number.", flag_values=values)
    flags.DEFINE_string(
        "sheet", None, "Picture file that gets photos and results side by side.", flag_values=values
    )
    flags.DEFINE_integer(
        "sheet_photos", 8, "Photos on the sheet.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_integer(
        "sheet_side",
        480,
        "Longer side of a picture there, pixels.",
        lower_bound=64,
        flag_values=values,
    )
    flags.DEFINE_string(
        "inception",
        None,
        "Also take FID and KID in InceptionV3's features: imagenet, which Keras fetches, or a .h5 "
        "file of keras.applications without its top.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "perceptual_weights",
        None,
        "Also take the distance in VGG-19's features: imagenet, random, or a file, as train.py.",
        flag_values=values,
    )


def _main(values: flags.FlagValues) -> int:
    from anime_tf.io import pictures
    from anime_tf.metrics.report import (
        PictureSet,
        contact_sheet,
        evaluate,
        format_rows,
    )

    photos_dir = Path(values.photos)
    photos = PictureSet.from_folder(photos_dir, "photos")
    results = [PictureSet.from_results(Path(folder), photos_dir) for folder in values.results]
    style = PictureSet.from_folder(Path(values.style), "style")
    rows = evaluate(photos, results, style, _networks(values))
    print(format_rows(rows))
    if values.json:
        pictures.write_bytes_whole(values.json, json.dumps(rows, indent=1).encode())
    if values.sheet:
        sheet = contact_sheet(photos, results, count=values.sheet_photos, side=values.sheet_side)
        pictures.write_picture(values.sheet, sheet)
        logging.info("%s: the photos, and %s", values.sheet, ", ".join(values.results))
    return app.EXIT_DONE


def _networks(values: flags.FlagValues) -> Any:
    from anime_tf.metrics.report import NetworkMetrics

    if not values.inception and not values.perceptual_weights:
        return NetworkMetrics()
    app.import_tensorflow()
    from anime_tf.metrics.networks import make_inception_features, make_perceptual_distance

    return NetworkMetrics(
        inception=make_inception_features(values.inception) if values.inception else None,
        perceptual=(
            make_perceptual_distance(values.perceptual_weights)
            if values.perceptual_weights
            else None
        ),
    )


COMMAND = app.Command(
    name="evaluate",
    summary="Measure how near results are to a style, and what they keep of their photos.",
    example="--photos=photos --results=anime --style=dataset/MyStyle/style --sheet=sheet.png",
    define_flags=_define_flags,
    main=_main,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
