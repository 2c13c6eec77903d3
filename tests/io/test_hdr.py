import math
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from anime_tf.io import hdr
from anime_tf.io.video.decoding import VideoDecoding
from anime_tf.io.video.frames import SRGB
from anime_tf.io.video.open import open_reader

# The ramp in 10 bits, R = G = B, and three colors as R'G'B' of BT.2020.
GRAYS = [0.0, 0.1, 0.25, 0.38, 0.5, 0.58, 0.65, 0.75, 0.9, 1.0]
COLORS = [(0.6, 0.3, 0.3), (0.35, 0.5, 0.3), (0.3, 0.35, 0.55)]

# By 10 bits of limited range and 4:2:0 before, and by 8 bits after the curve; it is at most 2.7
# times as steep as a straight line.
STEPS = 2


def pq(light):
    power = (light / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def light_of_pq(code):
    power = code ** (32 / 2523)
    inner = max(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)
    return 10_000 * inner ** (16384 / 2610)


def light_of_hlg(rgb):
    def scene(code):
        if code <= 0.5:
            return code**2 / 3
        return (math.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12

    linear = [scene(code) for code in rgb]
    luminance = 0.2627 * linear[0] + 0.678 * linear[1] + 0.0593 * linear[2]
    return [1000 * luminance**0.2 * value if luminance else 0.0 for value in linear]


def compressed(light):
    """BT.2390 from 1000 to 203 cd/m²."""
    top = pq(203) / pq(1000)
    knee = 1.5 * top - 0.5
    code = pq(min(light, 1000)) / pq(1000)
    if code >= knee:
        t = (code - knee) / (1 - knee)
        code = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
        code += (3 * t**2 - 2 * t**3) * top
    return light_of_pq(code * pq(1000))


def expected(rgb, transfer):
    light = light_of_hlg(rgb) if transfer == hdr.HLG else [light_of_pq(code) for code in rgb]
    largest = max(light)
    gain = compressed(largest) / largest if largest else 0
    r, g, b = (value * gain / 203 for value in light)
    bt709 = (
        1.6605 * r - 0.5876 * g - 0.0728 * b,
        -0.1246 * r + 1.1329 * g - 0.0083 * b,
        -0.0182 * r - 0.1006 * g + 1.1187 * b,
    )
    return [255 * min(max(value, 0), 1) ** (1 / 2.4) for value in bt709]


def write_hdr(path, colors, transfer):
    """Write a frame of stripes 16 pixels wide, in 10 bits of BT.2020."""
    r, g, b = np.array(colors).T
    luma = 0.2627 * r + 0.678 * g + 0.0593 * b
    planes = [64 + 876 * luma, 512 + 896 * (b - luma) / 1.8814, 512 + 896 * (r - luma) / 1.4746]
    width = 16 * len(colors)
    with av.open(str(path), "w") as container:
        options = {"x265-params": "lossless=1:bframes=0:log-level=none"}
        stream = container.add_stream("libx265", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = width, 32, "yuv420p10le"
        context = stream.codec_context
        context.time_base = Fraction(1, 10)
        context.colorspace, context.color_primaries, context.color_trc = 9, 9, transfer
        picture = av.VideoFrame(width, 32, "yuv420p10le")
        for plane, values in zip(picture.planes, planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
            stripes = np.repeat(np.rint(values).astype(np.uint16), plane.width // len(colors))
            rows[:, : plane.width] = stripes
            plane.update(rows.tobytes())
        picture.pts, picture.time_base = 0, context.time_base
        container.mux(stream.encode(picture))
        container.mux(stream.encode())


@pytest.mark.parametrize("transfer", [hdr.HLG, hdr.PQ])
def test_hdr_is_tone_mapped_to_bt709(tmp_path, transfer):
    colors = [(gray,) * 3 for gray in GRAYS] + COLORS
    write_hdr(tmp_path / "a.mp4", colors, transfer)
    with open_reader(tmp_path / "a.mp4") as video:
        (frame,) = video.frames()
        assert video.colors == SRGB
    found = frame.rgb_u8[16, 8::16].astype(float)
    wanted = [expected(color, transfer) for color in colors]
    assert np.abs(found - wanted).max() <= STEPS
    assert (np.diff(found[: len(GRAYS), 1]) >= 0).all()


def test_diffuse_white_and_peak():
    assert light_of_hlg([0.75] * 3)[0] == pytest.approx(203, abs=1)
    assert compressed(203) / 203 == pytest.approx(0.79, abs=0.01)
    values = np.array([[[0.75] * 3, [1.0] * 3]])
    shown = hdr.tone_map(np.rint(values * 65_535).astype(np.uint16), hdr.HLG, 9)
    assert shown[0, :, 1].tolist() == [230, 255]


def test_hdr_as_is_keeps_values_and_tags(tmp_path):
    write_hdr(tmp_path / "a.mp4", [(0.5, 0.5, 0.5)], hdr.HLG)
    if "BT2020" not in Colorspace.__members__:
        pytest.skip("PyAV 17 does not write BT.2020")
    with open_reader(tmp_path / "a.mp4", decoding=VideoDecoding(hdr="as_is")) as video:
        (frame,) = video.frames()
        assert (video.colors.matrix, video.colors.primaries, video.colors.transfer) == (
            "BT2020",
            9,
            hdr.HLG,
        )
    assert abs(int(frame.rgb_u8[16, 8, 1]) - 128) <= 1
