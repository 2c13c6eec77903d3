import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from small_videos import REST, TOP_LEFT, corners, marked, moving, read, write_video
from video_copies import copy, frames

from anime_tf.io.pictures import read_picture
from anime_tf.io.video.codecs import DEFAULT_ENCODING, VideoEncoding
from anime_tf.io.video.decoding import VideoDecoding
from anime_tf.io.video.open import open_reader
from anime_tf.io.video.readers.video_file import VideoFileReader

VP9 = VideoEncoding("vp9", 4)

# What 4:2:0 and an encoder without loss leave of patches; other errors are 20 and more.
YUV_STEPS = 2


def set_display_matrix(path, a, b, c, d):
    """Write the 2x2 part of the matrix in the track header of an MP4."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    struct.pack_into(">9i", data, at + 40, *(v * 65536 for v in (a, b, 0, c, d, 0, 0, 0, 16384)))
    path.write_bytes(data)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_all_display_matrices(tmp_path, turns, mirrored):
    """The matrix maps (x, y) to (a x + c y, b x + d y)."""
    path, shown = tmp_path / "a.mp4", marked()
    write_video(path, [shown], options={"qp": "0"})
    a, b, c, d = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)][turns]
    expected = np.rot90(shown, -turns)
    if mirrored:  # first, from left to right
        a, b = -a, -b
        expected = np.rot90(shown[:, ::-1], -turns)
    set_display_matrix(path, a, b, c, d)
    with VideoFileReader(path) as video:
        (frame,) = video.frames()
    assert frame.rgb_u8.shape == expected.shape
    assert np.abs(corners(frame.rgb_u8) - corners(expected)).max() <= YUV_STEPS


@pytest.mark.parametrize(("number", "name"), [(8, "YCgCo"), (14, "ICtCp")])
def test_unusual_matrix_falls_back_with_a_warning(tmp_path, caplog, number, name):
    def tagged(stream):
        stream.codec_context.colorspace = number

    path = tmp_path / "a.mkv"
    write_video(path, [marked()] * 2, set_up=tagged, options={"qp": "0"})
    with VideoFileReader(path) as video:
        assert video._stream.codec_context.colorspace == number
        assert video.colors.matrix == "ITU601"
        assert all(
            np.abs(corners(frame.rgb_u8) - [TOP_LEFT, REST, REST, REST]).max() <= YUV_STEPS
            for frame in video.frames()
        )
    assert caplog.text.count(f"the color matrix {number} ({name}) is not supported") == 1
    assert f"{path}: stream 0 (video, h264)" in caplog.text
    assert copy(path, tmp_path / "b.mp4") is None


def test_reserved_primaries_and_transfer_are_not_copied(tmp_path):
    def tagged(stream):
        stream.codec_context.color_primaries, stream.codec_context.color_trc = 3, 3

    write_video(tmp_path / "a.mkv", moving(2), set_up=tagged)
    assert copy(tmp_path / "a.mkv", tmp_path / "b.mp4") is None
    with VideoFileReader(tmp_path / "a.mkv") as video:
        assert (video.colors.primaries, video.colors.transfer) == (2, 2)


def sticker():
    """Return RGBA frames: a ball with a soft side that moves over transparent black."""
    made = np.zeros((3, 48, 64, 4), np.uint8)
    for i, frame in enumerate(made):
        frame[16:32, 16 * i : 16 * i + 32] = (220, 40, 40, 255)
        frame[16:32, 16 * i : 16 * i + 16, 3] = 128
    return made


def write_rgba(path, made, codec, pixels):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *made[0].shape[:2], pixels
        stream.codec_context.time_base = Fraction(1, 10)
        if codec.startswith("libvpx"):
            stream.options = {"crf": "4", "b": "4000000", "auto-alt-ref": "0"}
            stream.metadata["alpha_mode"] = "1"
        for i, frame in enumerate(made):
            picture = av.VideoFrame.from_ndarray(frame, format="rgba").reformat(format=pixels)
            picture.pts, picture.time_base = i, Fraction(1, 10)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


# Suffix, encoder and pixels; the largest mean error of the encoder.
TRANSPARENT = {
    "apng": (".apng", "apng", "rgba", 0.1),
    "webp": (".webp", "", "", 0.1),
    "gif": (".gif", "", "", 0.1),
    "qtrle": (".mov", "qtrle", "argb", 0.1),
    "png": (".mov", "png", "rgba", 0.1),
    "prores": (".mov", "prores_ks", "yuva444p10le", 2),
    "vp8": (".webm", "libvpx", "yuva420p", 3),
    "vp9": (".webm", "libvpx-vp9", "yuva420p", 3),
}


def test_alpha_may_come_and_go_in_a_gif(tmp_path):
    made = sticker()
    made[..., 3] = made[..., 3] // 255 * 255
    made[::2, ..., 3] = 255
    write_rgba(tmp_path / "a.mov", made, "qtrle", "argb")
    copy(tmp_path / "a.mov", tmp_path / "b.gif")
    found = [frame for _, frame in frames(tmp_path / "b.gif")]
    for frame, rgba in zip(found, made, strict=True):
        assert np.array_equal(frame.alpha_u8, rgba[..., 3])


def write_sticker(path, name):
    _, codec, pixels, _ = TRANSPARENT[name]
    made = sticker()
    if name == "gif":
        made[..., 3] = made[..., 3] // 255 * 255  # it has no half
    if codec:
        write_rgba(path, made, codec, pixels)
        return made
    pictures = [Image.fromarray(frame) for frame in made]
    options = {"lossless": True, "exact": True} if name == "webp" else {"disposal": 2}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, **options)
    return made


def composited(made, color):
    alpha = made[..., 3:] / 255
    return made[..., :3] * alpha + np.array(color) * (1 - alpha)


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparent_pixels_have_one_background(tmp_path, name):
    path = tmp_path / f"a{TRANSPARENT[name][0]}"
    made, error = write_sticker(path, name), TRANSPARENT[name][3]
    for decoding, color in (
        (VideoDecoding(), (255, 255, 255)),
        (VideoDecoding(background="#0080ff"), (0, 128, 255)),
    ):
        with open_reader(path, decoding=decoding) as video:
            found = list(video.frames())
        for frame, rgba in zip(found, made, strict=True):
            assert np.abs(frame.rgb_u8 - composited(rgba, color)).mean() <= error + 0.5
            if decoding.background is None:
                assert np.abs(frame.alpha_u8.astype(int) - rgba[..., 3]).mean() <= error
            else:
                assert frame.alpha_u8 is None


@pytest.mark.parametrize(
    ("suffix", "error"), [(".webm", 3), (".mkv", 3), (".webp", 2), (".gif", 1)]
)
def test_alpha_is_kept_where_the_target_holds_it(tmp_path, suffix, error):
    made = write_sticker(tmp_path / "a.apng", "apng")
    encoding = VP9 if suffix in (".mkv", ".webm") else DEFAULT_ENCODING
    copy(tmp_path / "a.apng", tmp_path / f"b{suffix}", encoding=encoding)
    found = [frame for _, frame in frames(tmp_path / f"b{suffix}")]
    for frame, rgba in zip(found, made, strict=True):
        alpha = rgba[..., 3]
        if suffix == ".gif":
            alpha = np.where(alpha >= 128, 255, 0)
        assert np.abs(frame.alpha_u8.astype(int) - alpha).mean() <= error
        opaque = rgba[..., 3] == 255
        assert np.abs(frame.rgb_u8[opaque].astype(int) - rgba[opaque, :3]).mean() <= error + 3


def test_alpha_of_numbered_pictures(tmp_path):
    made = write_sticker(tmp_path / "a.apng", "apng")
    copy(tmp_path / "a.apng", f"{tmp_path}/out/%d.png")
    copy(tmp_path / "a.apng", f"{tmp_path}/out/%d.jpg")
    for number, rgba in enumerate(made, 1):
        picture = read_picture(tmp_path / f"out/{number}.png")
        assert np.array_equal(picture.alpha_u8, rgba[..., 3])
        shown = rgba[..., 3] > 0
        assert np.abs(picture.rgb_u8[shown].astype(int) - rgba[shown, :3]).max() <= 2
        flat = read_picture(tmp_path / f"out/{number}.jpg").rgb_u8
        assert np.abs(flat - composited(rgba, (255, 255, 255))).mean() <= 3


def test_opaque_target_shows_the_background(tmp_path):
    made = write_sticker(tmp_path / "a.apng", "apng")
    copy(tmp_path / "a.apng", tmp_path / "b.mp4")
    for frame, rgba in zip(read(tmp_path / "b.mp4").frames, made, strict=True):
        assert np.abs(frame - composited(rgba, (255, 255, 255))).mean() <= 3


def test_unknown_background_raises():
    with pytest.raises(ValueError, match="background: expected a color such as black or #20a0ff"):
        VideoDecoding(background="nocolor")


def test_sizes_that_change_keep_their_aspect(tmp_path, caplog):
    wide, tall = tmp_path / "a.ts", tmp_path / "b.ts"
    write_video(wide, [marked(48, 64)] * 3, audio="aac")
    write_video(tall, [marked(64, 32)] * 3, times=[3, 4, 5], audio="aac")
    path = tmp_path / "turned.ts"
    path.write_bytes(wide.read_bytes() + tall.read_bytes())
    # Joined recordings are no damage, though FFmpeg takes the packet before the seam for corrupt.
    assert copy(path, tmp_path / "c.mp4") is None
    found = read(tmp_path / "c.mp4").frames
    assert len(found) == 6
    expected = np.zeros((48, 64, 3), np.uint8)
    expected[:, 20:44] = cv2.resize(marked(64, 32), (24, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(found[-1].astype(int) - expected).mean() <= 3
    assert "all are fitted into 64x48, that of the first" in caplog.text


def test_still_picture_is_recognized(tmp_path):
    Image.fromarray(marked()).save(tmp_path / "a.bmp")
    with pytest.raises(ValueError, match="a.bmp: expected a video, got a still picture"):
        open_reader(tmp_path / "a.bmp")
    Image.fromarray(marked()).save(tmp_path / "a.png")
    with open_reader(tmp_path / "a.png") as video:
        assert video.is_still
    write_video(tmp_path / "b.mkv", moving(2))
    with open_reader(tmp_path / "b.mkv") as video:
        assert not video.is_still
