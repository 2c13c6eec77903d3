"""Makes a strip of pictures: photos and a frame of a video in the first row, each style below.

python -m docs.make_strip --styles=cel,gouache,manga --output=docs/images/strip.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from matplotlib import cbook

from anime_tf import Stylizer
from anime_tf.video.stabilizer import TemporalStabilizer

ROOT = Path(__file__).resolve().parents[1]
SIDE = 288
VIDEO_FRAMES = 12  # of a camera that moves over the colosseum; the last one is shown
# file -> the square of it: left, top, side
CROPS = {
    ROOT / "samples" / "colosseum.jpg": (180, 30, 400),
    Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)): (86, 30, 340),
    ROOT / "samples" / "lake.jpg": (190, 0, 432),
    ROOT / "samples" / "osprey.jpg": (240, 20, 400),
}


def main(styles: list[str], output: str) -> None:
    """Write the strip for some styles, names or paths."""
    stylizers = [Stylizer(style) for style in styles]
    columns = []
    for path, (left, top, side) in CROPS.items():
        photo = cv2.imread(str(path))[top : top + side, left : left + side]
        columns.append([photo, *(one(photo[..., ::-1])[..., ::-1] for one in stylizers)])
    columns.append(_video_column(stylizers))
    strip = [
        np.vstack([cv2.resize(row, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for row in rows])
        for rows in columns
    ]
    cv2.imwrite(output, np.hstack(strip), [cv2.IMWRITE_JPEG_QUALITY, 88])


def _video_column(stylizers: list[Stylizer]) -> list[np.ndarray]:
    """Return the last frame of a video and its stylized forms, BGR."""
    photo = cv2.imread(str(ROOT / "samples" / "colosseum.jpg"))
    frames = [photo[130:420, 40 + 6 * i : 330 + 6 * i] for i in range(VIDEO_FRAMES)]
    column = [frames[-1]]
    for stylizer in stylizers:
        stabilizer = TemporalStabilizer(stylizer, stabilize="blend")
        for i, frame in enumerate(frames):
            anime_u8 = stabilizer(np.ascontiguousarray(frame[..., ::-1]), i / 25)
        column.append(anime_u8[..., ::-1])
    return column


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--styles", required=True, help="names or paths, with commas between")
    parser.add_argument("--output", required=True, help="a JPEG file")
    arguments = parser.parse_args()
    main(arguments.styles.split(","), arguments.output)
