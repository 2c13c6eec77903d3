"""Paint a folder of photos; pictures that are painted already are kept.

    python -m recipes.paint --input=photos --output=painted/cel --style=cel

Stop and start it as you like: each picture appears whole or not at all.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import os
import sys
import zlib
from pathlib import Path

from tqdm import tqdm

from anime_tf.io.folders import by_stem, find_pictures
from anime_tf.io.geometry import limit_array_side
from anime_tf.io.pictures import read_picture, write_picture
from recipes.painter.style import STYLES


def pending(input_dir: Path, output_dir: Path) -> list[tuple[Path, Path]]:
    """List the photos that have no painting yet, with the paths of their paintings.

    In an order without meaning, so that any part is a fair sample of the whole.
    """
    photos = by_stem(find_pictures(input_dir), input_dir)
    pairs = [(photo, output_dir / f"{stem}.png") for stem, photo in photos.items()]
    todo = [(photo, painting) for photo, painting in pairs if not painting.exists()]
    return sorted(todo, key=lambda pair: zlib.crc32(pair[1].name.encode()))


def paint_file(photo: Path, painting: Path, style: str, max_side: int) -> str:
    """Paint one picture; return why it failed, or nothing."""
    from recipes.painter.paint import paint

    try:
        photo_u8 = read_picture(photo).rgb_u8
        if max_side:
            photo_u8 = limit_array_side(photo_u8, max_side)
        painting.parent.mkdir(parents=True, exist_ok=True)
        write_picture(painting, paint(photo_u8, STYLES[style]))
    except (OSError, ValueError) as error:
        return f"{photo}: {error}"
    return ""


def _start_worker() -> None:
    import cv2
    import numba

    cv2.setNumThreads(1)
    numba.set_num_threads(1)


def paint_folder(
    input_dir: Path, output_dir: Path, style: str, *, max_side: int = 0, workers: int = 0
) -> list[str]:
    """Paint the photos of a folder that have no painting yet.

    Args:
        input_dir: Photos, searched with their sub-folders.
        output_dir: Of the paintings: PNG, named like the photos.
        style: A name of `STYLES`.
        max_side: Larger photos are reduced to this longer side first; 0 for none.
        workers: Processes, one picture each; 0 for one a CPU.

    Returns:
        A line for every photo that could not be painted.
    """
    todo = pending(input_dir, output_dir)
    failures = []
    spawn = multiprocessing.get_context("spawn")
    with (
        concurrent.futures.ProcessPoolExecutor(
            workers or os.cpu_count(), spawn, initializer=_start_worker
        ) as pool,
        tqdm(total=len(todo), unit=" pictures", file=sys.stderr) as bar,
    ):
        jobs = [pool.submit(paint_file, *pair, style, max_side) for pair in todo]
        for job in concurrent.futures.as_completed(jobs):
            if failure := job.result():
                failures.append(failure)
            bar.update()
    return failures


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, required=True, help="Folder of photos.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of the paintings.")
    parser.add_argument("--style", choices=sorted(STYLES), required=True, help="How to paint.")
    parser.add_argument(
        "--max_side", type=int, default=704, help="Reduce larger photos to this; 0 for none."
    )
    parser.add_argument("--workers", type=int, default=0, help="Processes; 0 for one a CPU.")
    arguments = parser.parse_args(argv)
    try:
        failures = paint_folder(
            arguments.input,
            arguments.output,
            arguments.style,
            max_side=arguments.max_side,
            workers=arguments.workers,
        )
    except (OSError, ValueError) as error:
        print(f"recipes.paint: {error}", file=sys.stderr)
        return 2
    for failure in failures:
        print(f"recipes.paint: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
