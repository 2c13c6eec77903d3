import io
import os
from fractions import Fraction

import av
import numpy as np
import pytest
from small_videos import REST, TOP_LEFT, corners, marked, moving, read, write_video
from video_copies import copy, times

from anime_tf.io.video.codecs import CODECS, CONTAINERS, VideoEncoding
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.open import check_target, open_reader, open_writer
from anime_tf.io.video.span import Span
from anime_tf.io.video.writers.video_file import VideoFileWriter

# What the encoders at their best quality and YUV leave of a picture of two colors; other errors
# are 20 and more.
VIDEO_STEPS = 8

MILLISECOND = Fraction(1, 1000)

TEXTS = """1
00:00:00,100 --> 00:00:00,400
Hello <i>you</i>

2
00:00:00,500 --> 00:00:00,900
second
line
"""


def with_subtitles(path, tmp_path, *, attach=False):
    """Write a video of one second with audio, English subtitles and a font."""
    write_video(tmp_path / "plain.mkv", moving(10), audio="aac")
    (tmp_path / "words.srt").write_text(TEXTS)
    with (
        av.open(str(tmp_path / "plain.mkv")) as video,
        av.open(str(tmp_path / "words.srt")) as words,
        av.open(str(path), "w") as target,
    ):
        streams = [target.add_stream_from_template(part) for part in video.streams]
        text = target.add_stream_from_template(words.streams[0])
        text.metadata["language"] = "eng"
        if attach:
            target.add_attachment("letters.ttf", "font/ttf", b"not really a font")
        for packet in (p for source in (video, words) for p in source.demux() if p.size):
            packet.stream = (
                text if packet.stream.type == "subtitle" else streams[packet.stream.index]
            )
            target.mux(packet)


def subtitles(path):
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        packets = [p for p in container.demux(stream) if p.size]
        name, language = stream.codec_context.name, stream.metadata.get("language")
        shown = [(p.pts * p.time_base, p.duration * p.time_base, bytes(p)) for p in packets]
    return name, language, shown


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(suffix, codec) for suffix, kind in CONTAINERS.items() for codec in kind.codecs],
)
def test_every_codec_keeps_frames_times_and_colors(tmp_path, suffix, codec):
    """Variable frame rate, in every container that holds the codec."""
    source, target = tmp_path / "a.mp4", tmp_path / f"b{suffix}"
    shown = [0, 160, 700, 900, 1500, 1501, 3000]
    write_video(
        source,
        [marked(96, 128)] * 7,
        times=shown,
        time_base=MILLISECOND,
        colors=("ITU709", 1),
        named_colors=True,
        options={"crf": "1"},
    )
    assert copy(source, target, encoding=VideoEncoding(codec, 1)) is None
    after = read(target)
    assert [time * 1000 for time in after.times] == shown
    expected = {"h264": "h264", "hevc": "hevc", "vp9": "vp9", "av1": "av1"}
    with av.open(str(target)) as container:
        context = container.streams.video[0].codec_context
        assert expected[codec] in (context.name, context.codec.canonical_name)
        assert (context.colorspace, context.color_range) == (1, 1)
        if codec == "hevc" and suffix in (".mp4", ".mov"):
            assert context.codec_tag == "hvc1"
    for frame in after.frames:
        assert np.abs(corners(frame) - [TOP_LEFT, REST, REST, REST]).max() <= VIDEO_STEPS


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="no list of threads")
def test_no_encoder_makes_threads_real_time(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mkv", [np.zeros((64, 64, 3), np.uint8)] * 2)
    own, found = os.sched_getscheduler(0), set()
    write_frame = VideoFileWriter.write_frame

    def write_and_look(self, frame):
        write_frame(self, frame)
        found.update(os.sched_getscheduler(int(task)) for task in os.listdir("/proc/self/task"))

    monkeypatch.setattr(VideoFileWriter, "write_frame", write_and_look)
    copy(tmp_path / "a.mkv", tmp_path / "b.mkv", encoding=VideoEncoding("av1"))
    assert found == {own} and os.sched_getscheduler(0) == own


def test_crf_changes_file_size(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 96, 128, 3), np.uint8)
    write_video(tmp_path / "a.mkv", list(noise), codec="ffv1", pixels="bgr0")
    for codec in CODECS:
        sizes = []
        for crf in (None, 45):
            copy(tmp_path / "a.mkv", tmp_path / "b.mkv", encoding=VideoEncoding(codec, crf))
            sizes.append((tmp_path / "b.mkv").stat().st_size)
        assert sizes[1] < 0.8 * sizes[0], codec


def test_unsupported_targets_raise():
    for target, encoding, words in (
        (
            "b.webm",
            VideoEncoding("h264"),
            "b.webm: expected a codec of vp9, av1, got h264; choose another --codec",
        ),
        ("b.mov", VideoEncoding("av1"), "or an output in .mp4, .mkv, .webm"),
        ("b.mp4", VideoEncoding(None, 60), "crf: expected at most 51 for h264, got 60"),
        ("b.gif", VideoEncoding("h264"), "codec and crf apply to video files only"),
        ("frames/", VideoEncoding(None, 3), "codec and crf apply to video files only"),
        (
            "b.avi",
            VideoEncoding(),
            "b.avi: expected a video (.mp4, .mov, .mkv, .webm), an animation",
        ),
        ("b/%03d.jp2", VideoEncoding(), "expected pictures as .jpg"),
    ):
        with pytest.raises(ValueError) as error:
            check_target(target, encoding)
        assert words in str(error.value)
    with pytest.raises(ValueError, match="codec: expected one of h264, hevc, vp9, av1"):
        VideoEncoding("mpeg2")
    for target in ("b.webm", "b.mkv", "b.gif", "b.webp", "b/", "b/%d.jpg"):
        check_target(target)


def test_webm_copies_opus_and_encodes_other_audio(tmp_path, caplog):
    caplog.set_level("INFO", "absl")
    write_video(tmp_path / "a.mkv", moving(10), audio="libopus")
    copy(tmp_path / "a.mkv", tmp_path / "b.webm")
    assert read(tmp_path / "b.webm").audio == read(tmp_path / "a.mkv").audio
    write_video(tmp_path / "a.mp4", moving(10), audio="aac", seconds=1)
    copy(tmp_path / "a.mp4", tmp_path / "b.webm")
    assert "aac cannot be stored in webm, encoded as Opus" in caplog.text
    with av.open(str(tmp_path / "b.webm")) as container:
        assert container.streams.video[0].codec_context.name == "vp9"
        assert container.streams.audio[0].codec_context.name == "opus"
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert 0.9 <= len(heard) / 48_000 <= 1.1
    loudness = np.abs(np.fft.rfft(heard[4800:43200]))
    assert abs(np.argmax(loudness) * 48_000 / 38_400 - 440) <= 2


@pytest.mark.parametrize("codec", ["pcm_s24le", "pcm_s24be", "pcm_f32le"])
def test_mp4_has_audio_that_players_decode(tmp_path, caplog, codec):
    caplog.set_level("INFO", "absl")
    source = tmp_path / "a.mov"
    write_video(source, moving(10), audio=codec, seconds=1)
    copy(source, tmp_path / "b.mp4")
    assert f"audio 1: {codec} is not decoded by all players in mp4, encoded as AAC" in caplog.text
    for suffix in (".mp4", ".mov", ".mkv"):
        copy(source, tmp_path / f"b{suffix}")
        with av.open(str(tmp_path / f"b{suffix}")) as container:
            stream = container.streams.audio[0]
            assert stream.codec_context.name == ("aac" if suffix == ".mp4" else codec)
            heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        loudness = np.abs(np.fft.rfft(heard[4800:43200].astype(float)))
        assert abs(np.argmax(loudness) * 48_000 / 38_400 - 440) <= 2


def test_channels_may_change_and_recordings_overlap(tmp_path):
    """As in television captures that were joined."""
    first, second = tmp_path / "a.ts", tmp_path / "b.ts"
    write_video(first, moving(5), audio="ac3", seconds=0.6)
    write_video(second, moving(5), times=[5, 6, 7, 8, 9], audio="ac3", layout="stereo", seconds=1)
    (tmp_path / "c.ts").write_bytes(first.read_bytes() + second.read_bytes())
    for suffix in (".webm", ".mp4"):
        assert copy(tmp_path / "c.ts", tmp_path / f"d{suffix}") is None
        with av.open(str(tmp_path / f"d{suffix}")) as container:
            heard = sum(frame.samples for frame in container.decode(audio=0))
        assert len(read(tmp_path / f"d{suffix}").frames) == 10
        # The 0.6 seconds that overlap are copied into MP4, and left out where they are encoded.
        assert 0.8 <= heard / 48_000 <= (1.1 if suffix == ".webm" else 1.7)


def test_subtitles_and_fonts_are_copied_if_supported(tmp_path):
    with_subtitles(tmp_path / "a.mkv", tmp_path, attach=True)
    copy(tmp_path / "a.mkv", tmp_path / "b.mkv")
    name, language, shown = subtitles(tmp_path / "b.mkv")
    assert (name, language) in (("srt", "eng"), ("subrip", "eng"))
    assert shown == subtitles(tmp_path / "a.mkv")[2]
    assert shown[0][2] == b"Hello <i>you</i>"
    with av.open(str(tmp_path / "b.mkv")) as container:
        (font,) = container.streams.attachments
        assert (font.name, font.mimetype) == ("letters.ttf", "font/ttf")
        assert bytes(font.data) == b"not really a font"
    assert read(tmp_path / "b.mkv").audio == read(tmp_path / "a.mkv").audio


@pytest.mark.parametrize(
    ("suffix", "codec", "words"),
    [(".mp4", "mov_text", b"second\nline"), (".webm", "webvtt", b"second\nline")],
)
def test_unsupported_subtitles_are_encoded(tmp_path, caplog, suffix, codec, words):
    caplog.set_level("INFO", "absl")
    with_subtitles(tmp_path / "a.mkv", tmp_path, attach=True)
    target = tmp_path / f"b{suffix}"
    copy(tmp_path / "a.mkv", target)
    with av.open(str(tmp_path / "a.mkv")) as container:
        if not hasattr(container.streams.subtitles[0].codec_context, "encode_subtitle"):
            assert "dropped" in caplog.text
            return
    name, language, shown = subtitles(target)
    assert (name, language) == (codec, "eng")
    # mov_text fills the times without words with packets that are empty but for their length
    shown = [(time, seconds, text) for time, seconds, text in shown if len(text) > 2]
    assert [(time, seconds) for time, seconds, _ in shown] == [
        (Fraction(1, 10), Fraction(3, 10)),
        (Fraction(5, 10), Fraction(4, 10)),
    ]
    assert b"you" in shown[0][2]
    assert words in shown[1][2]
    assert "encoded as" in caplog.text
    assert "holds no attachments, dropped: letters.ttf" in caplog.text
    # and from there back again
    copy(target, tmp_path / "c.mkv")
    name, _, back = subtitles(tmp_path / "c.mkv")
    (time,) = [time for time, _, text in back if b"second" in text]
    # Matroska has no times before 0, where AAC of an MP4 begins: all is later by its 21 ms
    assert float(time) == pytest.approx(0.5, abs=0.022)


def test_span_keeps_audio_in_sync(tmp_path):
    """Frames, audio, subtitles and chapters are clipped and count from the start."""
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, moving(60), audio="aac", options={"g": "25"})
    copy(source, target, Span(Fraction(21, 10), Fraction(40, 10)))
    before, after = read(source), read(target)
    assert [float(time) for time in after.times] == pytest.approx([i / 10 for i in range(19)])
    inside = [
        (time - Fraction(21, 10), data)
        for time, data in zip(before.audio_times, before.audio, strict=True)
        if Fraction(21, 10) <= time < 4
    ]
    assert after.audio == [data for _, data in inside]
    assert [float(t) for t in after.audio_times] == pytest.approx(
        [float(t) for t, _ in inside], abs=1e-3
    )
    assert after.seconds == pytest.approx(1.9, abs=0.03)  # a packet of AAC has 21 ms


def test_chapters_are_clipped_to_the_span(tmp_path):
    write_video(tmp_path / "plain.mkv", moving(60))
    chapters = [
        {"id": i, "start": s, "end": e, "time_base": MILLISECOND, "metadata": {"title": str(i)}}
        for i, (s, e) in enumerate([(0, 1000), (1000, 3000), (3000, 6000)], 1)
    ]
    with (
        av.open(str(tmp_path / "plain.mkv")) as plain,
        av.open(str(tmp_path / "a.mkv"), "w") as video,
    ):
        video.set_chapters(chapters)
        stream = video.add_stream_from_template(plain.streams[0])
        for packet in plain.demux():
            if packet.size:
                packet.stream = stream
                video.mux(packet)
    copy(tmp_path / "a.mkv", tmp_path / "b.mp4", Span(Fraction(2), Fraction(4)))
    with av.open(str(tmp_path / "b.mp4")) as container:
        found = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
            for c in container.chapters()
        ]
    assert found == [(0, 1, "2"), (1, 2, "3")]


def test_constant_rate_takes_nearest_frames(tmp_path):
    shown = [0, 90, 210, 290, 420, 500]
    write_video(tmp_path / "a.mp4", moving(6), times=shown, time_base=MILLISECOND, audio="aac")
    copy(tmp_path / "a.mp4", tmp_path / "b.mp4", Span(rate=Fraction(5)))
    assert times(tmp_path / "b.mp4") == [0, 0.2, 0.4]
    levels = [frame.mean() for frame in read(tmp_path / "b.mp4").frames]
    nearest = [moving(6)[i].mean() for i in (0, 2, 4)]
    assert np.abs(np.subtract(levels, nearest)).max() <= VIDEO_STEPS
    assert read(tmp_path / "b.mp4").audio == read(tmp_path / "a.mp4").audio
    copy(tmp_path / "a.mp4", tmp_path / "c.mp4", Span(rate=Fraction(20)))
    assert times(tmp_path / "c.mp4") == pytest.approx([i / 20 for i in range(12)], abs=1e-9)


def test_10_bit_video_keeps_frames_times_and_audio(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(
        source,
        moving(12),
        codec="libx265",
        pixels="yuv420p10le",
        audio="aac",
        options={"x265-params": "log-level=none"},
    )
    assert copy(source, target, encoding=VideoEncoding(crf=1)) is None
    before, after = read(source), read(target)
    assert before.stream.pix_fmt == "yuv420p10le"
    assert (after.stream.pix_fmt, after.times) == ("yuv420p", before.times)
    assert after.audio == before.audio
    assert abs(after.seconds - before.seconds) < 0.1
    # FFmpeg's usual way to 8 bits, as in `read`, makes the source darker by up to 3 levels.
    shades = [[frame.mean() for frame in video] for video in (moving(12), after.frames)]
    assert np.abs(np.subtract(*shades)).max() <= 1.5


def test_errors_of_ffmpeg_name_file_stream_and_remedy(tmp_path):
    write_video(tmp_path / "a.mp4", moving(3), audio="aac")
    words = r"b.mp4: header of stream 0 \(video, h264\), stream 1 \(audio, aac\): FFmpeg cannot "
    wide = Frame(np.zeros((2, 20_000, 3), np.uint8), 0, 1)  # too wide for the encoder
    with (
        open_reader(tmp_path / "a.mp4") as reader,
        pytest.raises(ValueError, match=rf"{words}write it \(.+\); choose another --codec"),
        open_writer(tmp_path / "b.mp4", reader) as writer,
    ):
        writer.write_frame(wide)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_failed_block_leaves_nothing(tmp_path):
    write_video(tmp_path / "a.mkv", moving(3))
    for target in ("b.webm", "b.gif", "b.webp", "frames/"):
        with pytest.raises(io.UnsupportedOperation):
            fail_in_the_middle(tmp_path / "a.mkv", f"{tmp_path}/{target}")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.mkv"]


def fail_in_the_middle(source, target):
    with open_reader(source) as video, open_writer(target, video) as writer:
        writer.write_frame(next(iter(video.items())))
        raise io.UnsupportedOperation
