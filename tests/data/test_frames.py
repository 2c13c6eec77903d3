from fractions import Fraction

import av
import numpy as np
import pytest

from anime_tf.data.frames import extract_frames
from anime_tf.data.pictures import read_picture

# Lossy films and YUV's rounding; channels and places mixed up are off by 100 and more.
FILM_STEPS = 12

TOP_LEFT, REST = (20, 220, 30), (200, 40, 90)


def marked(height=48, width=64):
    picture = np.full((height, width, 3), REST, np.uint8)
    picture[: height // 3, : width // 3] = TOP_LEFT
    return picture


def write_film(path, frames, *, codec="ffv1", pixels="bgr0", colours="ITU601", set_up=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if codec == "mpeg4":
            stream.codec_context.qmin = stream.codec_context.qmax = 1
        if set_up is not None:
            set_up(stream)
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture = picture.reformat(format=pixels, dst_colorspace=colours)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def corners(path):
    picture = read_picture(path).rgb_u8
    return picture[[2, 2, -3, -3], [2, -3, 2, -3]].astype(int)


def test_every_nth_frame_exactly(tmp_path):
    frames = [np.full((16, 24, 3), (i, 100, 255 - i), np.uint8) for i in range(11)]
    write_film(tmp_path / "my film.mkv", frames)
    report = extract_frames(tmp_path / "my film.mkv", tmp_path / "new" / "out", every=5)
    assert (report.frames, report.damage) == (11, None)
    names = ["my film_000000.png", "my film_000005.png", "my film_000010.png"]
    assert [path.name for path in report.written] == names
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == names
    for path, i in zip(report.written, (0, 5, 10), strict=True):
        np.testing.assert_array_equal(read_picture(path).rgb_u8, frames[i])


def test_rotated_films_stand_upright(tmp_path):
    film = tmp_path / "phone.mp4"

    def clockwise(stream):
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV can read rotated films, but not write one for the test")
        stream.set_display_rotation(-90)

    write_film(film, [marked()] * 2, codec="mpeg4", pixels="yuv420p", set_up=clockwise)
    (path, _) = extract_frames(film, tmp_path).written
    assert read_picture(path).size_hw == (64, 48)
    # what was top left is now top right
    assert np.abs(corners(path) - [REST, TOP_LEFT, REST, REST]).max() <= FILM_STEPS


def test_pixels_become_square(tmp_path):
    film = tmp_path / "dvd.mp4"

    def wide(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)

    write_film(film, [marked()], codec="mpeg4", pixels="yuv420p", set_up=wide)
    (path,) = extract_frames(film, tmp_path).written
    assert read_picture(path).size_hw == (48, 128)
    assert np.abs(corners(path) - [TOP_LEFT, REST, REST, REST]).max() <= FILM_STEPS


@pytest.mark.parametrize(("height", "colours"), [(64, "ITU601"), (720, "ITU709")])
def test_colours_that_the_film_does_not_name_follow_from_its_height(tmp_path, height, colours):
    film = tmp_path / "film.mkv"
    write_film(film, [marked(height)], codec="mpeg4", pixels="yuv420p", colours=colours)
    (path,) = extract_frames(film, tmp_path).written
    assert np.abs(corners(path) - [TOP_LEFT, REST, REST, REST]).max() <= FILM_STEPS


def test_a_film_that_breaks_off_gives_what_it_has(tmp_path, caplog):
    film = tmp_path / "cut.mkv"
    random = np.random.RandomState(0)
    frames = [random.randint(0, 256, (32, 48, 3)).astype(np.uint8) for _ in range(40)]
    write_film(film, frames)
    data = film.read_bytes()
    film.write_bytes(data[: len(data) // 2])
    report = extract_frames(film, tmp_path)
    assert 15 <= len(report.written) == report.frames <= 20
    np.testing.assert_array_equal(read_picture(report.written[14]).rgb_u8, frames[14])
    assert report.damage is not None
    assert "cut.mkv: " in report.damage
    assert report.damage in caplog.text


def test_damage_within_a_film_is_told(tmp_path):
    film = tmp_path / "damaged.mp4"
    random = np.random.RandomState(0)
    frames = [random.randint(0, 256, (32, 48, 3)).astype(np.uint8) for _ in range(8)]
    write_film(film, frames, codec="png", pixels="rgb24")
    data = bytearray(film.read_bytes())
    third = [at for at in range(len(data)) if data[at : at + 8] == b"\x89PNG\r\n\x1a\n"][2]
    data[third : third + 8] = bytes(8)
    film.write_bytes(data)
    report = extract_frames(film, tmp_path)
    assert report.frames == 7
    assert report.damage is not None
    assert "damaged after" in report.damage


def test_what_is_no_film_is_named(tmp_path):
    note = tmp_path / "note.mp4"
    note.write_text("no film")
    with pytest.raises(ValueError, match="note.mp4: expected a film that FFmpeg reads, found"):
        extract_frames(note, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="gone.mp4: expected a film, found nothing"):
        extract_frames(tmp_path / "gone.mp4", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="expected a film, found a folder"):
        extract_frames(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        extract_frames(note, tmp_path / "out", every=0)
    assert not (tmp_path / "out").exists()


def test_sound_alone_is_no_film(tmp_path):
    path = tmp_path / "song.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="song.wav: .* without moving pictures"):
        extract_frames(path, tmp_path / "out")
