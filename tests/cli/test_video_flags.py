from fractions import Fraction

import pytest
from absl import flags

from anime_tf.cli.video_flags import coding_of, define_format_flags, seconds, span_of
from anime_tf.io.video.codecs import Coding
from anime_tf.io.video.readers import Span


def parsed(*arguments):
    values = flags.FlagValues()
    define_format_flags(values)
    values(["video", *arguments])
    return values


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
    assert seconds("start", text) == expected


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "five", "1,5", "1e3"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match="--end=.*: expected seconds or hh:mm:ss"):
        seconds("end", text)


def test_spans():
    assert span_of(parsed()) == Span()
    values = parsed("--start=1:00", "--end=62.5", "--fps=29.97")
    assert span_of(values) == Span(Fraction(60), Fraction(125, 2), Fraction(2997, 100))
    assert span_of(parsed("--fps=30000/1001")).rate == Fraction(30000, 1001)
    for text in ("0", "-5", "x", "1/0", "5000"):
        with pytest.raises(ValueError, match=f"--fps={text}: expected frames a second"):
            span_of(parsed(f"--fps={text}"))
    with pytest.raises(ValueError, match="end must lie after start, received 3 s after 9 s"):
        span_of(parsed("--start=9", "--end=3"))


def test_coding():
    assert coding_of(parsed()) == Coding(None, None)
    assert coding_of(parsed("--codec=av1", "--crf=60")) == Coding("av1", 60)
    with pytest.raises(ValueError, match=r"crf must lie in 0..51, received 60"):
        coding_of(parsed("--codec=hevc", "--crf=60"))
    with pytest.raises(flags.IllegalFlagValueError):
        parsed("--codec=divx")
