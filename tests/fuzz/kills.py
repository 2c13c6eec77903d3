"""Kills commands at random times, and checks that nothing is lost and nothing is left.

After SIGKILL every file under its final name must be whole; the same command must then succeed,
give what an unbroken run gives, and leave no hidden file. Needs minutes:

    python -m tests.fuzz.kills --count=100
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
TEMPORARY = ("_temp", ".tmp", ".lock", ".partial")


def make_inputs(folder: Path) -> dict[str, list[str]]:
    """Make small inputs; return name -> arguments of each command, with {out} for its output."""
    import keras
    from golden_files import numbers
    from small_data_set import SETTINGS, make_data_set
    from small_videos import moving, write_video
    from torch_files import value, write_state_dict

    from anime_tf.io.pictures import write_picture
    from anime_tf.models.archive import save_generator
    from anime_tf.models.registry import GENERATORS

    data = make_data_set(folder / "data")
    (folder / "photos").mkdir()
    chance = np.random.default_rng(0)
    for i in range(40):
        picture = chance.integers(0, 256, (90, 120, 3), np.uint8)
        write_picture(folder / "photos" / f"{i:02}.png", picture)
    write_video(folder / "film.mp4", moving(60), audio="aac", seconds=6)
    keras.utils.set_random_seed(5)
    save_generator(GENERATORS["animegan_v2_light"](width=2), folder / "small.keras")
    shapes = numbers("animegan2_pytorch_variables")
    write_state_dict(folder / "port.pt", {name: value(name, shapes[name]) for name in shapes})
    weights = [f"--weights={folder / 'small.keras'}", "--engine=keras"]
    train = [f"--{name}={value}" for name, value in SETTINGS.items()]
    return {
        "infer": ["infer", str(folder / "photos"), "{out}/", *weights],
        "video": ["video", str(folder / "film.mp4"), "{out}.mp4", *weights],
        "train": [
            *("train", f"--dataset_dir={data}", "--run_dir={out}", "--checkpoint_steps=1"),
            *("--content_weight=0", "--style_weight=0", *train),
        ],
        "export": ["export", weights[0], "--output={out}", "--formats=saved_model"],
        "convert": [
            *("convert", "--source=torch", f"--input={folder / 'port.pt'}"),
            *("--output={out}.keras", "--verify=false"),
        ],
        "frames": [
            *("dataset", "frames", f"--input={folder / 'film.mp4'}", "--output={out}"),
            *("--every=1", "--min_distance=0", "--min_sharpness=0", "--min_contrast=0"),
        ],
        "smooth": ["dataset", "smooth", f"--style_dir={folder / 'photos'}", "--output={out}"],
    }


def start(arguments: Sequence[str], out: Path) -> subprocess.Popen[str]:
    """Start a command."""
    words = [word.replace("{out}", str(out)) for word in arguments]
    if words[0] == "train" and (out / "config.json").exists():
        words = ["train", f"--run_dir={out}", "--resume"]
    command = [sys.executable, "-m", "anime_tf", *words]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def contents(out: Path) -> dict[str, bytes | str]:
    """Return what must be the same after a killed run: pictures and logs by content."""
    found: dict[str, bytes | str] = {}
    for path in sorted(out.parent.rglob("*")):
        name = path.relative_to(out.parent).as_posix()
        if path.is_dir() or name.startswith("run/events/"):
            continue
        if path.name == "stats.jsonl":
            rows = [json.loads(line) for line in path.open()]
            found[name] = str([{k: v for k, v in row.items() if k != "seconds"} for row in rows])
        else:
            found[name] = path.read_bytes() if path.suffix == ".png" else ""
    return found


def damaged(out: Path) -> list[str]:
    """Name the files with their final names that are not whole."""
    from anime_tf.io.pictures import read_picture
    from anime_tf.io.video.open import open_reader
    from anime_tf.models.archive import load_generator

    wrong = []
    readers = {".png": read_picture, ".keras": load_generator, ".mp4": _read_video(open_reader)}
    for path in out.parent.rglob("*"):
        is_temporary = any(part.startswith(".") for part in path.parts) or ".partial" in path.name
        if path.is_file() and path.suffix in readers and not is_temporary:
            try:
                readers[path.suffix](path)
            except (ValueError, OSError) as error:
                wrong.append(str(error))
    return wrong


def _read_video(open_reader):
    def read(path: Path) -> None:
        with open_reader(path) as reader:
            count = sum(1 for _ in reader.frames())
        if count != 60:
            raise ValueError(f"{path}: expected 60 frames, got {count}")

    return read


def kill_once(name: str, arguments: list[str], whole: dict, seconds: float, chance, folder) -> str:
    """Kill a command once and run it again; return what is wrong."""
    out = folder / "run"
    folder.mkdir()
    process = start(arguments, out)
    time.sleep(chance.uniform(0.3, 1.0) * seconds)
    process.kill()
    process.communicate()
    wrong = damaged(out)
    if name == "smooth" and out.exists():
        return "; ".join(wrong)  # finished before the kill: a second run refuses to replace it
    again = start(arguments, out)
    _, told = again.communicate(timeout=300)
    if again.returncode:
        wrong.append(f"exit code {again.returncode}: {told}")
    found = contents(out)
    left = [path for path in found if any(mark in path for mark in TEMPORARY)]
    different = [path for path in {*whole, *found} if whole.get(path) != found.get(path)]
    wrong += [f"left: {path}" for path in left] + [f"differs: {path}" for path in different]
    return "; ".join(wrong)


def main() -> int:
    """Kill commands in turn; return 1 if anything was lost."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", default="", help="some of the commands, with commas between")
    options = parser.parse_args()
    chance, counts, faults = random.Random(options.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="kills-") as root:
        folder = Path(root)
        commands = make_inputs(folder)
        names = options.verbs.split(",") if options.verbs else list(commands)
        whole, seconds = {}, {}
        for name in names:
            (folder / f"whole_{name}").mkdir()
            begun = time.monotonic()
            _, told = (process := start(commands[name], folder / f"whole_{name}/run")).communicate()
            if process.returncode:
                raise RuntimeError(f"{name}: {told}")
            seconds[name] = time.monotonic() - begun
            whole[name] = contents(folder / f"whole_{name}/run")
        for number in range(options.count):
            name = names[number % len(names)]
            place = folder / f"kill_{number}"
            wrong = kill_once(name, commands[name], whole[name], seconds[name], chance, place)
            counts[name] += 1
            if wrong:
                faults += 1
                print(f"kill {number}, {name}: {wrong}", flush=True)
            shutil.rmtree(place)
    print(f"{sum(counts.values())} kills {dict(counts)}: {faults} lost something", flush=True)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
