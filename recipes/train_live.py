"""Train a live generator on photos and their paintings; begin, resume and steer with one command.

    python -m recipes.train_live --photos=dataset/train_photo --paintings=painted/cel \
        --run_dir=runs/cel --width=64

The run directory holds `state.npz` (everything needed to resume, rewritten every few minutes),
`generator.keras` (the averaged weights, ready for infer), `stats.jsonl` and sample sheets. New
paintings are picked up while it runs. A change of the flags counts from the next start on.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
import tensorflow as tf

from anime_tf.conversion.perceptual import load_perceptual
from anime_tf.io.atomic import atomic_file
from anime_tf.io.color import LUMA_WEIGHTS
from anime_tf.io.folders import by_stem, find_pictures
from anime_tf.io.geometry import limit_array_side
from anime_tf.io.pictures import read_array, write_picture
from anime_tf.losses import painting
from anime_tf.models.archive import load_generator, save_generator
from anime_tf.models.live import LiveGenerator
from anime_tf.models.live_large import LiveLargeGenerator
from anime_tf.training.lowering import lower_for_training

PEOPLE = (
    *("astronaut", "grace_hopper", "obama", "biden", "podcast", "vash-gon", "agenda", "nurse"),
    *("woman", "man-in-hat", "tourist", "loc"),
)
"""Photos of people, by words of their names: few, so each is drawn more often."""

LOSSES = ("yuv", "gradient", "flat", "magnitude", "feature", "shift")


class Pairs:
    """Photos with their paintings in memory, and random windows of them.

    Args:
        photo_dir: Photos.
        painting_dir: Paintings of the photos' names and sizes; more may appear while training.
        size: Side of the windows.
        people_share: Share of the windows drawn from photos of people.
    """

    def __init__(self, photo_dir: Path, painting_dir: Path, size: int, people_share: float):
        self.photo_dir, self.painting_dir = photo_dir, painting_dir
        self.size, self.people_share = size, people_share
        self.pairs: dict[str, tuple[np.ndarray, np.ndarray, float]] = {}
        self.weights = np.empty(0)
        self.load()

    def load(self) -> None:
        """Read the pairs that are not in memory yet."""
        photos = by_stem(find_pictures(self.photo_dir), self.photo_dir)
        paintings = by_stem(find_pictures(self.painting_dir), self.painting_dir)
        for name in sorted(photos.keys() & paintings.keys() - self.pairs.keys()):
            photo, painted = read_array(photos[name]), read_array(paintings[name])
            if photo.ndim != 3 or photo.shape[2] != 3:
                photo = cv2.cvtColor(photo, cv2.COLOR_GRAY2RGB)
            if photo.shape != painted.shape or min(photo.shape[:2]) < self.size:
                continue
            mean = float((photo.reshape(-1, 3).mean(0) / 127.5 - 1) @ np.array(LUMA_WEIGHTS))
            self.pairs[name] = photo, painted, mean
        self.names = list(self.pairs)
        people = np.array([any(word in name for word in PEOPLE) for name in self.names])
        area = np.array([math.sqrt(photo.size) for photo, _, _ in self.pairs.values()])
        weights = area / area.sum()
        if people.any() and not people.all():
            share = weights[people].sum()
            weights[people] *= max(self.people_share, share) / share
            weights[~people] *= (1 - max(self.people_share, share)) / (1 - share)
        self.weights = weights / weights.sum()

    def batch(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
        """Draw windows: photos and paintings uint8 (n, size, size, 3), means (n, 1, 1, 1)."""
        size = self.size
        photos = np.empty((count, size, size, 3), np.uint8)
        paintings = np.empty_like(photos)
        means = np.empty((count, 1, 1, 1), np.float32)
        for i, which in enumerate(rng.choice(len(self.names), count, p=self.weights)):
            photo, painted, mean = self.pairs[self.names[which]]
            top = rng.integers(photo.shape[0] - size + 1)
            left = rng.integers(photo.shape[1] - size + 1)
            window = (slice(top, top + size), slice(left, left + size))
            step = -1 if rng.random() < 0.5 else 1
            photos[i], paintings[i] = photo[window][:, ::step], painted[window][:, ::step]
            means[i] = mean
        return photos, paintings, means


def begin_with(model: keras.Model, source: keras.Model) -> None:
    """Copy the weights of an equally wide or narrower generator; the pictures stay the same.

    The channels of `source` come first and read nothing of the added ones, whose own kernels keep
    their random start.

    Reference: Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016.
    """
    if source.width > model.width:
        raise ValueError(
            f"expected an archive as wide or narrower, got width {source.width} for {model.width}"
        )
    for wide, narrow in zip(model.weights, source.weights, strict=True):
        values, given = (keras.ops.convert_to_numpy(weight) for weight in (wide, narrow))
        block = tuple(slice(side) for side in given.shape)
        widened = values.copy()
        widened[..., : given.shape[-1]] = 0.0
        widened[block] = given
        wide.assign(widened)


class Training:
    """A generator, its averaged copy, the optimizer, and a step.

    Args:
        arguments: Of the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        kind = LiveLargeGenerator if arguments.width == LiveLargeGenerator.DEFAULT_WIDTH else None
        kind = kind or LiveGenerator
        keras.utils.set_random_seed(arguments.seed)
        self.model = kind(arguments.width, dtype=arguments.precision)
        # Shares the weights; a step takes half the time.
        self.fast = lower_for_training(self.model, exposed=True)
        self.average = kind(arguments.width, dtype=arguments.precision)
        self.average.set_weights(self.model.get_weights())
        self.optimizer = keras.optimizers.Adam(1e-3, beta_1=0.9, beta_2=0.99, global_clipnorm=1.0)
        self.optimizer.build(self.model.trainable_variables)
        self.features = None
        if arguments.feature:
            self.features = load_perceptual(
                "mobilenetv1", arguments.perceptual_weights, dtype=arguments.precision
            )
        self.step = 0
        self.state_path = arguments.run_dir / "state.npz"
        self._train = tf.function(self._train_step, autograph=False)

    def _variables(self) -> dict[str, Any]:
        groups = {
            "model": self.model.weights,
            "average": self.average.weights,
            "optimizer": self.optimizer.variables,
        }
        return {f"{group}/{i}": v for group, vs in groups.items() for i, v in enumerate(vs)}

    def save(self) -> None:
        """Write the state and the averaged generator, each whole or not at all."""
        arrays: dict[str, Any] = {k: np.asarray(v) for k, v in self._variables().items()}
        with atomic_file(self.state_path, ".npz") as part:
            np.savez(part, **arrays, step=np.array(self.step))
        save_generator(self.average, self.arguments.run_dir / "generator.keras", storage="float16")

    def resume(self) -> None:
        """Continue from the state of the run directory, or begin with the weights of an archive."""
        if self.state_path.exists():
            with np.load(self.state_path) as state:
                for name, variable in self._variables().items():
                    variable.assign(state[name])
                self.step = int(state["step"])
        elif self.arguments.init_weights:
            begin_with(self.model, load_generator(self.arguments.init_weights))
            self.average.set_weights(self.model.get_weights())

    def rate(self) -> float:
        """Compute the learning rate: warm-up, then a cosine down to 2 % of the peak."""
        arguments = self.arguments
        share = min(1.0, self.step / arguments.steps)
        cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))
        return arguments.rate * min(1.0, (self.step + 1) / 200) * cosine

    def train(self, photos: np.ndarray, paintings: np.ndarray, means: np.ndarray) -> dict[str, Any]:
        """Take a step; return the loss terms, unweighted."""
        self.optimizer.learning_rate.assign(self.rate())
        dy, dx = (0, 0)
        if self.arguments.shift:
            dy, dx = np.random.default_rng(self.step).integers(0, 4, 2)
        batch = (tf.constant(x) for x in (photos, paintings, means))
        terms = self._train(*batch, int(dy), int(dx))
        momentum = min(0.998, (1 + self.step) / (20 + self.step))
        for slow, fast in zip(self.average.weights, self.model.weights, strict=True):
            slow.assign(momentum * slow + (1 - momentum) * fast)
        self.step += 1
        return terms

    def _train_step(
        self, photos: tf.Tensor, paintings: tf.Tensor, means: tf.Tensor, dy: int, dx: int
    ) -> dict[str, tf.Tensor]:
        arguments = self.arguments
        photos = tf.cast(photos, tf.float32) / 127.5 - 1.0
        targets = tf.cast(paintings, tf.float32) / 127.5 - 1.0
        with tf.GradientTape() as tape:
            exposed = self.model.exposure.normalize(photos, means, None)
            generated = self.fast(exposed, training=True)
            terms = {
                "yuv": painting.yuv_loss(generated, targets, arguments.chroma),
                "gradient": painting.multi_scale_gradient_loss(generated, targets),
                "flat": painting.flat_area_loss(generated, targets),
                "magnitude": painting.gradient_magnitude_loss(generated, targets),
            }
            if self.features is not None:
                half = (arguments.batch + 1) // 2
                terms["feature"] = painting.feature_loss(
                    self.features.pyramid(generated[:half]), self.features.pyramid(targets[:half])
                )
            if arguments.shift and (dy or dx):
                size = photos.shape[1] - 16
                moved = self.fast(exposed[:1, dy : dy + size, dx : dx + size], training=True)
                terms["shift"] = painting.shift_consistency_loss(
                    generated[:1, 24 : size - 24, 24 : size - 24],
                    moved[:, 24 : size - 24, 24 : size - 24],
                    dy,
                    dx,
                )
            loss = tf.add_n([getattr(arguments, name) * term for name, term in terms.items()])
        gradients = tape.gradient(loss, self.model.trainable_variables)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return terms


def sample_sheet(model: keras.Model, folder: Path, side: int = 512) -> np.ndarray:
    """Lay the photos of a folder over what the model makes of them."""
    columns = []
    for path in find_pictures(folder):
        photo = limit_array_side(read_array(path), side)
        height, width = (16 * (length // 16) for length in photo.shape[:2])
        photo = photo[:height, :width, :3]
        painted = model(photo[None].astype(np.float32) / 127.5 - 1.0)[0]
        painted_u8 = np.rint((np.asarray(painted) + 1) * 127.5).astype(np.uint8)
        column = np.vstack([photo, painted_u8])
        scale = 640 / column.shape[0]
        size = (round(column.shape[1] * scale), 640)
        columns.append(cv2.resize(column, size, interpolation=cv2.INTER_AREA))
    return np.hstack(columns)


def run(arguments: argparse.Namespace) -> None:
    """Train until `arguments.steps` or until stopped."""
    if arguments.threads:
        tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    arguments.run_dir.mkdir(parents=True, exist_ok=True)
    pairs = Pairs(arguments.photos, arguments.paintings, arguments.size, arguments.people)
    training = Training(arguments)
    training.resume()
    sums: dict[str, float] = {}
    count, seconds = 0, 0.0
    saved = sampled = time.monotonic()
    log = (arguments.run_dir / "stats.jsonl").open("a", encoding="utf-8")
    while training.step < arguments.steps:
        began = time.monotonic()
        rng = np.random.default_rng([arguments.seed, training.step])
        for name, term in training.train(*pairs.batch(rng, arguments.batch)).items():
            sums[name] = sums.get(name, 0.0) + float(term)
        now = time.monotonic()
        count, seconds = count + 1, seconds + now - began
        if training.step % 50 == 0:
            record: dict[str, Any] = {"step": training.step, "seconds": round(seconds / count, 3)}
            record |= {name: round(total / count, 5) for name, total in sums.items()}
            record |= {"rate": training.rate(), "pairs": len(pairs.names)}
            print(json.dumps(record), file=log, flush=True)
            sums, count, seconds = {}, 0, 0.0
        if now - saved > arguments.save_seconds or training.step == arguments.steps:
            training.save()
            pairs.load()
            saved = time.monotonic()
        if arguments.samples and now - sampled > arguments.sample_seconds:
            sheet = sample_sheet(training.average, arguments.samples)
            write_picture(arguments.run_dir / f"samples_{training.step:06d}.png", sheet)
            sampled = time.monotonic()


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--photos", type=Path, required=True, help="Folder of photos.")
    add("--paintings", type=Path, required=True, help="Folder of their paintings.")
    add("--run_dir", type=Path, required=True, help="Folder of the run; resumed if it exists.")
    add("--init_weights", type=Path, help="Archive, as wide or narrower, to begin with.")
    add("--samples", type=Path, help="Folder of a few photos to look at.")
    add("--width", type=int, default=24, help="24: live, 64: live_large.")
    add("--size", type=int, default=256, help="Side of the training windows.")
    add("--batch", type=int, default=4, help="Windows a step.")
    add("--steps", type=int, default=20000, help="Length of the learning-rate schedule.")
    add("--rate", type=float, default=1e-3, help="Peak learning rate.")
    add("--people", type=float, default=0.2, help="Share of windows with people.")
    add("--chroma", type=float, default=1.5, help="Weight of U and V in --yuv.")
    add("--yuv", type=float, default=1.0, help="Weight of the L1 distance in YUV.")
    add("--gradient", type=float, default=1.0, help="Weight of multi-scale gradients.")
    add("--flat", type=float, default=1.0, help="Weight of gradients where the painting is flat.")
    add("--magnitude", type=float, default=0.5, help="Weight of gradient magnitudes.")
    add("--feature", type=float, default=0.0, help="Weight of MobileNetV1 features.")
    add("--shift", type=float, default=0.0, help="Weight of shift consistency.")
    add("--perceptual_weights", default="imagenet", help="imagenet, random or a file.")
    add("--precision", default="mixed_bfloat16", help="Dtype policy.")
    add("--threads", type=int, default=1, help="Threads; 0 for TensorFlow's choice.")
    add("--save_seconds", type=float, default=240, help="Seconds between checkpoints.")
    add("--sample_seconds", type=float, default=600, help="Seconds between sample sheets.")
    add("--seed", type=int, default=0, help="Seed of weights and windows.")
    run(parser.parse_args(argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
