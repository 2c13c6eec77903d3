"""The parts of the server that need no network of their own."""

import pytest

from anime_tf.styles.builtin import BUILTIN, weights_path
from anime_tf.web.page import find_page
from anime_tf.web.queue import Line
from anime_tf.web.sniff import HEAD_BYTES, clip_kind
from anime_tf.web.styles import engine_for, find_styles


class TestKinds:
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
        assert clip_kind(head[:HEAD_BYTES]) == kind


class TestLine:
    def test_counts_places_and_bytes(self):
        line = Line(3, 100)
        first, second = line.enter(40), line.enter(60)
        assert first is not None and second is not None and line.inside == 2
        assert line.enter(1) is None, "a place is left, but no byte"
        first.leave()
        first.leave()
        assert line.inside == 1, "leaving twice is leaving once"
        assert line.enter(40) is not None
        assert line.enter(0) is not None
        assert line.enter(0) is None, "all places are taken"


class TestPage:
    def test_every_file_by_its_address(self, page_folder, tmp_path):
        page = find_page([tmp_path, page_folder])
        assert sorted(page) == ["/", "/assets/page-1a2b.js", "/assets/run-3c4d.wasm", "/index.html"]
        assert page["/"] == page["/index.html"]
        assert [page[name].lasting for name in sorted(page)] == [False, True, True, False]

    def test_a_link_leads_nowhere(self, page_folder, tmp_path):
        (tmp_path / "index.html").write_text("here")
        (tmp_path / "secret").symlink_to(page_folder.parent / "secret.txt")
        assert sorted(find_page([tmp_path])) == ["/", "/index.html"]

    def test_none_is_no_error(self, tmp_path):
        assert find_page([tmp_path, tmp_path / "nothing"]) == {}


class TestStyles:
    def test_those_named_come_first_and_all_built_in_ones_after(self, weights):
        names = [style.name for style in find_styles([str(weights)])]
        assert names == ["small", *BUILTIN]
        assert [style.name for style in find_styles([])] == list(BUILTIN)
        assert [style.name for style in find_styles(["cel", "cel"])] == list(BUILTIN)

    def test_names_are_plain_and_unlike(self, weights, tmp_path):
        paths = [tmp_path / "a" / "cel.keras", tmp_path / "b" / "cel.keras", tmp_path / "Ä ß.keras"]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(weights.read_bytes())
        styles = find_styles([str(path) for path in paths])
        assert [style.name for style in styles] == ["cel-2", "cel-3", "style", *BUILTIN]
        assert styles[2].title == "Ä ß"
        assert styles[0].license_url is None and "unknown" in styles[0].license

    def test_weights_that_are_not_there(self):
        with pytest.raises(FileNotFoundError, match="nothing.keras: no such weights"):
            find_styles(["nothing.keras"])

    def test_built_in_styles_open_whatever_the_engine_for_the_others(self, weights):
        own, built_in = find_styles([str(weights)])[:2]
        assert built_in.path == weights_path("cel")
        assert engine_for(own, "tflite") == "tflite"
        assert engine_for(built_in, "tflite") == "auto"
        assert engine_for(built_in, "keras") == "keras"
