import os
import tempfile

from anime_tf.bulk.pictures import WeightsFile


def test_weights_are_written_once_on_a_node(tmp_path, monkeypatch):
    node = tmp_path / "node"
    node.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(node))
    source = tmp_path / "mine.keras"
    source.write_bytes(b"weights")
    weights = WeightsFile.read(source)
    assert weights is not None
    assert weights.make() == str(source)
    assert list(node.iterdir()) == []
    source.unlink()  # as on another node
    copy = weights.make()
    assert copy == f"{node}/anime_tf_weights_{os.getuid()}/{weights.digest}.keras"
    written = os.stat(copy)
    assert weights.make() == copy
    again = os.stat(copy)
    assert (again.st_ino, again.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    with open(copy, "wb") as file:
        file.write(b"damaged")
    assert weights.make() == copy
    with open(copy, "rb") as file:
        assert file.read() == b"weights"
