"""The cache of compiled networks and measurements."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from anime_tf.inference import cache


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path))
    assert cache.folder() == tmp_path
    monkeypatch.setenv(cache.FOLDER_VARIABLE, "")
    assert cache.folder() is None
    cache.store("one", b"nowhere")
    assert cache.load("one") is None
    monkeypatch.delenv(cache.FOLDER_VARIABLE)
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache.folder() == tmp_path / "anime_tf"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "/home/somebody")
        assert cache.folder() == Path("/home/somebody/.cache/anime_tf")


def test_keys_differ_by_all_facts():
    keys = {
        cache.make_key("a", 1),
        cache.make_key("a", 2),
        cache.make_key("b", 1),
        cache.make_key("a", {"x": 1}),
    }
    assert len(keys) == 4
    assert cache.make_key("a", {"x": 1, "y": 2}) == cache.make_key("a", {"y": 2, "x": 1})


def test_damaged_entries_are_missing(folder):
    assert cache.load("one") is None
    cache.store("one", b"first\nsecond")
    assert cache.load("one") == b"first\nsecond"
    cache.store("one", b"anew")
    assert cache.load("one") == b"anew"
    assert os.listdir(folder) == ["one"], "no temporary file"
    whole = (folder / "one").read_bytes()
    for damaged in (whole[:-1], whole[:10], b"", whole + b"more"):
        (folder / "one").write_bytes(damaged)
        assert cache.load("one") is None
    cache.store_json("two", {"a": [1, 2.5, None]})
    assert cache.load_json("two") == {"a": [1, 2.5, None]}
    cache.store("two", b"no JSON")
    assert cache.load_json("two") is None


def test_the_least_recently_used_are_deleted(folder, monkeypatch):
    monkeypatch.setattr(cache, "MAX_BYTES", 500)
    for age, name in enumerate(("new", "used", "old")):
        cache.store(name, bytes(100))  # and 65 of the digest
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    assert cache.load("used") == bytes(100)
    cache.store("newest", bytes(100))
    assert sorted(os.listdir(folder)) == ["new", "newest", "used"]


def test_an_unwritable_folder_is_no_error(folder):
    folder.write_text("a file")
    cache.store("one", b"1")
    assert cache.load("one") is None


def test_digests(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "bc").write_bytes(b"bc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of FIPS 180-2
    assert cache.digest(tmp_path) == abc
    assert cache.digest(tmp_path / "a") != abc
