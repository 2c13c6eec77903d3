"""Names and formats that FFmpeg may open."""

from __future__ import annotations

import os
import shutil

import pytest
from small_videos import moving, write_video

from anime_tf.io.video.open import open_reader, open_writer
from anime_tf.io.video.readers.video_file import VideoFileReader

# Names that FFmpeg takes for addresses, patterns or its own syntax.
NAMES = ("12:30.mp4", "Movie:part1.mp4", "http:a.mp4", "concat:a|b.mp4", "a?b=1&c#d.mp4", "-i.mp4")


def test_names_are_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("out")
    write_video(tmp_path / "plain.mp4", moving(2))
    for name in NAMES:
        shutil.copy("plain.mp4", name)
        with VideoFileReader(name) as reader, open_writer(f"out:{name[:4]}.mkv", reader) as writer:
            for frame in reader.frames():
                writer.write_frame(frame)
        with VideoFileReader(f"out:{name[:4]}.mkv") as reader:
            assert len(list(reader.frames())) == 2
    with VideoFileReader("plain.mp4") as reader, open_writer("1:2.gif", reader) as writer:
        for frame in reader.frames():
            writer.write_frame(frame)
    assert sorted(set(os.listdir()) - set(NAMES)) == sorted(
        ["1:2.gif", "out", "plain.mp4", *(f"out:{name[:4]}.mkv" for name in NAMES)]
    )


PLAYLISTS = {
    "ffconcat version 1.0\nfile secret.mp4\n": "concat",
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n": "hls",
    "v=0\no=- 0 0 IN IP4 0.0.0.0\ns=x\nc=IN IP4 0.0.0.0\nt=0 0\nm=video 5004 RTP/AVP 96\n": "sdp",
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>': "dash",
}


@pytest.mark.parametrize("text", PLAYLISTS, ids=PLAYLISTS.get)
def test_playlists_are_refused(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "secret.mp4", moving(2))
    for name in ("a.mp4", "a.m3u8", "a.sdp"):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=f"{name}: expected a video that FFmpeg reads"):
            open_reader(name)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"no film\n", "a text file"),
        (bytes(range(256)), "a damaged video or another kind of file"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "a damaged video or another kind of file"),
    ],
)
def test_other_files_are_described(data, found, tmp_path):
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(ValueError, match=f"that FFmpeg reads, got {found}; if players show it"):
        open_reader(tmp_path / "a.mp4")


def test_only_plain_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    for name in ("pipe.mp4", "loop.mp4"):
        with pytest.raises((ValueError, OSError), match=name):
            open_reader(tmp_path / name)
    with pytest.raises(
        FileNotFoundError, match="http:/a/b.mp4: no such file or folder; expected a video"
    ):
        open_reader("http://a/b.mp4")
