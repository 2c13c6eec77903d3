"""Downloads of styles of every kind from a local server, and their faults."""

from __future__ import annotations

import copy
import errno
import json
import shutil
import subprocess
import sys

import numpy as np
import published_styles
import pytest
from published_styles import KINDS, STRICT, add_hashes, publish, serve, write_registry
from shared_folders import make_once

from anime_tf import Stylizer, styles
from anime_tf.models.archive import load_generator
from anime_tf.models.registry import GENERATORS
from anime_tf.styles import fetch
from anime_tf.styles.fetch import fetch_style, needs_acceptance
from anime_tf.styles.registry import find_style, style_of, weights_path

HASHES = dict.fromkeys(("toon", "own"), "sha256") | dict.fromkeys(
    ("face", "old", "white"), "git_blob"
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Folder of published files, and the entries of all styles."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            published_styles.shrink(patch)
            entries = {name: publish(folder, name) for name in KINDS}
        for name, entry in entries.items():
            add_hashes(folder, entry, HASHES.get(name, ""))
        del entries["hay"]["files"][1]["size"]  # as of AnimeGANv2's: the index has checksums
        (folder / "entries.json").write_text(json.dumps(entries))

    folder = make_once(tmp_path_factory, "published", make)
    return folder, json.loads((folder / "entries.json").read_text())


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("ANIME_TF_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("ANIME_TF_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "BACKOFF", 0.001)
    published_styles.shrink(monkeypatch)
    return tmp_path / "data" / "styles"


@pytest.fixture
def entries(published):
    return copy.deepcopy(published[1])


@pytest.fixture(autouse=True)
def save(entries, tmp_path, monkeypatch):
    """Function that writes the registry of the test again."""

    def save():
        path = write_registry(tmp_path / "registry.json", *entries.values())
        monkeypatch.setenv("ANIME_TF_REGISTRY", path)

    save()
    return save


@pytest.fixture
def server(published):
    with serve(published[0]) as found:
        yield found


@pytest.mark.parametrize("name", KINDS)
def test_from_download_to_picture(published, entries, server, data, name):
    base, faults = server
    path = fetch_style(name, source=base)
    assert path == data / name / f"{name}.keras" == weights_path(name)
    assert type(load_generator(path)) is GENERATORS[KINDS[name][1]]
    photo = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    anime = Stylizer(name, engine="keras")(photo)
    assert anime.shape == photo.shape and anime.std() > 0
    style = find_style(name)
    assert style.state == "cached" and style_of(path) == style
    assert "Mine" in (data / name / "LICENSE.txt").read_text()
    count = len(faults.requests)
    assert fetch_style(name, source=base) == path and len(faults.requests) == count
    assert [p.name for p in data.iterdir()] == [name]
    assert str(data / name) in styles.remove(name)
    assert find_style(name).state == "available"
    if name == "own":  # a folder with the bare files
        entry = entries[name]
        bare = published[0] / entry["repository"] / entry["commit"] / "weights"
        assert fetch_style(name, source=str(bare)) == path


def assert_nothing_left(data, name):
    assert not data.exists() or list(data.iterdir()) == []


def flip(base, entry, index=0):
    path = base / entry["repository"] / entry["commit"] / entry["files"][index]["path"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "message"),
    [("own", "expected sha256"), ("face", "expected git blob"), ("hay", "damaged or none of")],
)
def test_wrong_content(published, entries, tmp_path, data, name, message):
    """Each style's own check: SHA-256, git blob id, and the checksums of the index."""
    shutil.copytree(published[0] / "me" / name, tmp_path / "www" / "me" / name)
    flip(tmp_path / "www", entries[name])
    with (
        serve(tmp_path / "www") as (base, _),
        pytest.raises(ValueError, match=message) as caught,
    ):
        fetch_style(name, source=base)
    assert "\n" not in str(caught.value)
    assert_nothing_left(data, name)


@pytest.mark.parametrize("size", [100, 10_000_000])
def test_wrong_size(entries, server, data, size, save):
    entries["own"]["files"][0]["size"] = size
    save()
    with pytest.raises(ValueError, match=rf"expected {size} bytes, got .*--from$"):
        fetch_style("own", source=server[0])
    assert_nothing_left(data, "own")


def test_broken_connections_are_resumed(entries, server):
    base, faults = server
    faults.fault = lambda path, number: {1: 503, 2: "cut", 3: "cut", 4: 502}.get(number)
    assert fetch_style("own", source=base).is_file()
    size = entries["own"]["files"][0]["size"]
    first, again, *starts = [begin and int(begin[6:-1]) for _, begin in faults.requests]
    assert first is again is None
    assert size // 4 < starts[0] <= size // 2 < starts[1] == starts[2] <= size * 3 // 4


def test_faults_of_the_server(entries, server, data):
    base, faults = server
    faults.fault = lambda path, number: 404
    with pytest.raises(FileNotFoundError, match=r"mine.keras: no such file there \(404\).*--from"):
        fetch_style("own", source=base)
    faults.fault = lambda path, number: 403
    with pytest.raises(ConnectionError, match="the server answered 403 .*--from"):
        fetch_style("own", source=base)
    faults.fault = lambda path, number: "cut"
    host = base.removeprefix("http://")
    with pytest.raises(ConnectionError, match=rf"^mine.keras: the connection to {host} broke \("):
        fetch_style("own", source=base)
    faults.fault = lambda path, number: 500
    expected = rf"^mine.keras: {host} answers with errors \(too many 500 error responses\); set "
    with pytest.raises(ConnectionError, match=expected):
        fetch_style("own", source=base)
    assert_nothing_left(data, "own")


def test_no_network(entries, data, monkeypatch, caplog):
    remedy = "; set HTTPS_PROXY if you use a proxy, or use --from=FOLDER with a copy of the file"
    with caplog.at_level("INFO"), pytest.raises(ConnectionError) as caught:
        fetch_style("own", source="http://127.0.0.1:1")
    expected = f"mine.keras: no connection to 127.0.0.1:1 (connection refused){remedy}"
    assert str(caught.value) == expected
    assert caplog.messages[0] == "own: connecting to 127.0.0.1:1"
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(ConnectionError) as caught:
        fetch_style("own", source="http://example.invalid")
    told = str(caught.value)
    assert told.startswith("mine.keras: no connection to example.invalid (") and "()" not in told
    assert told.count("(") == told.count(")") == 1 and told.endswith(remedy)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(ConnectionError, match="no connection to example.invalid"):
        fetch_style("own", source="http://example.invalid")
    assert_nothing_left(data, "own")


def test_proxies_are_used(entries, server, monkeypatch):
    base, faults = server
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", base)
    with pytest.raises(FileNotFoundError):
        fetch_style("own", source="http://example.invalid")
    assert faults.requests[0][0].startswith("http://example.invalid/me/own/c0ffee/")


def test_offline(entries, published, server, monkeypatch):
    monkeypatch.setenv("ANIME_TF_OFFLINE", "1")
    with pytest.raises(PermissionError, match="own: ANIME_TF_OFFLINE forbids downloads"):
        fetch_style("own", source=server[0])
    assert not server[1].requests
    assert fetch_style("own", source=str(published[0])).is_file()
    with pytest.raises(FileNotFoundError, match="expected the published files of face"):
        fetch_style("face", source=str(published[0] / "me" / "own"))


def test_full_disk(entries, server, data, monkeypatch):
    def no_space(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    usage = shutil.disk_usage("/")
    for target, name, fault in (
        (shutil, "disk_usage", lambda _: usage._replace(free=1000)),
        (fetch, "_fetch", no_space),
        (fetch, "_convert", no_space),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, fault)
            with pytest.raises(OSError, match="no space left on the disk; free some.*_DATA$"):
                fetch_style("own", source=server[0])
        assert_nothing_left(data, "own")


def test_a_folder_that_cannot_be_written(entries, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ANIME_TF_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(OSError, match="file.*: not a directory; .* by ANIME_TF_DATA$"):
        fetch_style("own")


def test_licenses_are_accepted_once(entries, server, data, save):
    for name in ("own", "face"):
        entries[name]["license"] = {**STRICT, "url": f"https://example.org/{name}"}
    save()
    for accept in ((), {"other"}, lambda style: False):
        with pytest.raises(PermissionError, match="own: its license, Strict, .*_license=own$"):
            fetch_style("own", source=server[0], accept=accept)
    assert not server[1].requests
    assert needs_acceptance(find_style("face"))
    fetch_style("own", source=server[0], accept={"own"})
    assert "Nothing for money." in (data / "own" / "LICENSE.txt").read_text()
    assert not needs_acceptance(find_style("face")), "the same text"
    fetch_style("face", source=server[0])
    entries["toon"]["license"] = {**STRICT, "text": "Another one."}
    save()
    asked = []
    with pytest.raises(PermissionError):
        fetch_style("toon", accept=lambda style: asked.append(style.license.text))
    assert asked == ["Another one."]


def test_two_processes_download_once(entries, server, data):
    base, faults = server
    program = f"from anime_tf import styles; print(styles.get('own', source={base!r}))"
    workers = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    paths = {worker.communicate()[0].strip() for worker in workers}
    assert paths == {str(data / "own" / "own.keras")}
    assert len(faults.requests) == 1


def test_a_damaged_cached_style(entries, server, data):
    path = fetch_style("own", source=server[0])
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match="own.keras: expected the style own .* styles remove own"):
        weights_path("own")


def test_recommended_settings(entries, server, save):
    entries["own"]["settings"] = {"max_side": 20, "faces": "crop", "strength": 0.5}
    save()
    fetch_style("own", source=server[0])
    config = Stylizer("own", strength=1.0).config
    assert (config.max_side, config.strength) == (20, 1.0)
