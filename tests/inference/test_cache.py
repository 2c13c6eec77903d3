"""What is remembered between two starts."""

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


def test_where_entries_are(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.FOLDER_VARIABLE, str(tmp_path))
    assert cache.folder() == tmp_path
    monkeypatch.setenv(cache.FOLDER_VARIABLE, "")
    assert cache.folder() is None
    cache.remember("one", b"nowhere")
    assert cache.recall("one") is None
    monkeypatch.delenv(cache.FOLDER_VARIABLE)
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache.folder() == tmp_path / "anime_tf"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "/home/somebody")
        assert cache.folder() == Path("/home/somebody/.cache/anime_tf")


def test_names_tell_all_facts_apart():
    names = {
        cache.entry("a", 1),
        cache.entry("a", 2),
        cache.entry("b", 1),
        cache.entry("a", {"x": 1}),
    }
    assert len(names) == 4
    assert cache.entry("a", {"x": 1, "y": 2}) == cache.entry("a", {"y": 2, "x": 1})


def test_an_entry_is_whole_or_none(folder):
    assert cache.recall("one") is None
    cache.remember("one", b"first\nsecond")
    assert cache.recall("one") == b"first\nsecond"
    cache.remember("one", b"anew")
    assert cache.recall("one") == b"anew"
    assert os.listdir(folder) == ["one"], "nothing temporary is left"
    whole = (folder / "one").read_bytes()
    for damaged in (whole[:-1], whole[:10], b"", whole + b"more"):
        (folder / "one").write_bytes(damaged)
        assert cache.recall("one") is None
    cache.remember_json("two", {"a": [1, 2.5, None]})
    assert cache.recall_json("two") == {"a": [1, 2.5, None]}
    cache.remember("two", b"no JSON")
    assert cache.recall_json("two") is None


def test_those_go_that_were_not_used_for_longest(folder, monkeypatch):
    monkeypatch.setattr(cache, "MOST_BYTES", 500)
    for age, name in enumerate(("new", "used", "old")):
        cache.remember(name, bytes(100))  # and 65 of the digest
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    assert cache.recall("used") == bytes(100)
    cache.remember("newest", bytes(100))
    assert sorted(os.listdir(folder)) == ["new", "newest", "used"]


def test_a_folder_that_cannot_be_written_is_no_error(folder):
    folder.write_text("a file")
    cache.remember("one", b"1")
    assert cache.recall("one") is None


def test_digests(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "bc").write_bytes(b"bc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of FIPS 180-2
    assert cache.digest_of(tmp_path) == abc
    assert cache.digest_of(tmp_path / "a") != abc
