import os

import pytest
from picture_files import TURNED_HEIC, noise, whole_files

from anime_tf.io.kinds import classify, describe, readable_format
from anime_tf.io.pictures import encode_picture, read_picture

MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(64)


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.jpg", b"anything", "picture"),
        ("a.HEIC", b"", "picture"),
        ("photo", whole_files()["color.jpg"], "picture"),
        ("photo.cr2", whole_files()["color.jpg"], "picture"),
        ("download.php", whole_files()["color.png"], "picture"),
        ("a.bin", TURNED_HEIC, "picture"),
        ("a.psd", b"8BPS\0\1", "unreadable"),
        ("a.dat", b"8BPS\0\1", "unreadable"),
        ("a.jxl", b"\xff\x0a\0\0", "unreadable"),
        ("a", b"\0\0\0\x0cJXL \r\n\x87\n", "unreadable"),
        ("a.jp2", b"", "unreadable"),
        ("a.nef", b"MM\0*\0\0\0\x08", "unreadable"),
        ("a.tmp", b"II*\0\x10\0\0\0CR\2\0", "unreadable"),
        ("a.svg", b'<?xml version="1.0"?>\n<svg xmlns="x">', "unreadable"),
        ("a.raw2", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "unreadable"),  # Canon's CR3
        ("a.pgm", b"P5\n3 2\n255\n", "unreadable"),
        ("a.tga", b"\0\0\2", "unreadable"),
        ("a.mov", b"", "video"),
        ("a.MP4", MP4, "video"),
        ("clip", MP4, "video"),
        ("a.dat", b"\x1a\x45\xdf\xa3" + bytes(40), "video"),
        ("a.ts", (b"\x47" + bytes(187)) * 5, "video"),
        ("a.ts", b"export const a = 1;", "other"),
        ("a.m4a", b"\0\0\0\x20ftypM4A \0\0\2\0" + bytes(40), "other"),
        ("a.txt", b"a text about BM and P5 pictures", "other"),
        ("a.html", b"<!DOCTYPE html><html><body>P6", "other"),
        ("a.json", b"{}", "other"),
        ("a.pdf", b"%PDF-1.7", "other"),
        ("thumbs.db", b"\xd0\xcf\x11\xe0", "other"),
        ("empty", b"", "other"),
        ("BMW.txt", b"BMW and other cars, a text", "other"),
    ],
)
def test_kinds_by_suffix_and_content(name, data, kind, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    found, reason = classify(path)
    assert found == kind
    assert bool(reason) == (kind in ("unreadable", "video"))
    if kind == "unreadable":
        assert "not supported" in reason
    if kind == "video":
        assert "anime-tf video" in reason


def test_links_and_folders(tmp_path):
    (tmp_path / "gone.jpg").symlink_to("nothing.jpg")
    (tmp_path / "gone.txt").symlink_to("nothing.txt")
    for name in ("gone.mp4", "gone.mxf"):
        (tmp_path / name).symlink_to("nothing")
        assert classify(tmp_path / name)[0] == "video"
    os.mkfifo(tmp_path / "pipe.mov")
    assert classify(tmp_path / "pipe.mov")[0] == "video"
    assert classify(tmp_path / "gone.jpg")[0] == "picture"  # reading it tells
    assert classify(tmp_path / "gone.txt")[0] == "unreadable"


def test_every_written_and_read_format_is_recognized():
    for name, data in whole_files().items():
        assert readable_format(data[:64]).lower() in (name.split(".")[1], "jpeg")
    for suffix in (".jpg", ".png", ".webp", ".tif", ".bmp"):
        assert readable_format(encode_picture(noise(3, 4), suffix)[:64]) is not None


def test_a_video_as_a_picture_names_the_command(tmp_path):
    path = tmp_path / "clip.jpg"
    path.write_bytes(MP4)
    with pytest.raises(ValueError, match=r"clip.jpg: .*a video; stylize it with: anime-tf video"):
        read_picture(path)
    assert describe(b"") == "an empty file"
    page = "<!DOCTYPE html>\n\t<p>Größe</p>"
    for text in (b"hello\n", page.encode(), page.encode("utf-8-sig"), "aé".encode()[:-1]):
        assert describe(text) == "a text file"
    assert describe(b"hello\0\n") == "a file that begins with 68 65 6c 6c 6f 00 0a"
    assert describe(b"caf\xe9 au") == "a file that begins with 63 61 66 e9 20 61 75"
    assert describe(b"8BPS").startswith("a Photoshop picture")
