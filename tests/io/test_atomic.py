import errno
from pathlib import Path

import pytest
from full_disk import file_size_limit

from anime_tf.io.atomic import AtomicWriter, atomic_file, atomic_folder, write_bytes


class RecordingWriter(AtomicWriter):
    def __init__(self, fails=False):
        self.calls, self._fails = [], fails

    def commit(self):
        self.calls.append("commit")
        if self._fails:
            raise OSError("disk full")

    def close(self):
        self.calls.append("close")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writer_commits_and_closes():
    with RecordingWriter() as writer:
        assert writer.calls == []
    assert writer.calls == ["commit", "close"]


def test_writer_only_closes_after_an_error():
    writer = RecordingWriter()
    with pytest.raises(ValueError, match="no"), writer:
        raise ValueError("no")
    assert writer.calls == ["close"]


def test_writer_closes_if_the_commit_fails():
    writer = RecordingWriter(fails=True)
    with pytest.raises(OSError, match="disk full"), writer:
        pass
    assert writer.calls == ["commit", "close"]


def test_failed_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.png"
    write_bytes(target, b"old")
    with pytest.raises(OSError, match="a.png") as raised, file_size_limit(1000):
        write_bytes(target, b"x" * 5000)
    assert raised.value.filename == str(target)
    assert names(tmp_path) == ["a.png"]
    assert target.read_bytes() == b"old"
    write_bytes(target, b"new")
    assert target.read_bytes() == b"new"


def test_errors_name_the_final_path_and_keep_foreign_names(tmp_path):
    target = tmp_path / "no" / "a"
    with pytest.raises(FileNotFoundError) as raised:
        write_bytes(target, b"")
    assert raised.value.filename == str(target)
    with pytest.raises(FileNotFoundError) as raised, atomic_file(tmp_path / "b") as temporary:
        temporary.write_bytes(b"x")
        (tmp_path / "input").read_bytes()
    assert raised.value.filename == str(tmp_path / "input")
    with (
        pytest.raises(OSError, match=f"^{tmp_path / 'c'}: unable to open {tmp_path / 'c'}$"),
        atomic_file(tmp_path / "c") as temporary,
    ):
        raise OSError(f"unable to open {temporary}")  # as h5py does, without a number
    assert names(tmp_path) == []


def test_removed_temporary_commits_nothing(tmp_path):
    with atomic_file(tmp_path / "a") as temporary:
        temporary.write_bytes(b"x")
        temporary.unlink()
    with atomic_folder(tmp_path / "b") as folder:
        folder.rmdir()
    assert names(tmp_path) == []


def test_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "out"
    with pytest.raises(ValueError, match="no"), atomic_folder(target) as folder:
        (folder / "a").write_bytes(b"1")
        raise ValueError("no")
    assert names(target.parent) == []
    with atomic_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_bytes(b"1")
        assert not target.exists()
    assert names(target.parent) == ["out"]
    assert (target / "sub" / "a").read_bytes() == b"1"


def test_folder_is_replaced_only_on_demand(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_bytes(b"")
    with pytest.raises(OSError, match="out") as raised, atomic_folder(target) as folder:
        (folder / "new").write_bytes(b"")
    assert raised.value.errno in (errno.ENOTEMPTY, errno.EEXIST)
    assert names(target) == ["old"]
    link = tmp_path / "link"
    link.symlink_to(target)
    with atomic_folder(link, replace=True) as folder:
        (folder / "new").write_bytes(b"")
    assert Path(link).is_symlink()
    assert names(target) == ["new"]
    assert names(tmp_path) == ["link", "out"]
