from fractions import Fraction

import pytest

from anime_tf.config import settings
from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.span import Span, parse_rate, parse_time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("12.5", Fraction(25, 2)),
        (".25", Fraction(1, 4)),
        ("1:05", 65),
        ("01:02:03.5", Fraction(7447, 2)),
        ("90:00", 5400),
    ],
)
def test_times(text, expected):
    assert parse_time(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "five", "1,5", "1e3"])
def test_wrong_times(text):
    with pytest.raises(
        ValueError, match="end: expected seconds, mm:ss or hh:mm:ss, as 12.5, 1:05 or 1"
    ):
        Span(end=text)


@pytest.mark.parametrize(
    ("name", "text", "other"), [("start", "1:02,5", "1:02.5"), ("rate", "29,97", "29.97")]
)
def test_decimal_commas(name, text, other):
    with pytest.raises(ValueError, match=f"expected .*; write {other}$"):
        settings(Span)[name].parse(text)


def test_spans():
    span = Span("1:00", "62.5", "29.97")
    assert span == Span(Fraction(60), Fraction(125, 2), Fraction(2997, 100))
    assert parse_rate("30000/1001") == Fraction(30000, 1001)
    for text in ("0", "-5", "x", "1/0", "5000"):
        with pytest.raises(ValueError, match="rate: expected frames per second"):
            Span(rate=text)
    with pytest.raises(ValueError, match="expected an end after the start, got 3 s after 9 s"):
        Span("9", "3")


def test_coding():
    assert VideoEncoding() == VideoEncoding(None, None)
    with pytest.raises(ValueError, match="crf: expected at most 51 for hevc, got 60"):
        VideoEncoding("hevc", 60)
    with pytest.raises(ValueError, match="codec: expected one of h264"):
        VideoEncoding("divx")
