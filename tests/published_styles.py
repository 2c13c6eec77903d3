"""Small published weights of every kind, a registry of them, and an HTTP server with faults."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from torch_files import write_state_dict

from anime_tf.conversion import tf1, torch
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS

LICENSE = {"name": "Mine", "text": "Be kind.", "url": "", "noncommercial": False}
STRICT = {**LICENSE, "name": "Strict", "text": "Nothing for money.", "noncommercial": True}

# Name of a style -> source, network.
KINDS = {
    "old": ("tf1", "animegan_v1"),
    "hay": ("tf1", "animegan_v2"),
    "white": ("tf1", "whitebox"),
    "face": ("torch", "animegan_v2"),
    "toon": ("cartoongan", "cartoongan"),
    "own": ("keras", "live"),
}


def shrink(monkeypatch: Any, width: int = 2) -> None:
    """Let all networks have a small default width, because converters make the published ones."""
    for kind in GENERATORS.values():
        defaults = kind.__init__.__defaults__
        monkeypatch.setattr(kind.__init__, "__defaults__", (width, *defaults[1:]))


def _legacy_arrays(model: keras.Model, table: Any, axes: Any) -> dict[str, np.ndarray]:
    """Return arrays of a legacy file, in the shapes from which its table makes the weights."""
    result = {}
    for weight in model.weights:
        source = table.sources[weight.path.partition("/")[2]]
        array = np.asarray(weight)
        if array.ndim == 4 and axes is not None:
            array = array.transpose((2, 3, 0, 1) if "depthwise" in weight.path else axes)
        result[source.name] = array
    return result


def publish(root: Path, name: str) -> dict[str, Any]:
    """Write the files of a style below a folder; return its entry without hashes."""
    source, network = KINDS[name]
    keras.utils.set_random_seed(3)
    model = GENERATORS[network]()
    folder = root / "me" / name / "c0ffee" / "weights"
    folder.mkdir(parents=True)
    if source == "tf1":
        arrays = _legacy_arrays(model, tf1.TABLES[network], None)
        tf.raw_ops.SaveV2(
            prefix=str(folder / "model-1"),
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=[tf.constant(array) for array in arrays.values()],
        )
    elif source == "torch":
        arrays = _legacy_arrays(model, torch.TABLES[network], (3, 2, 0, 1))
        write_state_dict(folder / "x.pt", arrays)
    elif source == "cartoongan":
        arrays = _legacy_arrays(model, torch.TABLES[network], (3, 2, 0, 1))
        for array_name, array in arrays.items():
            np.save(folder / f"{array_name}.npy", array)
    else:
        save_generator(model, folder / "mine.keras")
    files = [{"path": f"weights/{path.name}"} for path in sorted(folder.iterdir())]
    return {
        "name": name,
        "model": network,
        "source": source,
        "license": LICENSE,
        "repository": f"me/{name}",
        "commit": "c0ffee",
        "files": files,
    }


def add_hashes(root: Path, entry: dict[str, Any], kind: str) -> None:
    """Add sizes, and "sha256" or "git_blob", to the files of an entry."""
    base = root / entry["repository"] / entry["commit"]
    for file in entry["files"]:
        content = (base / file["path"]).read_bytes()
        file["size"] = len(content)
        if kind == "sha256":
            file["sha256"] = hashlib.sha256(content).hexdigest()
        elif kind == "git_blob":
            file["git_blob"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def write_registry(path: Path, *entries: dict[str, Any]) -> str:
    path.write_text(json.dumps(list(entries)))
    return str(path)


class Faults:
    """Faults of a server: a function of path and number of the request, and the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None]] = []
        self.fault: Callable[[str, int], Any] = lambda path, number: None


@contextmanager
def serve(root: Path) -> Iterator[tuple[str, Faults]]:
    """Serve a folder with ranges; a fault is a status, or "cut" after half of what is asked."""
    faults = Faults()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            begin = self.headers.get("Range")
            faults.requests.append((self.path, begin))
            fault = faults.fault(self.path, len(faults.requests))
            path = root / self.path.lstrip("/")
            if isinstance(fault, int) or not path.is_file():
                self.send_error(fault or 404)
                return
            content = path.read_bytes()
            first = int(begin[6:-1]) if begin else 0
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            part = content[first:]
            if fault == "cut":
                self.wfile.write(part[: len(part) // 2])
                self.close_connection = True
                return
            self.wfile.write(part)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
