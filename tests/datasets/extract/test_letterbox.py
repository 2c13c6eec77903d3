import numpy as np
import pytest
from small_videos import write_video
from video_scenes import barred, scene

from anime_tf.datasets.extract.letterbox import MARGIN, LetterboxDetector, find_letterbox


def found(frames):
    detector = LetterboxDetector()
    for frame in frames:
        detector.add(frame)
    return detector.box()


def bright(number, *size):
    """A scene without dark patches, so that only bars are black."""
    return scene(number, *size) // 2 + 100


def test_bars_on_all_sides():
    frames = [barred(bright(i, 60, 80), 12, 20) for i in range(8)]
    assert found(frames) == (12 + MARGIN, 20 + MARGIN, 60 - 2 * MARGIN, 80 - 2 * MARGIN)


def test_a_bar_on_one_side():
    frames = [np.pad(bright(i, 60, 80), ((0, 10), (0, 0), (0, 0))) for i in range(8)]
    assert found(frames) == (0, 0, 60 - MARGIN, 80)


def test_no_bars():
    assert found([bright(i) for i in range(8)]) is None


def test_dark_edges_of_some_frames_are_no_bars():
    frames = [barred(bright(i, 60, 80), 12) for i in range(20)]
    assert found([*frames, bright(0, 84, 80)]) is None


def test_dark_frames_do_not_count():
    frames = [barred(bright(i, 60, 80), 12) for i in range(7)]
    assert found(frames) is None
    assert found([*frames, *[np.full((84, 80, 3), 8, np.uint8)] * 20]) is None


def test_a_logo_in_a_bar_does_not_hide_it():
    frames = [barred(bright(i, 60, 80), 12) for i in range(8)]
    for frame in frames:
        frame[3:8, 70:73] = 255  # 3 of 80 pixels of a row
    assert found(frames) == (12 + MARGIN, 0, 60 - 2 * MARGIN, 80)


def test_a_dark_video_with_a_light_is_not_cut():
    frame = np.full((60, 80, 3), 20, np.uint8)
    frame[28:34] = 255
    assert found([frame] * 8) is None


@pytest.mark.parametrize("options", [{"g": "1"}, {"g": "250"}])
def test_videos_with_many_and_with_few_key_frames(tmp_path, options):
    film = tmp_path / "film.mp4"
    frames = [barred(bright(i // 4, 64, 96), 16) for i in range(12)]
    write_video(film, frames, options={**options, "crf": "12", "sc_threshold": "0"})
    assert find_letterbox(film) == (16 + MARGIN, 0, 64 - 2 * MARGIN, 96)


def test_missing_videos(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder; expected a video"):
        find_letterbox(tmp_path / "gone.mp4")
