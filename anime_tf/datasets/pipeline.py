"""Training batches as a pure function of seed and step.

The picture and the crop at each place of each batch follow from the seed and the place alone, not
from threads, earlier reads or the first step. A run resumed at step k therefore sees exactly the
batches of an uninterrupted run.
"""

from __future__ import annotations

import functools
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from anime_tf.datasets.workers import cached_superpixels
from anime_tf.io import pictures
from anime_tf.io.folders import DatasetFolders
from anime_tf.io.geometry import resize

if TYPE_CHECKING:
    import tensorflow as tf

FITS = ("resize", "crop")  # ways to fit a picture to the training size
# names of the pictures in a batch
STREAMS = ("photo", "paired", "anime", "smooth", "photo_superpixel")
_Pictures = dict[str, np.ndarray]  # stream -> RGB
_Read = dict[str, tuple[Path, np.ndarray]]

PHOTO_MIN_SIZE = 50  # smallest region of the photos' superpixels, pixels

SALT_SHARE = 0.1  # draws of salt noise, with repetition, per pixel

# A stream shares order and crops with its leader.
_LEADERS = {
    "photo": "photo",
    "photo_superpixel": "photo",
    "paired": "photo",
    "anime": "anime",
    "smooth": "anime",
}

# Purposes of random numbers, which keep order, crop, flip and zoom independent.
_ORDER, _CROP, _FLIP, _ZOOM = 1, 2, 3, 4

# Fit -> largest zoom of `augment_resize`. With "crop" a larger crop is reduced, which keeps
# lines sharp. With "resize" the pictures have the training size already, so a smaller
# crop is enlarged; more than CycleGAN's 286 to 256 pixels would teach the networks soft lines.
LARGEST_ZOOM = {"resize": 1.125, "crop": 2.0}


def _hashes(seed: int, stream: str, number: int, purpose: int, count: int) -> np.ndarray:
    """Hash the other arguments to `count` uint64, the same on every machine and numpy version."""
    entropy = [seed, zlib.crc32(stream.encode()), number, purpose]
    return np.random.SeedSequence(entropy).generate_state(count, np.uint64)


@functools.lru_cache(maxsize=16)
def _permutation(seed: int, stream: str, pass_number: int, count: int) -> np.ndarray:
    """Return the order of pass `pass_number` through the `count` pictures of a stream."""
    return np.argsort(_hashes(seed, stream, pass_number, _ORDER, count), kind="stable")


def steps_per_epoch(folders: DatasetFolders, batch_size: int) -> int:
    """Return the steps of one pass over the larger of photos and style pictures; at least 1."""
    return max(1, max(len(folders.train_photo), len(folders.style)) // batch_size)


def add_salt(picture_u8: np.ndarray, name: str) -> np.ndarray:
    """Set random pixels of a picture (h, w, 3), none on its border, to white; seeded by `name`."""
    height, width = picture_u8.shape[:2]
    random = np.random.RandomState(zlib.crc32(name.encode()))
    count = int(SALT_SHARE * height * width)
    rows, columns = (random.randint(1, side - 1, count) for side in (height, width))
    salted = picture_u8.copy()
    salted[rows, columns] = 255
    return salted


class TrainingPictures:
    """Batches of photos and style pictures for training.

    Place i of the batch of step s is slot ``s * batch_size + i``. With n pictures in a stream, the
    slot belongs to pass ``slot // n`` and shows picture ``permutation(seed, stream, pass)[slot %
    n]``. "smooth" shows the counterparts of "anime", and "paired" those of "photo", with the same
    crops and flips.

    An unreadable picture is logged once and kept in `broken`; the next readable one of its pass
    takes its slot, so batches keep their size. Alpha is ignored.

    Args:
        folders: The pictures, from `io.folders.dataset_folders`.
        image_size: Side, or height and width, of every picture in a batch, pixels.
        batch_size: Pictures of each stream in a batch.
        seed: Seed of orders and crops, 0 or more.
        fit: "resize" resizes the whole picture without keeping its proportions, as the original
            implementation does. "crop" cuts a random window at full resolution, which keeps lines
            sharp; a picture too small for it is enlarged to cover it.
        part: (number, count) of the part of every batch that this worker reads; (0, 1) for all.
        augment_flip: Mirror every second slot, at random, left-right.
        augment_resize: Cut windows of random size and resize them; see `LARGEST_ZOOM`.
        exposed: Expose each whole photo; see `datasets.exposure`.
        salt: Add AnimeGANv3's salt noise to the smooth pictures, seeded by their file names.

    Attributes:
        broken: Path -> reason of the unreadable pictures found so far.
    """

    def __init__(
        self,
        folders: DatasetFolders,
        *,
        image_size: int | tuple[int, int],
        batch_size: int,
        seed: int,
        fit: str = "resize",
        part: tuple[int, int] = (0, 1),
        augment_flip: bool = False,
        augment_resize: bool = False,
        exposed: bool = False,
        salt: bool = False,
    ) -> None:
        size_hw = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        if len(size_hw) != 2 or min(size_hw) < 1:
            raise ValueError(
                f"expected an image_size of at least 1, or (height, width), got {image_size}"
            )
        if batch_size < 1:
            raise ValueError(f"expected a batch_size of at least 1, got {batch_size}")
        if seed < 0:
            raise ValueError(f"expected a seed of at least 0, got {seed}")
        if fit not in FITS:
            raise ValueError(f"expected fit to be one of {', '.join(FITS)}, got {fit!r}")
        if not 0 <= part[0] < part[1] or batch_size % part[1]:
            raise ValueError(
                f"expected a part of a batch of {batch_size}, got {part[0]} of {part[1]}"
            )
        self.folders = folders
        self.image_size = (size_hw[0], size_hw[1])
        self.batch_size = batch_size
        self.seed = seed
        self.fit = fit
        self.part = part
        self.augment_flip = augment_flip
        self.augment_resize = augment_resize
        self.exposed = exposed
        self.salt = salt
        self.broken: dict[Path, str] = dict(folders.unreadable)
        self._paths: dict[str, tuple[Path, ...]] = {
            "photo": folders.train_photo,
            "photo_superpixel": folders.train_photo,
            "paired": folders.paired or (),
            "anime": folders.style,
            "smooth": folders.smooth,
        }
        for stream, paths in self._paths.items():
            leader = self._paths[_LEADERS[stream]]
            if paths and len(paths) != len(leader):
                raise ValueError(
                    f"expected {len(leader)} {stream} pictures, one for each {_LEADERS[stream]} "
                    f"picture, got {len(paths)}; list them with dataset_folders"
                )
        self.steps_per_epoch = steps_per_epoch(folders, batch_size)
        self._lock = threading.Lock()
        self._failure: ValueError | None = None

    def read_slot(self, slot: int, streams: Sequence[str]) -> dict[str, np.ndarray]:
        """Read the pictures of slot ``step * batch_size + place``.

        Returns:
            Name, of `streams` -> uint8 RGB (height, width, 3) at `image_size`.

        Raises:
            ValueError: No picture of a stream is readable, or, with fit="crop", a smooth or paired
                picture differs in size from its counterpart.
        """
        read: dict[str, np.ndarray] = {}
        for leader in dict.fromkeys(_LEADERS[stream] for stream in streams):
            names = [stream for stream in streams if _LEADERS[stream] == leader]
            # The leader's size determines the crop, so it is read even if it is not asked for.
            derived = "photo_superpixel" in names
            members = dict.fromkeys([leader, *names] if self.fit == "crop" or derived else names)
            members.pop("photo_superpixel", None)
            pictures_read = self._read(slot, leader, tuple(members))
            fitted = self._fit(pictures_read, slot, leader)
            if self.salt and "smooth" in fitted:
                fitted["smooth"] = add_salt(fitted["smooth"], pictures_read["smooth"][0].name)
            if self.augment_flip and _hashes(self.seed, leader, slot, _FLIP, 1)[0] % 2:
                fitted = {k: np.ascontiguousarray(rgb[:, ::-1]) for k, rgb in fitted.items()}
            if derived:
                fitted["photo_superpixel"] = cached_superpixels(fitted["photo"], PHOTO_MIN_SIZE)
            read.update((name, fitted[name]) for name in names)
        return {name: read[name] for name in streams}

    def batches(
        self, first_step: int, steps: int, streams: Sequence[str] = ("photo", "anime", "smooth")
    ) -> tf.data.Dataset:
        """Make the batches of steps first_step .. first_step + steps - 1.

        Errors inside the data set arrive as TensorFlow's errors; `iterate` converts them.

        Returns:
            Data set of dicts, name -> uint8 RGB (n, height, width, 3); n is `batch_size`, or this
            worker's part of it.

        Raises:
            ValueError: A stream is unknown, has no pictures, or only unreadable ones.
        """
        # TensorFlow takes seconds to import, and folders and orders are useful without it.
        import tensorflow as tf

        names = tuple(streams)
        if not names or len(set(names)) != len(names) or not set(names) <= set(STREAMS):
            raise ValueError(f"expected different streams of {', '.join(STREAMS)}, got {names}")
        if first_step < 0 or steps < 0:
            raise ValueError(f"expected steps of at least 0, got {first_step} and {steps}")
        for name in names:
            if not self._paths[name]:
                raise ValueError(
                    f"expected {name} pictures, got a listing without them; list the data set with "
                    "dataset_folders(..., need_smooth=True) or need_paired=True"
                )
        first_slot = first_step * self.batch_size
        if steps:
            # Fails here with a plain error, rather than inside TensorFlow, if nothing is readable.
            self.read_slot(first_slot, names)

        def read(slot: np.ndarray) -> list[np.ndarray]:
            try:
                return list(self.read_slot(int(slot), names).values())
            except ValueError as error:
                self._failure = error
                raise

        def element(slot: tf.Tensor) -> dict[str, tf.Tensor]:
            planes = tf.numpy_function(read, [slot], [tf.uint8] * len(names))
            return {
                name: tf.ensure_shape(plane, (*self.image_size, 3))
                for name, plane in zip(names, planes, strict=True)
            }

        number, parts = self.part
        share = self.batch_size // parts
        slots = tf.data.Dataset.range(first_slot, first_slot + steps * self.batch_size)
        if parts > 1:
            slots = slots.filter(lambda slot: slot % self.batch_size // share == number)
        options = tf.data.Options()
        # Private threads, because TensorFlow's shared pool may have only one.
        options.threading.private_threadpool_size = max(2, os.cpu_count() or 1)
        return (
            slots.map(element, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(share, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
            .with_options(options)
        )

    def iterate(
        self, first_step: int, steps: int, streams: Sequence[str] = ("photo", "anime", "smooth")
    ) -> Iterator[dict[str, tf.Tensor]]:
        """Yield the elements of `batches`, with errors of `read_slot` as plain ValueErrors."""
        import tensorflow as tf

        dataset = self.batches(first_step, steps, streams)
        self._failure = None
        try:
            yield from dataset
        except tf.errors.OpError as error:
            if self._failure is not None:
                raise self._failure from error
            raise

    def _read(self, slot: int, leader: str, members: Sequence[str]) -> _Read:
        """Read the pictures of a slot, or of the next readable position: stream -> (path, RGB)."""
        count = len(self._paths[leader])
        order = _permutation(self.seed, leader, slot // count, count)
        for position in range(slot, slot + count):
            index = order[position % count]
            paths = {member: self._paths[member][index] for member in members}
            if any(path in self.broken for path in paths.values()):
                continue
            read = {}
            for member, path in paths.items():
                try:
                    read[member] = (path, self._read_picture(path, member == "photo"))
                except (ValueError, OSError) as error:
                    self._add_broken(path, error)
                    break
            else:
                return read
        folder = self._paths[members[0]][0].parent
        raise ValueError(
            f"{folder}: expected readable {' and '.join(members)} pictures, got {count} unreadable "
            f"ones; the last: {next(reversed(self.broken.values()))}"
        )

    def _read_picture(self, path: Path, is_photo: bool) -> np.ndarray:
        rgb_u8 = pictures.read_picture(path).rgb_u8
        if not (self.exposed and is_photo):
            return rgb_u8
        from anime_tf.datasets.exposure import expose  # imports Keras, which takes seconds

        return expose(rgb_u8)

    def _add_broken(self, path: Path, error: Exception) -> None:
        with self._lock:
            if path not in self.broken:
                self.broken[path] = str(error)
                logging.warning("skipped: %s", error)

    def _fit(self, read: _Read, slot: int, leader: str) -> _Pictures:
        """Fit a leader and its counterparts to the training size."""
        if self.fit == "resize":
            whole = {name: resize(rgb, self.image_size) for name, (_, rgb) in read.items()}
            return self._zoom_in(whole, slot, leader) if self.augment_resize else whole
        leader_path, leader_rgb = read[leader]
        for name, (path, rgb) in read.items():
            if rgb.shape != leader_rgb.shape:
                remedy = (
                    "make smooth again at full size with "
                    "anime-tf dataset smooth --image_size=0 --overwrite --style_dir=..."
                    if name == "smooth"
                    else "resize one of them"
                )
                raise ValueError(
                    f"{path}: expected {leader_rgb.shape[1]}x{leader_rgb.shape[0]} pixels for "
                    f"fit='crop', as its counterpart {leader_path}, got "
                    f"{rgb.shape[1]}x{rgb.shape[0]}; {remedy}"
                )
        return self._crop({name: rgb for name, (_, rgb) in read.items()}, slot, leader)

    def _crop(self, full: _Pictures, slot: int, leader: str) -> _Pictures:
        """Cut one window out of pictures of one size."""
        height, width = self.image_size
        size = full[leader].shape[:2]
        # At least 1: only pictures too small for the window are resized.
        scale = max(1.0, height / size[0], width / size[1])
        cover = (max(height, round(size[0] * scale)), max(width, round(size[1] * scale)))
        zoom = self._zoom(slot, leader, min(cover[0] / height, cover[1] / width))
        rows, columns = min(cover[0], round(height * zoom)), min(cover[1], round(width * zoom))
        covering = {k: x if size == cover else resize(x, cover) for k, x in full.items()}
        return self._cut_window(covering, slot, leader, (rows, columns))

    def _zoom_in(self, fitted: _Pictures, slot: int, leader: str) -> _Pictures:
        """Enlarge one window of pictures that have the training size."""
        height, width = self.image_size
        zoom = self._zoom(slot, leader, LARGEST_ZOOM["resize"])
        size = (max(1, round(height / zoom)), max(1, round(width / zoom)))
        return self._cut_window(fitted, slot, leader, size)

    def _cut_window(
        self, sources: _Pictures, slot: int, leader: str, size_hw: tuple[int, int]
    ) -> _Pictures:
        """Cut the slot's random window of a size, and resize it to the training size."""
        rows, columns = size_hw
        height, width = next(iter(sources.values())).shape[:2]
        draws = _hashes(self.seed, leader, slot, _CROP, 2)
        top = int(draws[0] % np.uint64(height - rows + 1))
        left = int(draws[1] % np.uint64(width - columns + 1))
        window = (slice(top, top + rows), slice(left, left + columns))
        parts = {name: np.ascontiguousarray(x[window]) for name, x in sources.items()}
        return {name: resize(part, self.image_size) for name, part in parts.items()}

    def _zoom(self, slot: int, leader: str, largest: float) -> float:
        """Return the slot's ratio of window and training size, 1..largest."""
        largest = min(largest, LARGEST_ZOOM[self.fit])
        if not self.augment_resize or largest <= 1:
            return 1.0
        (draw,) = _hashes(self.seed, leader, slot, _ZOOM, 1)
        return 1.0 + (largest - 1.0) * int(draw) / 2**64
