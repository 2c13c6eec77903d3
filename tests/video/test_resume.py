import json
import threading
from fractions import Fraction

import av
import numpy as np
import pytest
from small_videos import moving, read, write_video

from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.readers.image_sequence import ImageSequenceReader
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.io.video.span import WHOLE
from anime_tf.video import resume as partial
from anime_tf.video.pipeline import stylize_frames

MILLISECOND = Fraction(1, 1000)

# Two encodings of one noisy frame differ by 4 to 8 levels on average, two frames by 20.
CODED_STEPS = 12

SETTINGS = {"--strength": "1.0"}


def stylize(source, target, *, stop_after=None, settings=SETTINGS, seen=None, **options):
    """Run an identity function, interrupted after some frames."""
    stop, count = threading.Event(), 0

    def identity(rgb_u8, seconds):
        nonlocal count
        count += 1
        if seen is not None:
            seen.append(seconds)
        if count == stop_after:
            stop.set()
        return rgb_u8

    with VideoFileReader(source, audio=True) as video:
        return stylize_frames(video, target, identity, settings=settings, stop=stop, **options)


def packets(path):
    """Return presentation and decoding time, duration and data of each coded frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(p.pts, p.dts, p.duration, bytes(p)) for p in container.demux(stream) if p.size]


def textured(count):
    """Return frames of a moving texture, for which B-frames pay off."""
    random = np.random.default_rng(1)
    texture = random.integers(0, 256, (64, 64 + count, 3), np.uint8)
    texture = np.repeat(np.repeat(texture[:12, : 16 + count], 4, 0), 4, 1)
    return [np.ascontiguousarray(texture[:, i : i + 64]) for i in range(count)]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "h264"), (".mkv", "h264"), (".mov", "hevc"), (".mp4", "av1"), (".webm", "vp9")],
)
def test_resumed_video_equals_an_uninterrupted_one(tmp_path, suffix, codec):
    source = tmp_path / "a.mp4"
    times = np.cumsum([0, *np.random.default_rng(0).integers(1, 4, 39)]).tolist()
    tick = Fraction(1, 30)
    write_video(source, textured(40), times=times, time_base=tick, audio="aac")
    whole, target = tmp_path / f"whole{suffix}", tmp_path / f"b{suffix}"
    encoding = VideoEncoding(codec)
    stylize(source, whole, encoding=encoding)

    report = stylize(source, target, encoding=encoding, stop_after=13)
    assert report.stopped and report.path == partial.partial_path(target)
    assert not target.exists()
    assert report.frames == 13
    before = read(report.path)
    assert before.times == read(whole).times[:13]
    assert 0 < len(before.audio) < len(read(whole).audio)
    old = packets(report.path)

    again = stylize(source, target, encoding=encoding, stop_after=9, resume=True)
    assert again.frames == 22
    assert [data for *_, data in packets(again.path)[:13]] == [data for *_, data in old]

    seen = []
    report = stylize(source, target, encoding=encoding, resume=True, seen=seen)
    assert (report.stopped, report.frames, len(seen)) == (False, 40, 18)
    expected, made = read(whole), read(target)
    assert made.times == expected.times
    assert made.audio == expected.audio
    assert made.audio_times == expected.audio_times
    assert made.seconds == expected.seconds
    assert len(made.frames) == 40
    for one, other in zip(made.frames, expected.frames, strict=True):
        assert np.abs(one.astype(int) - other).mean() <= CODED_STEPS
    coded, wanted = packets(target), packets(whole)
    assert [p[1] for p in coded] == [p[1] for p in wanted]  # times of decoding
    assert sorted(p[0] for p in coded) == sorted(p[0] for p in wanted)
    # MP4 tells durations in the order of decoding, which is the encoder's.
    assert sum(p[2] for p in coded) == sum(p[2] for p in wanted)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["a.mp4", whole.name, target.name]
    )


@pytest.mark.parametrize("name", ["out/", "out/%03d.png"])
def test_numbered_pictures_resume(tmp_path, name):
    source, target = tmp_path / "a.mp4", f"{tmp_path}/{name}"
    write_video(source, moving(9))
    report = stylize(source, target, stop_after=4)
    assert (report.stopped, report.frames, report.path) == (True, 4, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.png"))) == 4
    seen = []
    report = stylize(source, target, resume=True, seen=seen)
    assert (report.frames, len(seen)) == (9, 5)
    assert len(list((tmp_path / "out").iterdir())) == 9
    with ImageSequenceReader(target, WHOLE) as made, VideoFileReader(source) as video:
        for one, other in zip(made.items(), video.frames(), strict=True):
            np.testing.assert_array_equal(one.rgb_u8, other.rgb_u8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "out"]


def test_animation_ends_early_and_cannot_resume(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.gif"
    write_video(source, moving(9))
    report = stylize(source, target, stop_after=4)
    assert report.path == tmp_path / "b.partial.gif"
    assert len(read(report.path).frames) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.partial.gif"]
    with pytest.raises(ValueError, match=r"b.gif: expected a video .* to resume"):
        stylize(source, target, resume=True)


def test_interruption_before_a_new_frame_keeps_the_old(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, moving(9), audio="aac")
    stop = threading.Event()
    stop.set()
    with VideoFileReader(source, audio=True) as video:
        report = stylize_frames(video, target, lambda rgb_u8, seconds: rgb_u8, stop=stop)
    assert (report.stopped, report.frames, report.path) == (True, 0, None)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    left = stylize(source, target, stop_after=4).path
    data = left.read_bytes()
    with VideoFileReader(source, audio=True) as video:
        report = stylize_frames(
            video,
            target,
            lambda rgb_u8, seconds: rgb_u8,
            stop=stop,
            resume=True,
            settings=SETTINGS,
        )
    assert (report.stopped, report.path) == (True, None)
    assert left.read_bytes() == data
    assert stylize(source, target, resume=True).frames == 9


def test_resuming_with_other_inputs_raises(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, moving(9))
    left = stylize(source, target, stop_after=4).path
    notes = partial.record_path(target)
    before = {path: path.read_bytes() for path in (left, notes)}

    def refused(words, settings=SETTINGS):
        with pytest.raises(ValueError, match=words) as caught:
            stylize(source, target, resume=True, settings=settings)
        assert "remove --resume" in str(caught.value)

    refused(r"b.partial.mp4: expected --strength=1.0 as before, got 0.5", {"--strength": "0.5"})
    refused("expected --crf=None as before, got 20", {**SETTINGS, "--crf": "20"})
    left.write_bytes(before[left] + b"x")
    refused("expected .* bytes, got")
    left.write_bytes(before[left])
    notes.write_text("[]")
    refused("expected the record of b.partial.mp4, got something else")
    notes.unlink()
    refused("expected the record of b.partial.mp4, got no such file")
    counted = json.loads(before[notes])
    notes.write_text(json.dumps({**counted, "frames": 5}))
    refused("expected 5 frames, got 4")
    notes.write_bytes(before[notes])
    write_video(source, moving(8))
    refused("expected the source that it was made from, got another .*a.mp4")
    assert not target.exists()
    assert left.read_bytes() == before[left]


def test_frames_before_the_seam_warm_up(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, moving(10))
    stylize(source, target, stop_after=6)
    seen = []
    stylize(source, target, resume=True, seen=seen, warm_up_seconds=0.25)
    assert seen == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert len(read(target).frames) == 10


def test_resume_without_partial_starts_anew(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, moving(3))
    assert stylize(source, target, resume=True).frames == 3
