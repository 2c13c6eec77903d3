"""Typical video files through the whole pipeline without a network."""

from fractions import Fraction

import av
import numpy as np
import pytest
from small_videos import marked, moving, read, write_video
from video_copies import frames, times

from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.open import open_reader
from anime_tf.io.video.span import Span
from anime_tf.video.pipeline import check_output, frame_by_frame, stylize_frames

# What x264 at crf 1 and YUV leave of flat frames; frames next to each other differ by 9 and more.
LEVELS = 3

MILLISECOND = Fraction(1, 1000)


def turned(stream):
    if not hasattr(stream, "set_display_rotation"):
        pytest.skip("this PyAV can read rotated videos, but not write one for the test")
    stream.set_display_rotation(90)


CLIPS = {
    "phone.mp4": {"set_up": turned, "audio": "aac"},
    "variable.mp4": {
        "times": [*range(0, 800, 40), 900, 1333],
        "time_base": MILLISECOND,
        "audio": "aac",
    },
    "ten_bits.mp4": {
        "codec": "libx265",
        "pixels": "yuv420p10le",
        "options": {"x265-params": "log-level=none"},
        "audio": "aac",
    },
    "silent.mov": {},
    "dance.gif": {"codec": "gif", "pixels": "rgb8"},
    "lecture.mkv": {"audio": "libopus"},
    "station.ts": {"audio": "mp2"},
}


def stylize(source, target, span=Span(), encoding=VideoEncoding()):  # noqa: B008, both are frozen
    with open_reader(source, span) as video:
        return stylize_frames(video, target, frame_by_frame(np.copy), encoding=encoding)


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_times_audio_and_length_are_kept(tmp_path, name, suffix):
    source, target = tmp_path / name, tmp_path / f"anime{suffix}"
    write_video(source, moving(22), **CLIPS[name])
    report = stylize(source, target, encoding=VideoEncoding(crf=1))
    assert (report.frames, report.damage) == (22, None)
    before, after = read(source), read(target)
    assert len(after.frames) == len(before.frames) == 22
    # from the first one on: a transport stream begins anywhere, Matroska never before 0
    tick = MILLISECOND if suffix == ".mkv" else 0
    for was, now in ((before.times, after.times), (before.audio_times, after.audio_times)):
        for first, second in zip(was, now, strict=True):
            assert abs((second - now[0]) - (first - was[0])) <= tick
    assert after.audio == before.audio
    assert abs(after.seconds - before.seconds) < 0.1  # a frame
    expected = [picture.mean() for picture in moving(22)]
    if name == "dance.gif":
        expected = [frame.rgb_u8.mean() for _, frame in frames(source)]
    found = [frame.rgb_u8.mean() for _, frame in frames(target)]
    assert np.abs(np.subtract(found, expected)).max() <= LEVELS
    if name == "phone.mp4":
        assert after.frames[0].shape == (64, 48, 3)


def test_a_pattern_in_place_of_a_video_names_the_verb_for_several(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"\*.mp4: expected one video, got .*anime-tf bulk"):
        open_reader(tmp_path / "*.mp4")
    write_video(tmp_path / "a[1].mp4", moving(2))
    with open_reader(tmp_path / "a[1].mp4") as reader:
        assert len(list(reader.frames())) == 2


def test_gif_to_gif_and_to_pictures(tmp_path):
    source = tmp_path / "a.gif"
    write_video(source, [marked(), marked()[::-1], marked()[:, ::-1]], codec="gif", pixels="rgb8")
    for target in (tmp_path / "b.gif", tmp_path / "b.webp"):
        check_output(source, target)
        assert stylize(source, target).frames == 3
        assert times(target) == times(source) == [0, 0.1, 0.2]
    place = f"{tmp_path}/frames/"
    check_output(source, place)
    assert stylize(source, place).frames == 3
    assert stylize(place, tmp_path / "c.mp4", Span(rate=Fraction(10))).frames == 3
    assert times(tmp_path / "c.mp4") == times(source)
    for again in (place, f"{place}%06d.png"):
        with pytest.raises(ValueError, match="would overwrite the input"):
            check_output(place, again)


def test_span_through_the_pipeline(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.webm"
    write_video(source, moving(40), audio="aac", options={"g": "15"})
    report = stylize(source, target, Span(Fraction(2), Fraction(3), Fraction(20)))
    assert (report.frames, report.damage) == (20, None)
    with av.open(str(target)) as container:
        names = [stream.codec_context.name for stream in container.streams]
    assert names == ["vp9", "opus"]
    # Opus begins a little before 0, and Matroska not: all is later by as much
    shown = times(target)
    assert np.subtract(shown, shown[0]).tolist() == pytest.approx([i / 20 for i in range(20)])
    assert shown[0] <= 0.03
