import pytest

from anime_tf.web.sniff import HEAD_BYTES, sniff_clip


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x20ftypisom", "mov"),
        (b"\0\0\0\x08wide\0\0", "mov"),
        (b"\x1a\x45\xdf\xa3\x01", "matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"GIF89a\x01\0", "gif"),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02", "webp"),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10", None),
        ((b"\x47" + b"\0" * 187) * 5, "mpegts"),
        (b"\x47" * 100, None),
        (b"#EXTM3U\n", None),
        (b"ffconcat version 1.0\n", None),
        (b"<?xml version='1.0'?><MPD", None),
        (b"\xff\xd8\xff\xe0", None),
        (b"", None),
    ],
)
def test_by_the_first_bytes(head, kind):
    assert sniff_clip(head[:HEAD_BYTES]) == kind
