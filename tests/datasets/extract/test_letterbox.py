import numpy as np
import pytest
from film_scenes import barred, scene
from small_films import write_film

from anime_tf.datasets.extract.letterbox import EDGE, BarFinder, find_bars


def found(frames):
    finder = BarFinder()
    for frame in frames:
        finder.add(frame)
    return finder.box()


def bright(number, *size):
    """A scene without dark patches, so that only bars are black."""
    return scene(number, *size) // 2 + 100


def test_bars_on_all_sides():
    frames = [barred(bright(i, 60, 80), 12, 20) for i in range(8)]
    assert found(frames) == (12 + EDGE, 20 + EDGE, 60 - 2 * EDGE, 80 - 2 * EDGE)


def test_a_bar_on_one_side():
    frames = [np.pad(bright(i, 60, 80), ((0, 10), (0, 0), (0, 0))) for i in range(8)]
    assert found(frames) == (0, 0, 60 - EDGE, 80)


def test_no_bars():
    assert found([bright(i) for i in range(8)]) is None


def test_a_dark_edge_in_some_frames_is_no_bar():
    frames = [barred(bright(i, 60, 80), 12) for i in range(20)]
    assert found([*frames, bright(0, 84, 80)]) is None


def test_dark_frames_and_too_few_frames_say_nothing():
    frames = [barred(bright(i, 60, 80), 12) for i in range(7)]
    assert found(frames) is None
    assert found([*frames, *[np.full((84, 80, 3), 8, np.uint8)] * 20]) is None


def test_a_mark_in_a_bar_does_not_hide_it():
    frames = [barred(bright(i, 60, 80), 12) for i in range(8)]
    for frame in frames:
        frame[3:8, 70:73] = 255  # 3 of 80 pixels of a row
    assert found(frames) == (12 + EDGE, 0, 60 - 2 * EDGE, 80)


def test_a_dark_film_with_a_light_is_not_cut_to_the_light():
    frame = np.full((60, 80, 3), 20, np.uint8)
    frame[28:34] = 255
    assert found([frame] * 8) is None


@pytest.mark.parametrize("options", [{"g": "1"}, {"g": "250"}])
def test_films_with_many_and_with_few_key_frames(tmp_path, options):
    film = tmp_path / "film.mp4"
    frames = [barred(bright(i // 4, 64, 96), 16) for i in range(12)]
    write_film(film, frames, options={**options, "crf": "12", "sc_threshold": "0"})
    assert find_bars(film) == (16 + EDGE, 0, 64 - 2 * EDGE, 96)


def test_what_is_no_film(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a film, found nothing"):
        find_bars(tmp_path / "gone.mp4")
