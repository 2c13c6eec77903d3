import json

import numpy as np
import pytest
from video_scenes import scene

from anime_tf.datasets.extract.manifest import MANIFEST, VIDEOS, Entry, Manifest, VideoRecord
from anime_tf.io.folders import find_pictures


def entry(name):
    return Entry(name, "video.mkv", 3, 0.5, (1, 2, 3, 4), "0" * 16, "f" * 16, 1.0, 2.0, 3.0)


def test_round_trip(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.add_picture(entry("a.png"), scene(0))
    manifest.add_picture(entry("ü.png"), scene(1))
    manifest.videos["video.mkv"] = VideoRecord(9, {"every": 2}, (0, 0, 5, 5), rejected={"x": 2})
    manifest.save_videos()
    again = Manifest(tmp_path)
    assert again.entries == {"a.png": entry("a.png"), "ü.png": entry("ü.png")}
    assert again.videos == manifest.videos
    assert [path.name for path in find_pictures(tmp_path)] == ["a.png", "ü.png"]
    first = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8").splitlines()[0])
    assert (first["picture"], first["video"], first["frame"]) == ("a.png", "video.mkv", 3)


def test_an_incomplete_line_is_truncated(tmp_path):
    Manifest(tmp_path).add_picture(entry("a.png"), scene(0))
    path = tmp_path / MANIFEST
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:30])
    assert list(Manifest(tmp_path).entries) == ["a.png"]
    assert path.read_bytes() == whole


def test_a_failure_leaves_neither_picture_nor_line(tmp_path):
    manifest = Manifest(tmp_path)
    manifest.add_picture(entry("a.png"), scene(0))
    before = (tmp_path / MANIFEST).read_bytes()
    with pytest.raises(ValueError, match="rgb_u8|picture"):
        manifest.add_picture(entry("b.png"), np.zeros((2, 2)))
    (tmp_path / MANIFEST).unlink()
    (tmp_path / MANIFEST).mkdir()  # cannot be appended to
    with pytest.raises(OSError):
        manifest.add_picture(entry("b.png"), scene(1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", MANIFEST]
    assert before.count(b"\n") == 1


@pytest.mark.parametrize("text", ["{}\n", "no json\n", "[1]\n"])
def test_damaged_files(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ValueError, match=r"manifest.jsonl: expected a JSON object .* in line 1"):
        Manifest(tmp_path)
    (tmp_path / MANIFEST).unlink()
    (tmp_path / VIDEOS).write_text('{"a": ' + text + "}")
    with pytest.raises(ValueError, match=r"videos.json: expected the records of videos"):
        Manifest(tmp_path)
