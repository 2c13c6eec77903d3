from fractions import Fraction

import av
import numpy as np
import pytest
from small_videos import REST, TOP_LEFT, corners, marked, moving, write_video

from anime_tf.io.video.open import open_reader
from anime_tf.io.video.readers.video_file import VideoFileReader

# YUV's rounding and what an encoder without loss keeps of it; other errors are 20 and more.
YUV_STEPS = 2
LOSSLESS = {"qp": "0"}

# Of FFmpeg's conversion there and back on a smooth picture: 1.0 with the flags, 3.4 without.
MEAN_STEPS, MEAN_SHIFT = 1.6, 0.3


def test_frames_have_the_times_of_the_file(tmp_path):
    times = [0, 160, 700, 900, 1500, 1501, 3000]
    write_video(tmp_path / "vfr.mp4", moving(7), times=times, time_base=Fraction(1, 1000))
    with VideoFileReader(tmp_path / "vfr.mp4") as video:
        frames = list(video.frames())
        assert [frame.pts * video.time_base * 1000 for frame in frames] == times
        assert video.expected_frames == video.count == 7
        assert video.damage is None
    shades = [int(frame.rgb_u8.mean()) for frame in frames]
    assert np.abs(np.subtract(shades, [picture.mean() for picture in moving(7)])).max() <= 6


def test_audio_is_read_on_request(tmp_path):
    write_video(tmp_path / "a.mkv", moving(4), audio="pcm_s16le")
    with VideoFileReader(tmp_path / "a.mkv") as video:
        assert video.audio == ()
        assert video.dropped_streams == {"audio": 1}
        assert len(list(video.items())) == 4
    with VideoFileReader(tmp_path / "a.mkv", audio=True) as video:
        packets = [item for item in video.items() if isinstance(item, av.Packet)]
        assert {packet.stream_index for packet in packets} == {video.audio[0].index}
        assert sum(packet.size for packet in packets) == 2 * 48_000 * 4 // 10
        assert (video.dropped_streams, video.count) == ({}, 4)


def test_transport_stream_times_start_at_0(tmp_path):
    """Times of frames and audio."""
    path, times = tmp_path / "a.ts", [30, 31, 33, 34]
    write_video(path, moving(4), times=times)
    with VideoFileReader(path) as video:
        assert video.time_base == Fraction(1, 90_000)
        assert [frame.pts / 9000 for frame in video.frames()] == [0, 1, 3, 4]
    write_video(path, moving(4), times=times, audio="mp2")
    with VideoFileReader(path, audio=True) as video:
        items = list(video.items())
    shown = [item.pts for item in items if not isinstance(item, av.Packet)]
    heard = [item.pts for item in items if isinstance(item, av.Packet)]
    # the encoder's delay: its first packet begins 481 samples early
    assert (heard[0], shown[0]) == (0, 30 * 9000 + round(481 / 48_000 * 90_000))


@pytest.mark.parametrize("matrix", ["ITU601", "ITU709"])
@pytest.mark.parametrize("color_range", [1, 2])
def test_tagged_matrix_and_range_are_used(tmp_path, matrix, color_range):
    colors = (matrix, color_range)
    video = tmp_path / "video.mkv"
    write_video(video, [marked()], colors=colors, named_colors=True, options=LOSSLESS)
    with VideoFileReader(video) as reader:
        (frame,) = reader.frames()
        assert (reader.colors.matrix, reader.colors.range_number) == colors
    # chroma has half the size: the corners lie inside of their patches
    assert np.abs(corners(frame.rgb_u8) - [TOP_LEFT, REST, REST, REST]).max() <= YUV_STEPS


@pytest.mark.parametrize("color_range", [1, 2])
def test_tags_of_the_container_alone_are_used(tmp_path, color_range):
    """MPEG-4 Part 2 has none of its own here."""
    colors = ("ITU709", color_range)
    video = tmp_path / "video.mkv"
    options = {"b": "8000000", "qmax": "1", "qmin": "1"}
    write_video(
        video, [marked()] * 3, codec="mpeg4", colors=colors, named_colors=True, options=options
    )
    with VideoFileReader(video) as reader:
        frames = list(reader.frames())
        assert (reader.colors.matrix, reader.colors.range_number) == colors
    for frame in frames:
        assert np.abs(corners(frame.rgb_u8) - [TOP_LEFT, REST, REST, REST]).max() <= 2 * YUV_STEPS


@pytest.mark.parametrize(("height", "matrix"), [(64, "ITU601"), (720, "ITU709")])
def test_untagged_matrix_follows_from_height(tmp_path, height, matrix):
    video = tmp_path / "video.mkv"
    write_video(video, [marked(height)], colors=(matrix, 1), options=LOSSLESS)
    with VideoFileReader(video) as reader:
        (frame,) = reader.frames()
        assert reader.colors.matrix == matrix
    assert np.abs(corners(frame.rgb_u8) - [TOP_LEFT, REST, REST, REST]).max() <= YUV_STEPS


def test_chroma_is_interpolated_without_darkening(tmp_path):
    y, x = np.mgrid[:96, :128] / 12.0
    waves = [np.sin(x + y / 2), np.sin(y - x / 3 + 1), np.sin(x / 2 + y + 2)]
    smooth = np.rint(np.stack(waves, -1) * 90 + 128).astype(np.uint8)
    write_video(tmp_path / "video.mkv", [smooth], options=LOSSLESS)
    with VideoFileReader(tmp_path / "video.mkv") as video:
        (frame,) = video.frames()
    error = frame.rgb_u8.astype(float) - smooth
    assert np.abs(error).mean() <= MEAN_STEPS
    assert np.abs(error.mean((0, 1))).max() <= MEAN_SHIFT


def test_truncated_video(tmp_path):
    video = tmp_path / "cut.mkv"
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8)
    write_video(video, list(noise))
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    with VideoFileReader(video) as reader:
        count = sum(1 for _ in reader.frames())
        assert 10 <= count == reader.count < 40
        assert str(reader.damage).startswith(f"{video}: ")


def test_files_without_video_raise(tmp_path):
    (tmp_path / "note.mp4").write_text("no video")
    with pytest.raises(ValueError, match="note.mp4: expected a video that FFmpeg reads, got"):
        VideoFileReader(tmp_path / "note.mp4")
    with pytest.raises(
        FileNotFoundError, match="gone.mp4: no such file or folder; expected a video"
    ):
        VideoFileReader(tmp_path / "gone.mp4")
    with pytest.raises(ValueError, match="expected a video, got a folder"):
        VideoFileReader(tmp_path)


def test_cover_picture_is_no_video(tmp_path):
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
    with pytest.raises(ValueError, match="song.mp3: expected a video, got a file without one"):
        VideoFileReader(path)


def break_packets(path, numbers):
    """Overwrite the packets of some frames except for their first bytes."""
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for number in numbers:
        start, size = places[number]
        data[start + 4 : start + size] = bytes(size - 4)
    path.write_bytes(data)


@pytest.mark.parametrize(("codec", "pixels"), [("libx264", "yuv420p"), ("mjpeg", "yuvj420p")])
def test_broken_frame_is_replaced_by_previous(tmp_path, codec, pixels):
    path = tmp_path / "video.mov"
    write_video(path, moving(20), codec=codec, pixels=pixels, options={"bf": "0", "g": "1"})
    whole = [frame.pts for frame in VideoFileReader(path).frames()]
    break_packets(path, [7, 8, 15])
    with VideoFileReader(path) as video:
        assert [frame.pts for frame in video.frames()] == [
            pts for number, pts in enumerate(whole) if number not in (7, 8, 15)
        ]
        assert str(video.damage).startswith(f"{path}: damaged after ")
    with VideoFileReader(path, replace_broken=True) as video:
        frames = list(video.frames())
        assert (video.count, video.replaced) == (20, 3)
        assert video.damage == (
            f"{path}: 3 of 20 frames are broken, each replaced by the previous one"
        )
    assert [frame.pts for frame in frames] == whole
    for number, good in ((7, 6), (8, 6), (15, 14)):
        assert np.array_equal(frames[number].rgb_u8, frames[good].rgb_u8)
    assert not np.array_equal(frames[9].rgb_u8, frames[8].rgb_u8)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "gif"])
def test_span_has_frames_and_audio_that_begin_in_it(tmp_path, suffix):
    """With and without seeking; times count from the span's start."""
    path = tmp_path / f"video.{suffix}"
    if suffix == "gif":
        write_video(path, moving(60), codec="gif", pixels="rgb8")
    else:
        write_video(path, moving(60), audio="aac", options={"g": "12"})
    start, end = Fraction(31, 10), Fraction(42, 10)
    with VideoFileReader(path, audio=True) as video:
        items = list(video.items())
    with VideoFileReader(path, audio=True, start=start, end=end) as video:
        part = list(video.items())
        expected = video.expected_frames
        assert video.damage is None
    shown = [item for item in items if not isinstance(item, av.Packet)]
    cut = [item for item in part if not isinstance(item, av.Packet)]
    inside = [f for f in shown if start <= f.pts * video.time_base < end]
    assert len(cut) == len(inside) >= 10
    assert suffix == "ts" or expected in (10, 11, 12)
    ticks = round(start / video.time_base)
    assert [f.pts for f in cut] == [f.pts - ticks for f in inside]
    assert all(np.array_equal(a.rgb_u8, b.rgb_u8) for a, b in zip(cut, inside, strict=True))
    heard = [p for p in items if isinstance(p, av.Packet) and start <= p.pts * p.time_base < end]
    heard_cut = [item for item in part if isinstance(item, av.Packet)]
    # those of the whole video are at its own times still
    assert [bytes(p) for p in heard_cut] == [bytes(p) for p in heard]
    assert [p.pts * p.time_base + start for p in heard_cut] == pytest.approx(
        [p.pts * p.time_base for p in heard], abs=1e-4
    )


def test_span_after_the_end_raises(tmp_path):
    write_video(tmp_path / "video.mp4", moving(5))
    with (
        pytest.raises(ValueError, match=r"expected frames after 9 s, got a video of 0.5 s"),
        VideoFileReader(tmp_path / "video.mp4", start=Fraction(9)) as video,
    ):
        list(video.frames())


def test_10_bits_are_rounded(tmp_path):
    path = tmp_path / "video.mp4"
    ramp = np.repeat(np.linspace(64, 940, 256).astype(np.uint16)[None], 64, 0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx265", rate=10, options={"x265-params": "lossless=1:bframes=0:log-level=none"}
        )
        stream.codec_context.time_base = Fraction(1, 10)
        stream.height, stream.width, stream.pix_fmt = 64, 256, "yuv420p10le"
        picture = av.VideoFrame(256, 64, "yuv420p10le")
        for plane, values in zip(
            picture.planes, (ramp, *[np.full((32, 128), 512, np.uint16)] * 2), strict=True
        ):
            rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
            rows[:, : values.shape[1]] = values
            plane.update(rows.tobytes())
        picture.pts, picture.time_base = 0, Fraction(1, 10)
        container.mux(stream.encode(picture))
        container.mux(stream.encode())
    with VideoFileReader(path) as video:
        (frame,) = video.frames()
    error = frame.rgb_u8[..., 1] - (ramp - 64.0) / 876 * 255
    # rounding alone errs by a half at most; what dithering adds is less than a level
    assert np.abs(error).max() <= 1.6
    assert abs(error.mean()) <= 0.15


def write_packed(path, pictures):
    """Write an AVI of DivX 5: a P and a B frame share a packet, and the next one is empty."""
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.height, encoder.width = pictures[0].shape[:2]
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 10), Fraction(10)
    encoder.options = {"bf": "1", "b": "3000000", "b_strategy": "0", "g": "100"}
    coded = []
    for i, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = i, Fraction(1, 10)
        coded += encoder.encode(frame)
    coded = [bytes(packet) for packet in (*coded, *encoder.encode(None))]
    start = coded[0].index(b"\0\0\1\xb6")
    chunks = [coded[0][:start] + b"\0\0\1\xb2DivX503b1393p\0" + coded[0][start:]]
    for first, second in zip(coded[1::2], coded[2::2], strict=True):
        chunks += [first + second, b"\0\0\1\xb6\x7f"]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for i, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.stream, packet.pts, packet.dts = stream, i, i
            packet.time_base, packet.is_keyframe = Fraction(1, 10), i == 0
            container.mux(packet)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264", "packed"])
def test_decoding_times_serve_where_there_are_no_others(tmp_path, codec):
    """AVI has no presentation times; the frames of B-frames follow in order all the same."""
    path = tmp_path / "a.avi"
    if codec == "packed":
        write_packed(path, moving(13))
    else:
        write_video(path, moving(13), codec=codec, options={"bf": "2", "b": "2000000"})
    with VideoFileReader(path) as video:
        found = list(video.frames())
    seconds = [float(frame.pts * video.time_base) for frame in found]
    assert np.diff(seconds).tolist() == pytest.approx([0.1] * 12)
    shades = [frame.rgb_u8.mean() for frame in found]
    assert np.abs(np.subtract(shades, [picture.mean() for picture in moving(13)])).max() <= 6


def test_dropped_streams_are_named_by_kind(tmp_path, caplog):
    caplog.set_level("INFO", "absl")
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=10) for _ in range(2)]
        streams.append(container.add_stream("png", rate=10))
        streams[2].disposition = 0x400
        for stream in streams:
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "rgb24" if stream is streams[2] else "yuv420p"
        for stream in streams:
            picture = av.VideoFrame.from_ndarray(marked(), format="rgb24")
            container.mux(stream.encode(picture.reformat(format=stream.pix_fmt)))
            container.mux(stream.encode())
    open_reader(path).close()
    assert f"{path}: dropped streams: further video (1), cover (1)" in caplog.text
