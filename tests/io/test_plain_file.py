"""Opening of files from outside."""

from __future__ import annotations

import os
import socket

import pytest

from anime_tf.io.plain_file import check_plain_file, open_plain_file, read_plain_file


@pytest.fixture
def places(tmp_path):
    """Name of an entry that is no plain file -> its path, and a part of the error."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "to_pipe").symlink_to(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "full").symlink_to("/dev/full")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    found = {
        "pipe": "got a named pipe",
        "to_pipe": "got a named pipe",
        "folder": "got a folder",
        "dangling": "got a link to nothing",
        "gone": "no such file or folder; expected a list",
        "full": "got a device",
        "socket": "got a socket",
        "loop": "Too many levels of symbolic links",
    }
    return [(tmp_path / name, text) for name, text in found.items()]


@pytest.mark.parametrize("use", [check_plain_file, open_plain_file, read_plain_file])
def test_only_plain_files_are_opened(places, use):
    for path, text in places:
        with pytest.raises((ValueError, OSError), match=text) as caught:
            use(path, "a list")
        assert str(path) in str(caught.value)


def test_plain_files_are_read_up_to_a_size(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    link = tmp_path / "link"
    link.symlink_to(path)
    assert read_plain_file(link, "a list", 5) == b"12345"
    with pytest.raises(ValueError, match="a: expected a list of at most 4 bytes, got 5"):
        read_plain_file(path, "a list", 4)
    with path.open("wb") as file:
        file.truncate(3 << 30)  # takes no space
    with pytest.raises(ValueError, match=r"at most 67,108,864 bytes, got 3,221,225,472"):
        read_plain_file(path, "a list")
    with open_plain_file(path, "a list") as file:
        assert file.read(2) == b"\0\0"


@pytest.mark.skipif(not os.path.exists("/proc/kallsyms"), reason="needs a file without a size")
def test_files_without_a_size_are_bounded():
    with pytest.raises(ValueError, match="got more than 100"):
        read_plain_file("/proc/self/maps", "a list", 100)
