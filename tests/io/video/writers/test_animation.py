from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from small_videos import moving, read, write_video
from video_copies import copy, frames, times

from anime_tf.io.video.open import open_reader
from anime_tf.io.video.span import Span
from anime_tf.io.video.webp_chunks import is_animated_webp

# Flat frames change by this much in a dithered palette of 256 colors, or in WebP of quality 85.
LEVELS = 4

MILLISECOND = Fraction(1, 1000)


def shades(found):
    return [frame.rgb_u8.mean() for _, frame in found]


def assert_shows(found, expected):
    assert np.abs(np.subtract(shades(found), [e.mean() for e in expected])).max() <= LEVELS


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_frames_and_times_survive(tmp_path, suffix):
    """Variable frame rate, with the last frame's duration."""
    source, target = tmp_path / "a.mp4", tmp_path / f"b{suffix}"
    shown = [0, 160, 700, 900, 1500, 1600, 3000]
    write_video(source, moving(7, 47, 63), codec="mpeg4", times=shown, time_base=MILLISECOND)
    assert copy(source, target) is None
    found = frames(target)
    assert [time * 1000 for time, _ in found] == shown
    assert {frame.rgb_u8.shape for _, frame in found} == {(47, 63, 3)}
    assert_shows(found, moving(7))
    with open_reader(target) as video:
        assert video.expected_frames == 7
        assert (
            found[-1][1].duration * video.time_base
            == frames(source)[-1][1].duration * (Fraction(1, 1000))
            or found[-1][1].duration > 0
        )
    done, animation = cv2.imreadanimation(str(target))
    assert done and animation.loop_count == 0  # for ever
    # and from there to a video
    copy(target, tmp_path / "c.mp4")
    assert [time * 1000 for time in read(tmp_path / "c.mp4").times] == shown
    assert_shows(frames(tmp_path / "c.mp4"), moving(7))


def test_foreign_gif_keeps_its_times(tmp_path):
    gif = cv2.Animation()
    gif.frames, gif.durations = moving(4), [100, 40, 200, 70]
    assert cv2.imwriteanimation(str(tmp_path / "a.gif"), gif)
    copy(tmp_path / "a.gif", tmp_path / "b.mp4")
    after = read(tmp_path / "b.mp4")
    assert [time * 100 for time in after.times] == [0, 10, 14, 34]
    assert abs(after.seconds - 0.41) < 0.02
    assert_shows(frames(tmp_path / "b.mp4"), moving(4))


def test_frames_too_fast_for_gif_are_dropped_and_logged(tmp_path, caplog):
    caplog.set_level("INFO", "absl")
    shown = [0, 100, 101, 200]
    write_video(tmp_path / "a.mp4", moving(4), times=shown, time_base=MILLISECOND, audio="aac")
    copy(tmp_path / "a.mp4", tmp_path / "b.gif")
    assert times(tmp_path / "b.gif") == [0, 0.1, 0.2]
    assert "dropped 1 frame that a GIF is too slow to show" in caplog.text
    assert ".gif holds frames only, dropped: audio (1)" in caplog.text


def test_gif_palette_covers_all_frames(tmp_path):
    """Each frame is a ramp of one color: 256 colors must serve all three."""
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None], 48, 0)
    pictures = [np.zeros((48, 64, 3), np.uint8) for _ in range(3)]
    for channel, picture in enumerate(pictures):
        picture[..., channel] = ramp
    write_video(tmp_path / "a.mkv", pictures, codec="ffv1", pixels="bgr0")
    copy(tmp_path / "a.mkv", tmp_path / "b.gif")
    for picture, (_, frame) in zip(pictures, frames(tmp_path / "b.gif"), strict=True):
        assert np.abs(frame.rgb_u8.astype(int) - picture).mean() <= LEVELS


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"), [("webp", "libwebp_anim", "bgra"), ("gif", "gif", "pal8")]
)
def test_transparent_pixels_are_white(tmp_path, suffix, codec, pixels):
    left = np.zeros((48, 64, 4), np.uint8)
    left[:, :32] = (200, 20, 30, 255)
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
        for pts, picture in enumerate((left, left[:, ::-1].copy())):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format="bgra")
            if pixels == "pal8":
                colors = np.zeros((256, 4), np.uint8)  # ARGB
                colors[1] = (255, 200, 20, 30)
                chosen = (picture[..., 3] > 0).astype(np.uint8)
                frame = av.VideoFrame.from_ndarray((chosen, colors), format="pal8")
            frame.pts, frame.time_base = pts, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if suffix == "webp":
        # FFmpeg writes such frames, and forgets to say in the header that there is an alpha.
        data = bytearray(path.read_bytes())
        data[20] |= 0x10
        path.write_bytes(data)
    (_, first), (_, _) = frames(path)
    assert np.abs(first.rgb_u8[24, 60].astype(int) - 255).max() <= LEVELS
    assert np.abs(first.rgb_u8[24, 4] - np.array([200, 20, 30])).max() <= LEVELS


def test_span_of_animated_webp(tmp_path):
    write_video(tmp_path / "a.mkv", moving(20))
    copy(tmp_path / "a.mkv", tmp_path / "b.webp")
    span = Span(Fraction(1, 2), Fraction(1))
    assert times(tmp_path / "b.webp", span) == [0, 0.1, 0.2, 0.3, 0.4]
    assert_shows(frames(tmp_path / "b.webp", span), moving(20)[5:10])
    assert times(tmp_path / "b.webp", Span(Fraction(1, 2), Fraction(1), Fraction(2))) == [0]
    with open_reader(tmp_path / "b.webp", span) as video:
        assert video.expected_frames == 5
    with pytest.raises(ValueError, match="expected frames between start and end, got none"):
        frames(tmp_path / "b.webp", Span(Fraction(7)))


def test_truncated_webp_yields_its_frames(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), np.uint8)
    write_video(tmp_path / "a.mkv", list(noise))
    copy(tmp_path / "a.mkv", tmp_path / "b.webp")
    data = (tmp_path / "b.webp").read_bytes()
    (tmp_path / "b.webp").write_bytes(data[: len(data) // 2])
    with open_reader(tmp_path / "b.webp") as video:
        try:
            count = len(list(video.items()))
            assert video.damage is not None and 0 < count < 12
        except ValueError as error:
            assert str(error).startswith(f"{tmp_path / 'b.webp'}: ")


def test_still_webp_is_no_animation(tmp_path):
    cv2.imwrite(str(tmp_path / "a.webp"), moving(1)[0])
    assert not is_animated_webp(tmp_path / "a.webp")
    assert not is_animated_webp(tmp_path / "none.webp")
    assert len(frames(tmp_path / "a.webp")) == 1


def test_single_frame_animation_is_readable(tmp_path):
    write_video(tmp_path / "a.mkv", moving(1))
    for name in ("b.gif", "b.webp"):
        copy(tmp_path / "a.mkv", tmp_path / name)
        assert len(frames(tmp_path / name)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.gif", "b.webp"]


def test_ffmpeg_reads_written_gif(tmp_path):
    write_video(tmp_path / "a.mkv", moving(5))
    copy(tmp_path / "a.mkv", tmp_path / "b.gif")
    with av.open(str(tmp_path / "b.gif")) as container:
        assert container.format.name == "gif"
        assert container.duration == 500_000
