from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="pyarrow (the extra cluster) is not installed")

from anime_tf.bulk import storage
from anime_tf.bulk.inputs import find_sources
from anime_tf.inference.batch import plan

NAMES = ("a.jpg", "a.png", "b.gif", "b.png", "sub/c.heic", "sub/d.webp", "e.avi", "e.mp4")


def fill(folder: Path, names=NAMES) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    return folder


def targets(source, output, **options) -> dict[str, str]:
    return {one.address: one.output for one in find_sources(str(source), str(output), **options)}


def test_names_of_pictures_are_those_of_infer(tmp_path):
    folder = fill(tmp_path / "in")
    found = targets(folder, tmp_path / "out")
    expected = plan(str(folder), str(tmp_path / "out"))
    pictures = [task for task in expected if task.source.suffix not in (".avi", ".mp4")]
    for task in pictures:
        name = task.target.relative_to(tmp_path / "out").as_posix()
        assert found.pop(str(task.source)) == name
    assert found == {f"{folder}/e.avi": "e_avi.mp4", f"{folder}/e.mp4": "e.mp4"}
    assert targets(folder, tmp_path / "out", bits=16)[f"{folder}/a.jpg"] == "a_jpg.png"
    assert targets(folder, tmp_path / "out", crops=True)[f"{folder}/a.png"] == "a_png.png"


def test_results_inside_the_input_are_no_input(tmp_path):
    folder = fill(tmp_path / "in")
    fill(folder / "out", ("a.png", "_bulk/x.png"))
    assert len(targets(folder, folder / "out")) == len(NAMES)
    with pytest.raises(ValueError, match="another folder than the input"):
        find_sources(str(folder), f"{folder}/")


@pytest.mark.parametrize("kind", ["path", "memory"])
def test_patterns_choose_files_below_their_root(tmp_path, kind):
    folder = str(fill(tmp_path / "in"))
    if kind == "memory":
        pytest.importorskip("fsspec")
        folder = "memory://in"
        for name in (*NAMES, ".hidden.png", "out/a.png"):
            storage.write(f"{folder}/{name}", b"content")
        assert len(targets(folder, f"{folder}/out")) == len(NAMES)
    assert targets(f"{folder}/*.png", "x") == {f"{folder}/{n}.png": f"{n}.png" for n in "ab"}
    found = targets(f"{folder}/**/*.webp", "x")
    assert found == {f"{folder}/sub/d.webp": "sub/d.webp"}
    assert targets(f"{folder}/a.jpg", "x") == {f"{folder}/a.jpg": "a.jpg"}
    message = "matches this pattern" if kind == "path" else "expected pictures"
    with pytest.raises(FileNotFoundError, match=message):
        find_sources(f"{folder}/*.bmp", "x")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_lists_name_addresses(tmp_path, suffix):
    import pyarrow as pa
    from pyarrow import csv, parquet

    table = pa.table({"path": ["s3://bucket/a/b.jpg", "/photos/c.gif", "d.mp4"]})
    path = tmp_path / f"list{suffix}"
    (csv.write_csv if suffix == ".csv" else parquet.write_table)(table, str(path))
    assert targets(path, "x") == {
        "s3://bucket/a/b.jpg": "bucket/a/b.jpg",
        "/photos/c.gif": "photos/c.png",
        f"{tmp_path}/d.mp4": f"{tmp_path}/d.mp4"[1:],
    }
    wrong = tmp_path / f"wrong{suffix}"
    renamed = table.rename_columns(["name"])
    (csv.write_csv if suffix == ".csv" else parquet.write_table)(renamed, str(wrong))
    with pytest.raises(ValueError, match="expected a column path of addresses, got name"):
        find_sources(str(wrong), "x")
