from fractions import Fraction

import av
import av.filter
import numpy as np
import pytest
from small_videos import moving, write_video

from anime_tf.io.video.decoding import VideoDecoding
from anime_tf.io.video.readers.video_file import VideoFileReader

HEIGHT, WIDTH, COUNT = 64, 96, 6
MJPEG = {"b": "9000000", "strict": "unofficial", "flags": "-ildct"}


def bar(tick):
    """Return a white bar at the place of one field's time."""
    picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    picture[:, 8 + 6 * tick : 24 + 6 * tick] = 220
    return picture


def write_interlaced(path, codec="mpeg2video", options=(), top_first=True):
    """Write frames whose even and odd rows show a moving bar at two times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"flags": "+ilme+ildct", **dict(options)}
        stream.codec_context.time_base = Fraction(1, 25)
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=WIDTH, height=HEIGHT, format=av.VideoFormat("yuv420p"), time_base=Fraction(1, 25)
        )
        field = graph.add("setfield", "tff" if top_first else "bff")
        sink = graph.add("buffersink")
        graph.link_nodes(source, field, sink)
        for i in range(COUNT):
            woven = bar(2 * i + (not top_first))
            woven[1::2] = bar(2 * i + top_first)[1::2]
            picture = av.VideoFrame.from_ndarray(woven, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = i, Fraction(1, 25)
            source.push(picture)
            container.mux(stream.encode(sink.pull()))
        container.mux(stream.encode())


def combing(rgb_u8):
    """Return how much each row differs from both neighbors, in the same direction."""
    rows = rgb_u8[..., 1].astype(float)
    up, down = rows[1:-1] - rows[:-2], rows[1:-1] - rows[2:]
    return float(np.where(up * down > 0, np.minimum(np.abs(up), np.abs(down)), 0).mean())


def frames(path, mode):
    with VideoFileReader(path, decoding=VideoDecoding(deinterlace=mode)) as video:
        return list(video.frames())


@pytest.mark.parametrize(
    ("name", "codec", "options", "top_first"),
    [
        ("a.mpg", "mpeg2video", {"b": "4000000", "bf": "2"}, True),
        ("a.mkv", "mpeg2video", {"b": "4000000"}, False),
        ("a.mp4", "libx264", {"crf": "4"}, True),
        ("a.mov", "mjpeg", {**MJPEG, "field_order": "tt"}, True),
        ("b.mov", "mjpeg", {**MJPEG, "field_order": "bb"}, False),
    ],
)
def test_interlaced_frames_are_deinterlaced(tmp_path, name, codec, options, top_first):
    if codec == "mjpeg" and not hasattr(av.VideoCodecContext, "field_order"):
        pytest.skip("PyAV 17 does not tell the order of fields")
    path = tmp_path / name
    write_interlaced(path, codec, options, top_first)
    raw, clean = frames(path, "off"), frames(path, "auto")
    assert len(clean) == len(raw) == COUNT
    assert [frame.pts for frame in clean] == [frame.pts for frame in raw]
    for woven, frame in zip(raw[1:], clean[1:], strict=True):
        assert combing(woven.rgb_u8) > 8
        assert combing(frame.rgb_u8) < 3
        # of the first field's time
    middle = bar(2 * (COUNT - 1))
    assert np.abs(clean[-1].rgb_u8.astype(int) - middle).mean() <= 8
    assert [f.pts for f in frames(path, "on")] == [frame.pts for frame in raw]


def test_progressive_frames_stay_as_they_are(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, moving(4))
    for plain, auto in zip(frames(path, "off"), frames(path, "auto"), strict=True):
        assert np.array_equal(plain.rgb_u8, auto.rgb_u8)
    assert len(frames(path, "on")) == 4


def test_size_may_change_between_interlaced_frames(tmp_path):
    write_interlaced(tmp_path / "a.ts", options={"b": "4000000"})
    write_video(tmp_path / "b.ts", moving(3), codec="mpeg2video", times=[6, 7, 8])
    path = tmp_path / "c.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    sizes = [frame.rgb_u8.shape[:2] for frame in frames(path, "auto")]
    # FFmpeg's decoder drops the frame that it holds back when the size changes.
    assert sizes == [frame.rgb_u8.shape[:2] for frame in frames(path, "off")]
    assert sizes == [(HEIGHT, WIDTH)] * (COUNT - 1) + [(48, 64)] * 3
