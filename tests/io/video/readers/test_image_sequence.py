from fractions import Fraction

import numpy as np
import pytest
from small_videos import marked, moving, write_video
from video_copies import copy, frames, times

from anime_tf.io.pictures import Picture, read_picture, write_picture
from anime_tf.io.video.open import open_reader
from anime_tf.io.video.paths import is_sequence
from anime_tf.io.video.span import Span

FIRST = "000001.png"


def write_pictures(folder, pictures, names):
    folder.mkdir()
    for picture, name in zip(pictures, names, strict=True):
        write_picture(folder / name, picture)


def test_numbered_pictures_are_in_numeric_order(tmp_path):
    folder = tmp_path / "frames"
    write_pictures(folder, moving(4), ["img2.png", "img9.png", "img10.png", "img100.png"])
    (folder / "note.txt").write_text("no picture")
    for place in (folder, f"{folder}/", f"{folder}/img%d.png", f"{folder}/img%04d.png"):
        found = frames(place, Span(rate=Fraction(10)))
        assert [float(time) for time, _ in found] == [0, 0.1, 0.2, 0.3]
        for (_, frame), picture in zip(found, moving(4), strict=True):
            assert np.array_equal(frame.rgb_u8, picture)
    with open_reader(folder) as video:
        assert (video.rate, video.expected_frames) == (25, 4)
    assert times(folder, Span(Fraction(1, 10), Fraction(3, 10), Fraction(10))) == [0, 0.1]


def test_video_to_pictures_and_back(tmp_path):
    source = tmp_path / "a.mkv"
    pictures = [np.roll(marked(47, 63), 5 * i, 1) for i in range(3)]
    write_video(source, pictures, codec="ffv1", pixels="bgr0")
    for target, names in (
        (f"{tmp_path}/new/frames/", [FIRST, "000002.png", "000003.png"]),
        (f"{tmp_path}/out/shot_%02d.png", ["shot_01.png", "shot_02.png", "shot_03.png"]),
    ):
        copy(source, target)
        folder = tmp_path / ("out" if "%" in target else "new/frames")
        assert sorted(path.name for path in folder.iterdir()) == names
        for name, picture in zip(names, pictures, strict=True):
            assert np.array_equal(read_picture(folder / name).rgb_u8, picture)
    copy(f"{tmp_path}/out/", tmp_path / "b.mkv", Span(rate=Fraction(10)))
    assert times(tmp_path / "b.mkv") == [0, 0.1, 0.2]


def test_existing_folder_keeps_other_files(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames/note.txt").write_text("mine")
    (tmp_path / "frames" / FIRST).write_bytes(b"old")
    write_video(tmp_path / "a.mkv", moving(2))
    copy(tmp_path / "a.mkv", tmp_path / "frames")
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == [FIRST, "000002.png", "note.txt"]
    assert read_picture(tmp_path / "frames" / FIRST).size_hw == (48, 64)


def test_broken_picture_is_replaced_and_reported(tmp_path):
    folder = tmp_path / "frames"
    write_pictures(folder, moving(4), [f"{i}.png" for i in range(4)])
    (folder / "2.png").write_bytes(b"broken")
    with open_reader(folder) as video:
        found = list(video.items())
    assert (video.count, video.replaced) == (4, 1)
    assert str(video.damage).startswith(f"{folder}: cannot read 2.png, repeats the previous one")
    assert np.array_equal(found[2].rgb_u8, moving(4)[1])


def test_transparent_pixels_are_white(tmp_path):
    alpha = np.repeat(np.array([0, 128, 255], np.uint8)[None], 4, 0)
    write_pictures(tmp_path / "frames", [Picture(np.full((4, 3, 3), 55, np.uint8), alpha)], [FIRST])
    ((_, frame),) = frames(tmp_path / "frames")
    # 255 * 127 / 255 + 55 * 128 / 255 = 154.6
    assert frame.rgb_u8[0, :, 0].tolist() == [255, 155, 55]


def test_missing_sequences_raise(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: expected pictures"):
        open_reader(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="expected numbered pictures, got no file"):
        open_reader(tmp_path / "a%03d.png")
    with pytest.raises(
        FileNotFoundError, match="no such file or folder; expected a folder of pictures"
    ):
        open_reader(f"{tmp_path}/none/")
    assert is_sequence("a/") and is_sequence("%d.png") and is_sequence(tmp_path / "empty")
    assert not is_sequence("a.mp4") and not is_sequence("100%.mp4")
