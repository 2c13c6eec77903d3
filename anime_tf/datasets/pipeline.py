"""Training batches, a pure function of seed and step.

Which picture stands in which place of which batch, and which window is cut from it, follows from
the seed and from the place alone: nothing depends on threads, on what was read before, or on where
a run began. A run resumed at step k therefore sees exactly what an unbroken one sees.
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

from anime_tf.io import pictures
from anime_tf.io.folders import DatasetFolders

if TYPE_CHECKING:
    import tensorflow as tf

FITS = ("resize", "crop")
"""Ways to bring a picture to the training size."""

STREAMS = ("photo", "paired", "anime", "smooth")
"""Names that a batch can hold."""

# A stream shares order and windows with the one it follows.
_LEADERS = {"photo": "photo", "paired": "photo", "anime": "anime", "smooth": "anime"}

# What a hash is drawn for; keeps orders, windows and changes independent of each other.
_ORDER, _WINDOW, _MIRROR, _ZOOM = 1, 2, 3, 4

LARGEST_ZOOM = {"resize": 1.125, "crop": 2.0}
"""Fit -> by how much a window may be wider than one of the training size at the most.

With "crop" a larger window is shrunk to the training size, and its lines stay as sharp as lines can
be. With "resize" the pictures have the training size already, as the smooth ones must, so that a
smaller window is enlarged; more than this, about the 286 to 256 pixels that CycleGAN trains with,
would teach the networks soft lines.
"""


def _hashes(seed: int, stream: str, number: int, purpose: int, count: int) -> np.ndarray:
    """`count` uint64 that follow from the other arguments, on every machine and numpy alike."""
    entropy = [seed, zlib.crc32(stream.encode()), number, purpose]
    return np.random.SeedSequence(entropy).generate_state(count, np.uint64)


@functools.lru_cache(maxsize=16)
def _permutation(seed: int, stream: str, pass_number: int, count: int) -> np.ndarray:
    """The order in which pass `pass_number` goes through the `count` pictures of a stream."""
    return np.argsort(_hashes(seed, stream, pass_number, _ORDER, count), kind="stable")


class TrainingPictures:
    """Batches of photos and of style pictures for training.

    Place i of the batch of step s is slot ``s * batch_size + i``. With n pictures in a stream, the
    slot falls into pass ``slot // n`` and shows picture ``permutation(seed, stream, pass)[slot %
    n]``. Streams differ in length and order; "smooth" shows the counterparts of "anime", and
    "paired" those of "photo", in the same windows, mirrored together.

    A picture that cannot be read is named once on the log and kept in `broken`; its slot is filled
    by the next position of its pass that reads, so batches keep their size. Alpha is ignored.

    Attributes:
        folders: The pictures.
        image_size: Height and width of every picture in a batch.
        batch_size: Pictures of a stream in a batch.
        seed: Of orders and windows.
        fit: "resize": the whole picture is resized to `image_size`, whatever its proportions, as
            the original implementation has it. "crop": a random window at full resolution, which
            keeps lines as sharp as they are; a picture too small for it is enlarged to cover it.
        part: (number, of how many): which part of every batch is read here, where several
            machines train together; (0, 1) for all of it.
        augment_flip: Whether every second slot, by chance, shows its picture mirrored left-right.
        augment_resize: Whether windows are of random size and brought to `image_size`. With
            fit="crop" they are up to twice as wide and high, as far as the picture goes; with
            fit="resize" they are cut from the resized picture, down to 1 / 1.125 of it.
        broken: Path -> reason of the pictures found unreadable so far.
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
    ) -> None:
        """Checks and stores; reads nothing.

        Args:
            folders: The pictures, from `folders.dataset_folders`.
            image_size: Side, or height and width, in pixels.
            batch_size: Pictures of a stream in a batch.
            seed: A whole number, 0 or more.
            fit: One of `FITS`.
            part: Number of the part that is read, and of how many equal ones.
            augment_flip: Mirror pictures at random.
            augment_resize: Cut windows of random size.

        Raises:
            ValueError: An argument is out of range.
        """
        size_hw = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        if len(size_hw) != 2 or min(size_hw) < 1:
            raise ValueError(f"image_size must be 1 or more, or (height, width), got {image_size}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        if fit not in FITS:
            raise ValueError(f"fit must be one of {', '.join(FITS)}, got {fit!r}")
        if not 0 <= part[0] < part[1] or batch_size % part[1]:
            raise ValueError(f"a batch of {batch_size} has no part {part[0]} of {part[1]}")
        self.folders = folders
        self.image_size = (size_hw[0], size_hw[1])
        self.batch_size = batch_size
        self.seed = seed
        self.fit = fit
        self.part = part
        self.augment_flip = augment_flip
        self.augment_resize = augment_resize
        self.broken: dict[Path, str] = {}
        self._paths: dict[str, tuple[Path, ...]] = {
            "photo": folders.train_photo,
            "paired": folders.paired or (),
            "anime": folders.style,
            "smooth": folders.smooth,
        }
        for stream, paths in self._paths.items():
            leader = self._paths[_LEADERS[stream]]
            if paths and len(paths) != len(leader):
                raise ValueError(
                    f"{len(paths)} {stream} pictures do not belong to {len(leader)} "
                    f"{_LEADERS[stream]} pictures; list them with dataset_folders"
                )
        self._lock = threading.Lock()
        self._failure: ValueError | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which the longer of the two streams, photo and anime, is seen once; >= 1."""
        longest = max(len(self.folders.train_photo), len(self.folders.style))
        return max(1, longest // self.batch_size)

    def read_slot(self, slot: int, streams: Sequence[str]) -> dict[str, np.ndarray]:
        """Reads what stands in one place of one batch.

        Args:
            slot: ``step * batch_size + place``.
            streams: Names from `STREAMS`.

        Returns:
            Name -> uint8 RGB (height, width, 3) at `image_size`.

        Raises:
            ValueError: No picture of a stream can be read, or, with fit="crop", a smooth or paired
                picture has not the size of its counterpart.
        """
        read: dict[str, np.ndarray] = {}
        for leader in dict.fromkeys(_LEADERS[stream] for stream in streams):
            names = [stream for stream in streams if _LEADERS[stream] == leader]
            # The leader's size decides on the window, so it is read even if it is not asked for.
            members = dict.fromkeys([leader, *names] if self.fit == "crop" else names)
            fitted = self._fit(self._read_position(slot, leader, tuple(members)), slot, leader)
            if self._mirrored(slot, leader):
                fitted = {k: np.ascontiguousarray(rgb[:, ::-1]) for k, rgb in fitted.items()}
            read.update((name, fitted[name]) for name in names)
        return {name: read[name] for name in streams}

    def batches(
        self,
        first_step: int,
        steps: int,
        streams: Sequence[str] = ("photo", "anime", "smooth"),
    ) -> tf.data.Dataset:
        """The batches of steps first_step .. first_step + steps - 1.

        Errors in the middle of the data set arrive as TensorFlow's errors; `iterate` turns them
        back into plain ones.

        Args:
            first_step: 0 or more.
            steps: How many batches.
            streams: Names from `STREAMS`.

        Returns:
            Data set of dicts, name -> uint8 RGB (batch_size, height, width, 3), or of the part
            of a batch that is read here.

        Raises:
            ValueError: A stream is unknown or has no pictures, or none of them can be read.
        """
        # TensorFlow takes seconds to import, and folders and orders are of use without it.
        import tensorflow as tf

        names = tuple(streams)
        if not names or len(set(names)) != len(names) or not set(names) <= set(STREAMS):
            raise ValueError(f"streams must be different ones of {', '.join(STREAMS)}, got {names}")
        if first_step < 0 or steps < 0:
            raise ValueError(f"steps must be 0 or more, got {first_step} and {steps}")
        for name in names:
            if not self._paths[name]:
                raise ValueError(
                    f"the data set was listed without {name} pictures; list it with "
                    "dataset_folders(..., need_smooth=True) or need_paired=True"
                )
        first_slot = first_step * self.batch_size
        if steps:
            # Fails here and in plain words, rather than inside of TensorFlow, where all is wrong.
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
        # Threads of its own: those that TensorFlow shares out may be as few as one.
        options.threading.private_threadpool_size = max(2, os.cpu_count() or 1)
        return (
            slots.map(element, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(share, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
            .with_options(options)
        )

    def iterate(
        self,
        first_step: int,
        steps: int,
        streams: Sequence[str] = ("photo", "anime", "smooth"),
    ) -> Iterator[dict[str, tf.Tensor]]:
        """Goes through `batches`, and raises what went wrong in one of them in plain words.

        Args:
            first_step: As for `batches`.
            steps: As for `batches`.
            streams: As for `batches`.

        Yields:
            Name -> uint8 RGB (batch_size, height, width, 3).

        Raises:
            ValueError: As for `batches` and `read_slot`.
        """
        import tensorflow as tf

        dataset = self.batches(first_step, steps, streams)
        self._failure = None
        try:
            yield from dataset
        except tf.errors.OpError as error:
            if self._failure is not None:
                raise self._failure from error
            raise

    def _read_position(
        self, slot: int, leader: str, members: Sequence[str]
    ) -> dict[str, tuple[Path, np.ndarray]]:
        """Reads the pictures of a slot: stream -> (path, RGB); goes on where one is broken."""
        count = len(self._paths[leader])
        order = _permutation(self.seed, leader, slot // count, count)
        for position in range(slot, slot + count):
            index = order[position % count]
            paths = {member: self._paths[member][index] for member in members}
            if any(path in self.broken for path in paths.values()):
                continue
            found = {}
            for member, path in paths.items():
                try:
                    found[member] = (path, pictures.read_picture(path).rgb_u8)
                except (ValueError, OSError) as error:
                    self._note_broken(path, error)
                    break
            else:
                return found
        folder = self._paths[members[0]][0].parent
        raise ValueError(
            f"{folder}: none of the {count} {' and '.join(members)} pictures can be read, the last "
            f"because of: {next(reversed(self.broken.values()))}"
        )

    def _note_broken(self, path: Path, error: Exception) -> None:
        with self._lock:
            if path not in self.broken:
                self.broken[path] = str(error)
                logging.warning("left out: %s", error)

    def _fit(
        self, found: dict[str, tuple[Path, np.ndarray]], slot: int, leader: str
    ) -> dict[str, np.ndarray]:
        """Brings pictures that belong together to the training size."""
        if self.fit == "resize":
            whole = {
                name: pictures.resize(rgb, self.image_size) for name, (_, rgb) in found.items()
            }
            return self._zoomed_in(whole, slot, leader) if self.augment_resize else whole
        leader_path, leader_rgb = found[leader]
        for name, (path, rgb) in found.items():
            if rgb.shape != leader_rgb.shape:
                remedy = (
                    "make smooth again at full size, with "
                    "anime-tf dataset smooth --image_size=0 --overwrite --style_dir=..."
                    if name == "smooth"
                    else "bring both to one size"
                )
                raise ValueError(
                    f"{path}: {rgb.shape[1]}x{rgb.shape[0]} pixels, but its counterpart "
                    f"{leader_path} has {leader_rgb.shape[1]}x{leader_rgb.shape[0]}; with "
                    f"fit='crop' both must have one size: {remedy}"
                )
        return self._windows({name: rgb for name, (_, rgb) in found.items()}, slot, leader)

    def _windows(
        self, found: dict[str, np.ndarray], slot: int, leader: str
    ) -> dict[str, np.ndarray]:
        """Cuts one window out of pictures of one size."""
        height, width = self.image_size
        have = found[leader].shape[:2]
        # At least 1: only a picture too small for the window is resized.
        scale = max(1.0, height / have[0], width / have[1])
        cover = (max(height, round(have[0] * scale)), max(width, round(have[1] * scale)))
        zoom = self._zoom(slot, leader, min(cover[0] / height, cover[1] / width))
        rows, columns = min(cover[0], round(height * zoom)), min(cover[1], round(width * zoom))
        top, left = self._corner(slot, leader, (cover[0] - rows, cover[1] - columns))
        windows = {}
        for name, rgb in found.items():
            covering = rgb if have == cover else pictures.resize(rgb, cover)
            window = covering[top : top + rows, left : left + columns]
            windows[name] = pictures.resize(np.ascontiguousarray(window), self.image_size)
        return windows

    def _zoomed_in(
        self, found: dict[str, np.ndarray], slot: int, leader: str
    ) -> dict[str, np.ndarray]:
        """Enlarges one window out of pictures that have the training size."""
        height, width = self.image_size
        zoom = self._zoom(slot, leader, LARGEST_ZOOM["resize"])
        rows, columns = max(1, round(height / zoom)), max(1, round(width / zoom))
        top, left = self._corner(slot, leader, (height - rows, width - columns))
        return {
            name: pictures.resize(
                np.ascontiguousarray(rgb[top : top + rows, left : left + columns]), self.image_size
            )
            for name, rgb in found.items()
        }

    def _corner(self, slot: int, leader: str, room: tuple[int, int]) -> tuple[int, int]:
        """Where the window of a slot lies, with so many rows and columns to spare."""
        draws = _hashes(self.seed, leader, slot, _WINDOW, 2)
        return int(draws[0] % np.uint64(room[0] + 1)), int(draws[1] % np.uint64(room[1] + 1))

    def _zoom(self, slot: int, leader: str, most: float) -> float:
        """How much wider or narrower than the training size the window of a slot is; 1 for not."""
        most = min(most, LARGEST_ZOOM[self.fit])
        if not self.augment_resize or most <= 1:
            return 1.0
        (draw,) = _hashes(self.seed, leader, slot, _ZOOM, 1)
        return 1.0 + (most - 1.0) * int(draw) / 2**64

    def _mirrored(self, slot: int, leader: str) -> bool:
        """Whether a slot shows its pictures mirrored."""
        return self.augment_flip and bool(_hashes(self.seed, leader, slot, _MIRROR, 1)[0] % 2)
