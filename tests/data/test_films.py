from fractions import Fraction

import av
import numpy as np
import pytest
from small_films import REST, TOP_LEFT, corners, marked, moving, write_film

from anime_tf.data.films import FilmReader

# YUV's rounding and what an encoder without loss keeps of it; other errors are 20 and more.
YUV_STEPS = 2
LOSSLESS = {"qp": "0"}

# Of FFmpeg's conversion there and back on a smooth picture: 1.0 with the flags, 3.4 without.
MEAN_STEPS, MEAN_SHIFT = 1.6, 0.3


def test_frames_have_the_times_of_the_film(tmp_path):
    times = [0, 160, 700, 900, 1500, 1501, 3000]
    write_film(tmp_path / "vfr.mp4", moving(7), times=times, time_base=Fraction(1, 1000))
    with FilmReader(tmp_path / "vfr.mp4") as film:
        frames = list(film.frames())
        assert [frame.pts * film.time_base * 1000 for frame in frames] == times
        assert film.frames_expected == film.count == 7
        assert film.damage is None
    shades = [int(frame.rgb_u8.mean()) for frame in frames]
    assert np.abs(np.subtract(shades, [picture.mean() for picture in moving(7)])).max() <= 6


def test_sound_comes_only_where_it_is_asked_for(tmp_path):
    write_film(tmp_path / "a.mkv", moving(4), sound="pcm_s16le")
    with FilmReader(tmp_path / "a.mkv") as film:
        assert film.sound == ()
        assert film.left_out == 1
        assert len(list(film.items())) == 4
    with FilmReader(tmp_path / "a.mkv", sound=True) as film:
        packets = [item for item in film.items() if isinstance(item, av.Packet)]
        assert {packet.stream_index for packet in packets} == {film.sound[0].index}
        assert sum(packet.size for packet in packets) == 2 * 48_000 * 4 // 10
        assert (film.left_out, film.count) == (0, 4)


def test_times_of_a_transport_stream_count_from_0(tmp_path):
    """Of pictures and sound together."""
    path, times = tmp_path / "a.ts", [30, 31, 33, 34]
    write_film(path, moving(4), times=times)
    with FilmReader(path) as film:
        assert film.time_base == Fraction(1, 90_000)
        assert [frame.pts / 9000 for frame in film.frames()] == [0, 1, 3, 4]
    write_film(path, moving(4), times=times, sound="mp2")
    with FilmReader(path, sound=True) as film:
        items = list(film.items())
    shown = [item.pts for item in items if not isinstance(item, av.Packet)]
    heard = [item.pts for item in items if isinstance(item, av.Packet)]
    # the encoder's delay: its first packet begins 481 samples early
    assert (heard[0], shown[0]) == (0, 30 * 9000 + round(481 / 48_000 * 90_000))


@pytest.mark.parametrize("matrix", ["ITU601", "ITU709"])
@pytest.mark.parametrize("colour_range", [1, 2])
def test_matrix_and_range_that_the_film_names(tmp_path, matrix, colour_range):
    colours = (matrix, colour_range)
    film = tmp_path / "film.mkv"
    write_film(film, [marked()], colours=colours, named_colours=True, options=LOSSLESS)
    with FilmReader(film) as reader:
        (frame,) = reader.frames()
        assert (reader.colours.matrix, reader.colours.range_number) == colours
    # chroma has half the size: the corners lie inside of their patches
    assert np.abs(corners(frame.rgb_u8) - [TOP_LEFT, REST, REST, REST]).max() <= YUV_STEPS


@pytest.mark.parametrize(("height", "matrix"), [(64, "ITU601"), (720, "ITU709")])
def test_a_matrix_that_is_not_named_follows_from_the_height(tmp_path, height, matrix):
    film = tmp_path / "film.mkv"
    write_film(film, [marked(height)], colours=(matrix, 1), options=LOSSLESS)
    with FilmReader(film) as reader:
        (frame,) = reader.frames()
        assert reader.colours.matrix == matrix
    assert np.abs(corners(frame.rgb_u8) - [TOP_LEFT, REST, REST, REST]).max() <= YUV_STEPS


def test_chroma_is_interpolated_and_nothing_gets_darker(tmp_path):
    y, x = np.mgrid[:96, :128] / 12.0
    waves = [np.sin(x + y / 2), np.sin(y - x / 3 + 1), np.sin(x / 2 + y + 2)]
    smooth = np.rint(np.stack(waves, -1) * 90 + 128).astype(np.uint8)
    write_film(tmp_path / "film.mkv", [smooth], options=LOSSLESS)
    with FilmReader(tmp_path / "film.mkv") as film:
        (frame,) = film.frames()
    error = frame.rgb_u8.astype(float) - smooth
    assert np.abs(error).mean() <= MEAN_STEPS
    assert np.abs(error.mean((0, 1))).max() <= MEAN_SHIFT


def test_a_film_that_breaks_off(tmp_path):
    film = tmp_path / "cut.mkv"
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8)
    write_film(film, list(noise))
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    with FilmReader(film) as reader:
        count = sum(1 for _ in reader.frames())
        assert 10 <= count == reader.count < 40
        assert str(reader.damage).startswith(f"{film}: ")


def test_what_is_no_film(tmp_path):
    (tmp_path / "note.mp4").write_text("no film")
    with pytest.raises(ValueError, match="note.mp4: expected a film that FFmpeg reads, found"):
        FilmReader(tmp_path / "note.mp4")
    with pytest.raises(FileNotFoundError, match="gone.mp4: expected a film, found nothing"):
        FilmReader(tmp_path / "gone.mp4")
    with pytest.raises(FileNotFoundError, match="expected a film, found a folder"):
        FilmReader(tmp_path)


def test_the_picture_of_a_cover_is_no_film(tmp_path):
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        tone = container.add_stream("libmp3lame", rate=48_000)
        cover = container.add_stream("png", rate=1)
        cover.height, cover.width, cover.pix_fmt = 16, 16, "rgb24"
        cover.disposition = 0x400
        container.mux(cover.encode(av.VideoFrame.from_ndarray(marked(16, 16), format="rgb24")))
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.int16), "s16p", "stereo")
        sound.sample_rate = 48_000
        container.mux(tone.encode(sound))
        container.mux(tone.encode())
    with pytest.raises(ValueError, match="song.mp3: expected a film, .* without moving pictures"):
        FilmReader(path)
