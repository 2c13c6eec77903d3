import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from full_disk import file_size_limit
from small_videos import REST, TOP_LEFT, corners, marked, moving, read, write_video

from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.video.pipeline import (
    FRAMES_AHEAD,
    VideoReport,
    check_output,
    frame_by_frame,
    stylize_frames,
)

ROOT = Path(__file__).parents[2]

# What x264 at crf 1 and YUV leave of a picture of two colors; other errors are 20 and more.
VIDEO_STEPS = 6

MILLISECOND = Fraction(1, 1000)


def copy(source, target, stylize=np.copy, **options) -> VideoReport:
    with VideoFileReader(source, audio=True) as video:
        return stylize_frames(video, target, frame_by_frame(stylize), **options)


def only(folder, *names):
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".MP4"])
def test_frames_times_audio_and_metadata_are_kept(tmp_path, suffix):
    source, target = tmp_path / "a.mp4", tmp_path / f"new/b{suffix}"
    times = [0, 160, 700, 900, 1500, 1501, 3000]
    tags = {"title": "Ein Süßes Ä", "comment": "two words"}
    write_video(source, moving(7), times=times, time_base=MILLISECOND, audio="aac", metadata=tags)
    assert copy(source, target) == VideoReport(7, None, target)
    before, after = read(source), read(target)
    assert after.times == [Fraction(time, 1000) for time in times]
    assert after.audio == before.audio
    assert after.audio_times == before.audio_times
    assert after.seconds == before.seconds
    assert tags.items() <= after.metadata.items()
    assert (after.stream.codec_context.name, after.stream.pix_fmt) == ("h264", "yuv420p")
    means = [[frame.mean() for frame in video.frames] for video in (before, after)]
    assert np.abs(np.subtract(*means)).max() <= VIDEO_STEPS
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert only(target.parent, target.name)


def test_matroska_stores_milliseconds(tmp_path):
    """Two frames within one millisecond are both kept."""
    source, target = tmp_path / "a.mp4", tmp_path / "b.mkv"
    times, tick = [0, 160, 700, 705, 1500], Fraction(1, 16_000)
    write_video(source, moving(5), times=times, time_base=tick)
    copy(source, target)
    assert [time * 1000 for time in read(target).times] == [0, 10, 44, 45, 94]


def test_matroska_shifts_audio_before_0(tmp_path):
    """AAC begins 1,024 samples early: in Matroska everything is later by as much, in sync."""
    source, target = tmp_path / "a.mp4", tmp_path / "b.mkv"
    write_video(source, moving(5), audio="aac")
    copy(source, target)
    before, after = read(source), read(target)
    assert after.audio == before.audio
    assert (before.audio_times[0], after.audio_times[0]) == (Fraction(-1024, 48_000), 0)
    later = {times[1] - times[0] for times in zip(before.times, after.times, strict=True)}
    assert later == {Fraction(21, 1000)}


def test_late_start_is_kept(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, moving(3), times=[500, 600, 900], time_base=MILLISECOND, audio="aac")
    copy(source, target)
    assert [float(time) for time in read(target).times] == [0.5, 0.6, 0.9]
    assert read(target).audio_times == read(source).audio_times


def test_unsupported_audio_becomes_aac(tmp_path, caplog):
    source, target = tmp_path / "a.mkv", tmp_path / "b.mov"
    write_video(source, moving(5), audio="flac", seconds=1)
    caplog.set_level("INFO", logger="absl")
    assert copy(source, target).damage is None
    assert "flac cannot be stored in mov, encoded as AAC" in caplog.text
    with av.open(str(target)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert 0.9 <= len(heard) / 48_000 <= 1.1
    # still the tone of 440 Hz, at its loudness
    loudness = np.abs(np.fft.rfft(heard[4800:43200]))
    assert abs(np.argmax(loudness) * 48_000 / 38_400 - 440) <= 2
    assert abs(np.abs(heard[4800:43200]).max() - 8000 / 32768) <= 0.02


def test_audio_streams_chapters_and_languages_are_kept(tmp_path):
    source, target = tmp_path / "a.mkv", tmp_path / "b.mov"
    write_video(tmp_path / "1.mkv", moving(5), audio="aac")
    write_video(tmp_path / "2.mkv", moving(5), audio="flac")
    chapter = {"id": 1, "start": 0, "end": 500, "time_base": MILLISECOND}
    chapter["metadata"] = {"title": "one"}
    with (
        av.open(str(tmp_path / "1.mkv")) as first,
        av.open(str(tmp_path / "2.mkv")) as second,
        av.open(str(source), "w") as both,
    ):
        both.set_chapters([chapter])
        parts = [*first.streams, second.streams.audio[0]]
        targets = [both.add_stream_from_template(part) for part in parts]
        for stream, language in zip(targets, ("eng", "jpn", "spa"), strict=True):
            stream.metadata["language"] = language
        for part, stream in zip(parts, targets, strict=True):
            for packet in part.container.demux(part):
                if packet.size:
                    packet.stream = stream
                    both.mux(packet)
            part.container.seek(0)
    copy(source, target)
    with av.open(str(target)) as container:
        sounds = container.streams.audio
        assert [sound.codec_context.name for sound in sounds] == ["aac", "aac"]
        assert [sound.language for sound in sounds] == ["jpn", "spa"]
        assert [chapter["metadata"] for chapter in container.chapters()] == [{"title": "one"}]
        packets = [bytes(packet) for packet in container.demux(sounds[0]) if packet.size]
    assert packets == read(source).audio[: len(packets)] == read(tmp_path / "1.mkv").audio


def test_pcm_is_copied_sample_by_sample(tmp_path):
    source, target = tmp_path / "a.mkv", tmp_path / "b.mov"
    write_video(source, moving(5), audio="pcm_s16le")
    copy(source, target)
    assert b"".join(read(target).audio) == b"".join(read(source).audio)


def test_videos_without_audio_and_with_one_frame(tmp_path):
    write_video(tmp_path / "a.gif", moving(1), codec="gif", pixels="rgb8")
    assert copy(tmp_path / "a.gif", tmp_path / "b.mp4").frames == 1
    after = read(tmp_path / "b.mp4")
    assert (len(after.frames), after.audio_codec) == (1, None)


@pytest.mark.parametrize(("height", "width"), [(47, 64), (48, 63), (1, 1)])
def test_odd_sizes_are_padded(tmp_path, height, width):
    source, target = tmp_path / "a.mkv", tmp_path / "b.mp4"
    write_video(source, [marked(height, width)] * 2, codec="ffv1", pixels="bgr0")
    seen = []
    copy(
        source,
        target,
        lambda photo_u8: seen.append(photo_u8.shape) or photo_u8,
        encoding=VideoEncoding(crf=1),
    )
    assert seen == [(height, width, 3)] * 2
    after = read(target).frames[0]
    assert after.shape == (height + height % 2, width + width % 2, 3)
    padded = np.pad(marked(height, width), ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    if height > 1:
        assert np.abs(corners(after) - corners(padded)).max() <= VIDEO_STEPS


def test_rotated_wide_pixels_become_upright_and_square(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"

    def phone(stream):
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV can read rotated videos, but not write one for the test")
        stream.set_display_rotation(-90)
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)

    write_video(source, [marked()] * 2, set_up=phone, options={"crf": "1"})
    copy(source, target, encoding=VideoEncoding(crf=1))
    with av.open(str(target)) as container:
        (frame, _) = container.decode(video=0)
        assert frame.rotation == 0
        assert container.streams.video[0].sample_aspect_ratio == 1
        picture = frame.to_ndarray(format="rgb24")
    assert picture.shape == (128, 48, 3)
    assert np.abs(corners(picture) - [REST, TOP_LEFT, REST, REST]).max() <= VIDEO_STEPS


@pytest.mark.parametrize("matrix", ["ITU601", "ITU709"])
@pytest.mark.parametrize("color_range", [1, 2])
def test_matrix_and_range_are_kept(tmp_path, matrix, color_range):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    colors = (matrix, color_range)
    write_video(source, [marked()], colors=colors, named_colors=True, options={"crf": "1"})
    copy(source, target, encoding=VideoEncoding(crf=1))
    after = read(target)
    context = after.stream.codec_context
    assert (context.colorspace, context.color_range) == (
        {"ITU601": 6, "ITU709": 1}[matrix],
        color_range,
    )
    assert np.abs(corners(after.frames[0]) - [TOP_LEFT, REST, REST, REST]).max() <= VIDEO_STEPS


def test_stylized_frames_are_written(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, [marked()] * 3, options={"crf": "1"})
    copy(source, target, lambda photo_u8: 255 - photo_u8[:, ::-1], encoding=VideoEncoding(crf=1))
    expected = 255 - np.array([REST, TOP_LEFT, REST, REST])
    for frame in read(target).frames:
        assert np.abs(corners(frame) - expected).max() <= VIDEO_STEPS


def test_frames_are_resized_to_the_first(tmp_path, caplog):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, [marked()] * 3)
    sizes = iter([48, 24, 32])
    copy(source, target, lambda photo_u8: photo_u8[: next(sizes)])
    assert {frame.shape for frame in read(target).frames} == {(48, 64, 3)}
    assert "a.mp4: frames change their size" in caplog.text


def test_few_frames_are_in_memory(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, moving(60), audio="aac")
    ahead, seen = [], 0
    with VideoFileReader(source, audio=True) as video:

        def slow(photo_u8):
            nonlocal seen
            seen += 1
            threading.Event().wait(0.002)
            ahead.append(video.count - seen)
            return photo_u8

        stylize_frames(video, target, frame_by_frame(slow))
    # those in the channel, and one that waits for room in it
    assert max(ahead) <= FRAMES_AHEAD + 1
    assert seen == 60


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError("too large"), ValueError("no")])
def test_exception_leaves_nothing(tmp_path, error):
    source = tmp_path / "a.mp4"
    write_video(source, moving(30), audio="aac")
    left = iter(range(20))

    def stop(photo_u8):
        if next(left, None) is None:
            raise error
        return photo_u8

    threads = threading.active_count()
    with pytest.raises(error if isinstance(error, type) else type(error)):
        copy(source, tmp_path / "b.mp4", stop)
    assert only(tmp_path, "a.mp4")
    assert threading.active_count() == threads


INTERRUPTED = """
import signal
import sys
from anime_tf.cli import app
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.video.pipeline import stylize_frames

def main(values):
    with VideoFileReader(sys.argv[1], audio=True) as video:
        stylize_frames(video, sys.argv[2], lambda photo_u8, seconds: photo_u8)

# A background job of a shell is born deaf to it.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(app.run(app.Command("video", "", "", (), main), []))
"""


def test_ctrl_c_leaves_nothing(tmp_path):
    """A real signal while the threads wait for each other; TensorFlow is not loaded, to be fast."""
    source, folder = tmp_path / "a.mkv", tmp_path / "out"
    write_video(source, moving(3000, 96, 96), options={"preset": "ultrafast"})
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(source), str(folder / "b.mp4")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (folder.exists() and list(folder.iterdir())):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert [line.endswith("video: interrupted") for line in err.splitlines()] == [True]
    assert list(folder.iterdir()) == []


def test_old_output_stays_until_the_new_one_is_complete(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    write_video(source, moving(4))
    target.write_bytes(b"old")

    def fail(photo_u8):
        assert target.read_bytes() == b"old"
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        copy(source, target, fail)
    assert target.read_bytes() == b"old"
    copy(source, target)
    assert len(read(target).frames) == 4
    assert only(tmp_path, "a.mp4", "b.mp4")


def test_full_disk_leaves_nothing(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (30, 96, 128, 3), np.uint8)
    write_video(source, list(noise))
    for limit in (20_000, source.stat().st_size // 2):  # before and at the end of the file
        with pytest.raises(OSError, match="b.mp4"), file_size_limit(limit):
            copy(source, target, encoding=VideoEncoding(crf=30))
        assert only(tmp_path, "a.mp4")


def test_truncated_video_yields_its_frames(tmp_path):
    source, target = tmp_path / "cut.mkv", tmp_path / "b.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8)
    write_video(source, list(noise), audio="aac")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    report = copy(source, target)
    assert report.damage is not None
    assert 5 <= len(read(target).frames) == report.frames < 40
    assert read(target).times == read(source).times


def test_video_without_frames_writes_nothing(tmp_path):
    source = tmp_path / "a.mp4"
    write_video(source, moving(2), audio="aac")
    data = bytearray(source.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    source.write_bytes(data)
    with pytest.raises(ValueError, match="a.mp4: expected a video, got no frame"):
        copy(source, tmp_path / "b.mp4")
    assert only(tmp_path, "a.mp4")


def test_invalid_outputs_raise(tmp_path):
    source = tmp_path / "a.mp4"
    source.write_bytes(b"video")
    with pytest.raises(ValueError, match=r"b.avi: expected a video \(.mp4, .mov, .mkv, .webm"):
        check_output(source, tmp_path / "b.avi")
    with pytest.raises(ValueError, match="would overwrite the input"):
        check_output(source, tmp_path / "." / "a.mp4")
    (tmp_path / "dir.mp4").mkdir()
    with pytest.raises(IsADirectoryError, match="expected the name of a video, got a folder"):
        check_output(source, tmp_path / "dir.mp4")
    with pytest.raises(NotADirectoryError, match="got the file .*a.mp4"):
        check_output(source, source / "b.mp4")
    check_output(source, tmp_path / "new" / "b.mp4")
    assert only(tmp_path, "a.mp4", "dir.mp4")
    with pytest.raises(ValueError, match="crf: expected at most 51 for h264, got 52"):
        write_video(source, moving(1))
        copy(source, tmp_path / "b.mp4", encoding=VideoEncoding(crf=52))


TWICE = """
import signal
import sys
import threading
import time
from anime_tf.cli import app
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.io.signals import caught_signals
from anime_tf.video.pipeline import stylize_frames

def slow(rgb_u8, seconds):
    if seconds:
        print("slow", flush=True)
        time.sleep(60)
    return rgb_u8

def main(values):
    stop = threading.Event()

    def first(number, frame):
        stop.set()
        print("first", flush=True)

    with VideoFileReader(sys.argv[1], audio=True) as video, caught_signals(first):
        stylize_frames(video, sys.argv[2], slow, stop=stop)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(app.run(app.Command("video", "", "", (), main), []))
"""


def test_second_ctrl_c_ends_at_once(tmp_path):
    source, folder = tmp_path / "a.mkv", tmp_path / "out"
    write_video(source, moving(30))
    process = subprocess.Popen(
        [sys.executable, "-c", TWICE, str(source), str(folder / "b.mp4")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for word in ("slow", "first"):
        assert process.stdout.readline().strip() == word
        # One that comes while the handler still runs is seen after the sleep only.
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)  # half of what the frame would take
    assert process.returncode == 130, err
    assert err.splitlines() == ["anime-tf video: interrupted"]
    assert not folder.exists() or list(folder.iterdir()) == []
