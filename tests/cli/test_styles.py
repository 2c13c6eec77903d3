"""The verb ``styles``, and styles in other verbs."""

from __future__ import annotations

import json
import os
import select
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from published_styles import STRICT, add_hashes, publish, serve, write_registry

from anime_tf.cli import app
from anime_tf.styles.builtin import BUILTIN


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("ANIME_TF_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "styles"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A registry with the style "own" under a strict license, and the folder of its files."""
    from published_styles import shrink

    shrink(monkeypatch)
    entry = publish(tmp_path / "www", "own")
    add_hashes(tmp_path / "www", entry, "sha256")
    entry |= {"license": STRICT, "settings": {"strength": 0.5, "max_side": 16}}
    monkeypatch.setenv("ANIME_TF_REGISTRY", write_registry(tmp_path / "r.json", entry))
    return f"--from={tmp_path / 'www'}"


def run(*arguments):
    return app.main(["styles", *arguments])


def test_list_and_show(capsys):
    assert run("list") == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("cel", "built in", "whitebox", "CC BY-NC-SA 4.0", "5.9 MB"))
    assert run("list", "--json", "--state=built in") == 0
    cel, *others = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in (cel, *others)} == set(BUILTIN)
    assert (cel["name"], cel["state"], cel["license"]["name"]) == ("cel", "built in", "Apache-2.0")
    assert run("show", "hayao", "whitebox") == 0
    out = capsys.readouterr().out
    for words in (
        "7d480eab",
        "academic research",
        "--match_brightness",
        "Xinrui Wang",
        "prohibited",
    ):
        assert words in out
    assert run("show", "hayoa") == 2
    assert "did you mean hayao?" in capsys.readouterr().err


def test_get_infer_export_and_remove(own, data, tmp_path, capsys):
    assert run("get", "own", own) == 2
    assert "accept it by --accept_license=own" in capsys.readouterr().err
    assert run("get", "own", "none", own, "--accept_license=own", "--json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == {"own": str(data / "own" / "own.keras")}
    assert "none: no such style" in err

    Image.fromarray(np.zeros((20, 32, 3), np.uint8)).save("x.png")
    assert app.main(["infer", "x.png", "y.png", "--weights=own", "--engine=keras"]) == 0
    err = capsys.readouterr().err
    assert "written to y.png in" in err and "s; style own, license Strict\n" in err
    assert "settings that own recommends: --strength=0.5 --max_side=16 (flags change them)" in err
    assert Image.open("y.png").size == (16, 10)
    flags = ["--weights=own", "--engine=keras", "--max_side=0"]
    assert app.main(["infer", "x.png", "y.png", *flags]) == 0
    assert "recommends: --strength=0.5 (" in capsys.readouterr().err
    assert Image.open("y.png").size == (32, 20)

    export = ["export", "--weights=own", "--output=out", "--formats=saved_model", "--noverify"]
    assert app.main(export) == 0
    capsys.readouterr()
    cards = [path.read_text() for path in (tmp_path / "out").rglob("MODEL_CARD.md")]
    assert cards and all("Strict Nothing for money." in card for card in cards)

    assert run("remove", "own") == 0
    assert run("remove", "own") == 2
    assert app.main(["infer", "x.png", "y.png", "--weights=own"]) == 2
    assert "own: this style is not downloaded yet; run anime-tf styles get own" in (
        capsys.readouterr().err
    )


class Terminal:
    """A terminal of 80 columns in place of stdin and stderr, and what it shows."""

    def __init__(self, monkeypatch):
        fcntl = pytest.importorskip("fcntl", reason="there are no pseudo-terminals")
        import termios

        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        monkeypatch.setattr(sys, "stdin", os.fdopen(os.dup(slave), "r"))
        monkeypatch.setattr(sys, "stderr", os.fdopen(slave, "w", buffering=1))

    def type(self, text):
        os.write(self._master, text.encode())

    def lines(self):
        """Return all lines as they look after the last carriage return of each."""
        sys.stderr.flush()
        shown = b""
        while select.select([self._master], [], [], 0.1)[0]:
            shown += os.read(self._master, 1 << 16)
        lines = shown.decode().replace("\r\n", "\n").split("\n")
        return [line.rstrip("\r").rpartition("\r")[2] for line in lines]


def test_question_and_progress_on_a_terminal(own, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    terminal = Terminal(monkeypatch)
    with serve(tmp_path / "www") as (base, _):
        terminal.type("no\n")
        assert run("get", "own", f"--from={base}") == 2
        lines = terminal.lines()
        first = lines.index("own: Strict")
        assert lines[first + 1] == "Nothing for money."
        assert lines[first + 2].startswith("Accept this license? [y/N] ")
        assert "its license, Strict, is not accepted" in lines[-2]

        terminal.type("y\n")
        assert run("get", "own", f"--from={base}") == 0
    bars = [line for line in terminal.lines() if line.startswith("own: 100%|")]
    assert len(bars) == 1 and len(bars[0]) <= 80, "redrawn in one line"


def test_add(tmp_path, capsys):
    entry = {
        "name": "mine",
        "model": "live",
        "license": {"name": "MIT"},
        "base_url": "http://127.0.0.1:1/x",
        "files": [{"path": "mine.keras"}],
    }
    (tmp_path / "mine.json").write_text(json.dumps(entry))
    assert run("add", "mine.json") == 0
    assert run("show", "mine", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["url"] == "http://127.0.0.1:1/x"
    assert run("remove", "mine") == 0


def test_faces_are_recommended_where_they_can_be_found(own, data, capsys, monkeypatch):
    """Without dlib or its models, whole pictures are stylized."""
    from anime_tf.faces import dlib_models

    entry = json.loads(Path("r.json").read_text())
    entry[0]["settings"] = {"faces": "crop", "face_size": 64}
    write_registry(data.parents[1] / "r.json", *entry)
    assert run("get", "own", own, "--accept_license=Strict") == 0
    Image.fromarray(np.zeros((20, 32, 3), np.uint8)).save("x.png")
    monkeypatch.setattr(dlib_models.importlib.util, "find_spec", lambda name: None)
    assert app.main(["infer", "x.png", "y.png", "--weights=own", "--engine=keras"]) == 0
    err = capsys.readouterr().err
    assert "stylizing whole pictures, not faces" in err
    assert "recommends: --faces=off --face_size=64" in err


def test_a_registry_cannot_forge_output(tmp_path, capsys):
    entry = {
        "name": "forged",
        "model": "live",
        "good_for": "\x1b[2Jgardens",
        "license": {"name": "MIT"},
        "base_url": "https://example.org",
        "files": [{"path": "forged.keras"}],
    }
    path = write_registry(tmp_path / "registry.json", entry)
    for words in (["list"], ["show", "forged"]):
        assert run(*words, f"--registry={path}") == 0
        out = capsys.readouterr().out
        assert "\\x1b[2Jgardens" in out and "\x1b" not in out
