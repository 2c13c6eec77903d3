"""Parts of the server that run without a network."""

import pytest

from anime_tf.styles.builtin import BUILTIN, weights_path
from anime_tf.web.page import find_page
from anime_tf.web.queue import AdmissionQueue
from anime_tf.web.sniff import HEAD_BYTES, sniff_clip
from anime_tf.web.styles import engine_for, find_styles


class TestSniff:
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
    def test_by_the_first_bytes(self, head, kind):
        assert sniff_clip(head[:HEAD_BYTES]) == kind


class TestAdmissionQueue:
    def test_bounds_items_and_bytes(self):
        queue = AdmissionQueue(3, 100)
        first, second = queue.admit(40), queue.admit(60)
        assert first is not None and second is not None and len(queue) == 2
        assert queue.admit(1) is None, "a slot is free, but no byte"
        first.release()
        first.release()
        assert len(queue) == 1, "a second release does nothing"
        assert queue.admit(40) is not None
        assert queue.admit(0) is not None
        assert queue.admit(0) is None, "all slots are used"


class TestPage:
    def test_every_file_by_its_url(self, page_folder, tmp_path):
        page = find_page([tmp_path, page_folder])
        assert sorted(page) == ["/", "/assets/page-1a2b.js", "/assets/run-3c4d.wasm", "/index.html"]
        assert page["/"] == page["/index.html"]
        assert [page[name].immutable for name in sorted(page)] == [False, True, True, False]

    def test_links_are_ignored(self, page_folder, tmp_path):
        (tmp_path / "index.html").write_text("here")
        (tmp_path / "secret").symlink_to(page_folder.parent / "secret.txt")
        assert sorted(find_page([tmp_path])) == ["/", "/index.html"]

    def test_missing_page_is_empty(self, tmp_path):
        assert find_page([tmp_path, tmp_path / "nothing"]) == {}


class TestStyles:
    def test_given_weights_come_first(self, weights):
        names = [style.name for style in find_styles([str(weights)])]
        assert names == ["small", *BUILTIN]
        assert [style.name for style in find_styles([])] == list(BUILTIN)
        assert [style.name for style in find_styles(["cel", "cel"])] == list(BUILTIN)

    def test_names_are_plain_and_unique(self, weights, tmp_path):
        paths = [tmp_path / "a" / "cel.keras", tmp_path / "b" / "cel.keras", tmp_path / "Ä ß.keras"]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(weights.read_bytes())
        styles = find_styles([str(path) for path in paths])
        assert [style.name for style in styles] == ["cel-2", "cel-3", "style", *BUILTIN]
        assert styles[2].title == "Ä ß"
        assert styles[0].license_url is None and "unknown" in styles[0].license

    def test_missing_weights(self):
        with pytest.raises(FileNotFoundError, match="nothing.keras: no such weights"):
            find_styles(["nothing.keras"])

    def test_engine_of_built_in_styles(self, weights):
        own, built_in = find_styles([str(weights)])[:2]
        assert built_in.path == weights_path("cel")
        assert engine_for(own, "tflite") == "tflite"
        assert engine_for(built_in, "tflite") == "auto"
        assert engine_for(built_in, "keras") == "keras"
