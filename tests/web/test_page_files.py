from anime_tf.web.page import find_page


def test_every_file_by_its_url(page_folder, tmp_path):
    page = find_page([tmp_path, page_folder])
    assert sorted(page) == ["/", "/assets/page-1a2b.js", "/assets/run-3c4d.wasm", "/index.html"]
    assert page["/"] == page["/index.html"]
    assert [page[name].immutable for name in sorted(page)] == [False, True, True, False]


def test_links_are_ignored(page_folder, tmp_path):
    (tmp_path / "index.html").write_text("here")
    (tmp_path / "secret").symlink_to(page_folder.parent / "secret.txt")
    assert sorted(find_page([tmp_path])) == ["/", "/index.html"]


def test_missing_page_is_empty(tmp_path):
    assert find_page([tmp_path, tmp_path / "nothing"]) == {}
