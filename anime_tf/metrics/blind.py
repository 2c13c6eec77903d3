"""Blind comparisons: pairs of results without names, and the count of a viewer's votes."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from anime_tf.errors import reading
from anime_tf.io import atomic, pictures
from anime_tf.io.geometry import resize, side_by_side
from anime_tf.io.plain_file import read_plain_file
from anime_tf.metrics.report import PictureSet

SIDES = ("left", "right")
CHOICES = (*SIDES, "equal")
_GAP = 24  # white space between the pictures of a pair, pixels


@dataclass(frozen=True)
class Count:
    """Votes of one viewer.

    Attributes:
        votes: Number of votes for each set, by its name, and for `equal`.
        lost: Photos whose vote went to the second set.
    """

    votes: dict[str, int]
    lost: tuple[str, ...]


def write_pairs(
    photos: PictureSet,
    results: tuple[PictureSet, PictureSet],
    folder: Path,
    key: Path,
    *,
    seed: int = 0,
    side: int = 960,
) -> None:
    """Write `001.png`, ...: photo, left and right result; and `votes.csv` to fill in.

    Order and sides are random; half of the pairs show each set on the left.

    Args:
        photos: Photos.
        results: Two sets of results, in the order of the photos.
        folder: New folder for the pairs; it tells nothing about the sets.
        key: JSON file for the key, outside the folder.
        seed: Seed of order and sides.
        side: Longer side of each picture in pixels.

    Raises:
        ValueError: The key would lie in the folder.
    """
    if folder.resolve() in key.resolve().parents:
        raise ValueError(f"{key}: expected a key outside {folder}, which the viewers see")
    random = np.random.default_rng(seed)
    count = len(photos.paths)
    order = random.permutation(count)
    first_is_left = random.permutation(np.arange(count) % 2 == 0)
    pairs = []
    with atomic.atomic_folder(folder) as part:
        for number, index in enumerate(order, 1):
            left = int(not first_is_left[index])
            chosen = (photos, results[left], results[1 - left])
            photo, *shown = (pictures.read_picture(one.paths[index]) for one in chosen)
            photo = pictures.limit_side(photo, side)
            row = photo.rgb_u8
            for picture in shown:
                picture_u8 = resize(picture.rgb_u8, photo.size_hw)
                row = side_by_side(
                    row,
                    cv2.copyMakeBorder(
                        picture_u8, 0, 0, _GAP, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255)
                    ),
                )
            name = f"{number:03d}.png"
            pictures.write_picture(part / name, row)
            sets = dict(zip(SIDES, (results[left].name, results[1 - left].name), strict=True))
            pairs.append({"pair": name, "photo": photos.paths[index].name, **sets})
        rows = "".join(f"{pair['pair']},\n" for pair in pairs)
        (part / "votes.csv").write_text(f"pair,choice\n{rows}", encoding="utf-8")
    document = {"sets": [one.name for one in results], "pairs": pairs}
    atomic.write_bytes(key, json.dumps(document, indent=1).encode())


def count_votes(key: Path, votes: Path) -> Count:
    """Count a filled-in `votes.csv` whose choices are left, right or equal.

    Raises:
        ValueError: A file is no key or table; a pair is unknown, voted twice or missing.
    """
    with reading(key, "a key of blind pairs"):
        document = json.loads(read_plain_file(key, "a key of blind pairs"))
        pairs = {pair["pair"]: pair for pair in document["pairs"]}
        first, second = document["sets"]
    with reading(votes, "a table of votes"):
        text = read_plain_file(votes, "a table of votes").decode("utf-8")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        table = [(row.get("pair"), row.get("choice")) for row in rows]
    names = Counter(name for name, _ in table)
    wrong = [name for name in names if name not in pairs or names[name] > 1]
    wrong += [name for name in pairs if name not in names]
    wrong += [f"{name} ({choice})" for name, choice in table if choice not in CHOICES]
    if wrong:
        raise ValueError(
            f"{votes}: expected one vote ({', '.join(CHOICES)}) for each of {len(pairs)} "
            f"pairs, got another number or choice for {wrong[0]}"
        )
    counts = dict.fromkeys((first, second, "equal"), 0)
    lost = []
    for name, choice in table:
        chosen = pairs[name].get(choice, "equal")
        counts[chosen] += 1
        if chosen == second:
            lost.append(pairs[name]["photo"])
    return Count(counts, tuple(lost))
