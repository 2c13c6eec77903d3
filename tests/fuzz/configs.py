"""Mutated settings and records: config.json of runs, and the records of extracted pictures."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from pathlib import Path

import numpy as np
from fuzz.cases import Seed

from anime_tf.config import Config, settings
from anime_tf.datasets.config import CheckConfig, SmoothConfig
from anime_tf.datasets.extract.extractor import FrameSettings
from anime_tf.datasets.extract.manifest import MANIFEST, VIDEOS, Entry, Manifest, VideoRecord
from anime_tf.inference.config import StylizerConfig
from anime_tf.training.config import TrainConfig
from anime_tf.training.run_dir import resumed_config

CONFIGS: tuple[type[Config], ...] = (
    *(TrainConfig, FrameSettings, SmoothConfig, CheckConfig, StylizerConfig),
)
VALUES = (
    *(math.nan, math.inf, -math.inf, 1e308, 10**400, -1, 0, 1.5, True, None, "", "nan", "1e999"),
    *("0x10", "5\0", [], [1], {}, {"a": 1}, "\ud800", b"bytes", np.float64(math.nan), 2**63, ()),
)


def seeds() -> list[Seed]:
    """Return whole files."""
    config = json.dumps(dataclasses.asdict(TrainConfig()), indent=1).encode()
    entry = Entry("a_000000.png", "a.mp4", 0, 0.0, (0, 0, 9, 9), "0" * 16, "f" * 16, 9.0, 9.0, 9.0)
    record = VideoRecord(99, {"every": 5}, (0, 0, 9, 9), rejected={"blurred": 3})
    records = {
        MANIFEST: (json.dumps(dataclasses.asdict(entry)) + "\n").encode() * 3,
        VIDEOS: json.dumps({"a.mp4": dataclasses.asdict(record)}).encode(),
    }
    return [
        Seed({"config.json": config}, read_config),
        Seed(records, lambda path: Manifest(path.parent) and None),
    ]


def read_config(path: Path) -> None:
    """Read a config, and give one setting of each class a value that it should not have."""
    chance = random.Random(path.read_bytes())
    for kind in CONFIGS:
        required = {name: "a" for name, one in settings(kind).items() if one.required}
        name, value = chance.choice(list(settings(kind))), chance.choice(VALUES)
        parsers = [settings(kind)[name].parse] if isinstance(value, str) else []
        for make in (lambda v: v, *parsers):
            try:
                made = kind(**{**required, name: make(value)})
            except ValueError:
                continue
            found = getattr(made, name)
            if isinstance(found, float) and not math.isfinite(found):
                raise AssertionError(f"{kind.__name__}.{name} takes {value!r}")
    resumed_config(path.parent, {})
