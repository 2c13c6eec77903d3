"""Batches of files: names of outputs, failures, progress."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from anime_tf.inference.batch import (
    READERS,
    WRITERS,
    BackendUnavailableError,
    BatchReport,
    Task,
    extract_files,
    outcome,
    plan,
    run_tasks,
    stylize_files,
)
from anime_tf.io.pictures import Picture, read_picture, write_picture

PNG = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def pairs(tasks: list[Task], root: Path) -> dict[str, str]:
    return {
        str(task.source.relative_to(root)): str(task.target.relative_to(root)) for task in tasks
    }


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path()


# --- plan -------------------------------------------------------------------------------------


def test_a_file_to_a_file(root):
    touch(root, "a.jpg")
    assert plan("a.jpg", "new/b.png") == [Task(Path("a.jpg"), Path("new/b.png"))]


@pytest.mark.parametrize("output", ["out", "new/", "new/er/"])
def test_a_file_to_a_folder(root, output):
    touch(root, "in/a.JPG")
    (root / "out").mkdir()
    assert plan("in/a.JPG", output) == [Task(Path("in/a.JPG"), Path(output, "a.JPG"))]


@pytest.mark.parametrize("output", ["b.jp2", "b", "b.gif"])
def test_a_file_to_a_format_that_is_not_written(root, output):
    touch(root, "a.jpg")
    with pytest.raises(ValueError, match=f"^{output}: expected a name in .jpg.*{output}/ for"):
        plan("a.jpg", output)


def test_a_folder_keeps_its_structure_and_suffixes(root):
    touch(root, "in/a.jpg", "in/b/c.PNG", "in/b/d/e.webp", "in/b/f.gif", "in/notes.txt", "in/g.bmp")
    assert pairs(plan("in", "out"), root) == {
        "in/a.jpg": "out/a.jpg",
        "in/b/c.PNG": "out/b/c.PNG",
        "in/b/d/e.webp": "out/b/d/e.webp",
        "in/b/f.gif": "out/b/f.png",
        "in/g.bmp": "out/g.bmp",
    }


def test_names_stay_distinct(root):
    touch(root, "in/a.gif", "in/a.png", "in/a_gif.png", "in/b.gif", "in/c/a.gif")
    assert pairs(plan("in", "out"), root) == {
        "in/a.gif": "out/a_gif_2.png",
        "in/a.png": "out/a.png",
        "in/a_gif.png": "out/a_gif.png",
        "in/b.gif": "out/b.png",
        "in/c/a.gif": "out/c/a.png",
    }


def test_globs(root):
    touch(root, "in/a1.jpg", "in/b1.jpg", "in/x/a2.jpg", "in/x/y/a3.png", "in/a.txt")
    assert pairs(plan("in/a*", "out"), root) == {"in/a1.jpg": "out/a1.jpg"}
    assert pairs(plan("in/**/a*", "out"), root) == {
        "in/a1.jpg": "out/a1.jpg",
        "in/x/a2.jpg": "out/x/a2.jpg",
        "in/x/y/a3.png": "out/x/y/a3.png",
    }
    assert pairs(plan("in/?/*.jpg", "out/"), root) == {"in/x/a2.jpg": "out/x/a2.jpg"}
    assert pairs(plan("*/b[0-9].jpg", "out"), root) == {"in/b1.jpg": "out/in/b1.jpg"}
    assert len(plan(f"{Path.cwd()}/**/*.jpg", "out")) == 3
    for pattern, message in [
        ("in/a.t*", r"in/a.t\*: expected pictures .*, but the pattern matches only other files"),
        ("i*", r"i\*: expected pictures .*, but the pattern matches only folders"),
        ("none/*", r"none/\*: no file or folder matches this pattern"),
        (
            "'in/*'",
            r"'in/\*': no file or folder matches this pattern; use double quotes .*",
        ),
    ]:
        with pytest.raises(FileNotFoundError, match=f"^{message}$"):
            plan(pattern, "out")


def test_a_file_whose_name_looks_like_a_glob(root):
    touch(root, "a[1].jpg")
    assert plan("a[1].jpg", "out/") == [Task(Path("a[1].jpg"), Path("out/a[1].jpg"))]


def test_earlier_results_in_the_input_folder_are_skipped(root):
    touch(root, "in/a.jpg", "in/anime/a.jpg", "in/anime/b/c.jpg")
    assert pairs(plan("in", "in/anime"), root) == {"in/a.jpg": "in/anime/a.jpg"}
    assert pairs(plan("in/**/*.jpg", "./in/anime/"), root) == {"in/a.jpg": "in/anime/a.jpg"}
    os.remove("in/a.jpg")
    with pytest.raises(
        FileNotFoundError, match="^in: expected pictures outside of the output folder"
    ):
        plan("in", "in/anime")


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("in/a.jpg", "in/a.jpg"),
        ("in/a.jpg", "in"),
        ("in/a.jpg", "in/"),
        ("in/a.jpg", "in/../in/a.jpg"),
        ("in/a.jpg", "link.jpg"),
        ("link.jpg", "in/a.jpg"),
        ("in", "in"),
        ("in", "./in/"),
        ("in/*.jpg", "in"),
        ("in", "linked"),
    ],
)
def test_an_input_is_never_overwritten(root, source, output):
    touch(root, "in/a.jpg")
    (root / "link.jpg").symlink_to("in/a.jpg")
    (root / "linked").symlink_to("in")
    with pytest.raises(ValueError, match="would overwrite an input; choose another --output"):
        plan(source, output)


def test_an_existing_output_is_no_obstacle(root):
    touch(root, "in/a.jpg", "out/a.jpg", "b.png")
    assert pairs(plan("in", "out"), root) == {"in/a.jpg": "out/a.jpg"}
    assert pairs(plan("in/a.jpg", "b.png"), root) == {"in/a.jpg": "b.png"}


def test_missing_inputs_and_files_instead_of_folders(root):
    touch(root, "in/a.jpg", "file", "in2/notes.txt")
    with pytest.raises(FileNotFoundError, match="^none: no such file or folder"):
        plan("none", "out")
    with pytest.raises(FileNotFoundError, match="^in2: expected pictures"):
        plan("in2", "out")
    with pytest.raises(NotADirectoryError, match="^file: expected a folder for the pictures of in"):
        plan("in", "file")
    with pytest.raises(
        NotADirectoryError, match="file/deep: expected a folder, got the file .*file"
    ):
        plan("in", "file/deep")
    with pytest.raises(
        ValueError, match="^out.png: expected a folder .* got the name of a picture"
    ):
        plan("in", "out.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(root):
    touch(root, "in/a.jpg")
    (root / "locked").mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="^locked: expected a writable folder"):
        plan("in", "locked")


def test_default_outputs_lie_beside_the_input(root):
    touch(root, "a.jpg", "b.gif", "in/c.png")
    assert plan("a.jpg", None) == [Task(Path("a.jpg"), Path("a_anime.jpg"))]
    assert plan("b.gif", None) == [Task(Path("b.gif"), Path("b_anime.png"))]
    assert plan("in/", None) == [Task(Path("in/c.png"), Path("in_anime/c.png"))]
    with pytest.raises(FileNotFoundError, match="none: no such file or folder"):
        plan("none", None)
    with pytest.raises(ValueError, match="output: expected a folder for the pictures"):
        plan("*.jpg", None)


def test_unreadable_files_are_tasks_that_fail(root, caplog):
    touch(root, "in/IMG_1.mov", "in/IMG_1.heic", "in/b.psd", "in/notes.txt")
    with caplog.at_level("INFO"):
        tasks = plan("in", "out")
    assert pairs(tasks, root) == {
        "in/IMG_1.heic": "out/IMG_1.png",
        "in/IMG_1.mov": "out/IMG_1_mov.png",
        "in/b.psd": "out/b.png",
    }
    assert "ignored 1 file of other kinds" in caplog.text
    assert pairs(plan("in/*.psd", "out"), root) == {"in/b.psd": "out/b.png"}
    lines = []
    report = stylize_files(tasks, lambda picture: picture, log=lines.append)
    assert report.written == () and len(report.failures) == 3
    assert "in/IMG_1.mov: a video; stylize it with: anime-tf video" in lines
    assert any(line.startswith("in/b.psd: a Photoshop picture, which is not sup") for line in lines)


# --- stylize_files ----------------------------------------------------------------------------


def invert(picture: Picture) -> Picture:
    return Picture(255 - picture.rgb_u8, picture.alpha_u8)


def make(folder: Path, count: int) -> list[Task]:
    folder.mkdir()
    tasks = []
    for i in range(count):
        task = Task(folder / f"{i}.png", folder / "out" / "deep" / f"{i}.png")
        write_picture(task.source, PNG + np.uint8(i))
        tasks.append(task)
    return tasks


def test_all_are_written_in_order(tmp_path):
    tasks = make(tmp_path / "in", 20)
    report = stylize_files(tasks, invert)
    assert report.failures == ()
    assert report.written == tuple(task.target for task in tasks)
    for i, task in enumerate(tasks):
        np.testing.assert_array_equal(read_picture(task.target).rgb_u8, 255 - (PNG + np.uint8(i)))
    assert len(list((tmp_path / "in/out/deep").iterdir())) == 20  # and no temporary files


def test_failures_do_not_stop_the_others(tmp_path, capsys):
    tasks = make(tmp_path / "in", 6)
    tasks[1].source.write_bytes(b"no picture")
    tasks[2].source.unlink()
    tasks[4].target.mkdir(parents=True)

    def stylize(picture):
        if picture.rgb_u8[0, 0, 0] == 3:
            raise MemoryError("too large")
        return invert(picture)

    report = stylize_files(tasks, stylize)
    assert report.written == (tasks[0].target, tasks[5].target)
    lines = capsys.readouterr().err.splitlines()
    assert sorted(report.failures) == sorted(lines)
    assert len(lines) == 4
    for path, words in (
        (tasks[1].source, "expected a JPEG"),
        (tasks[2].source, "no such file or folder; expected a picture file"),
        (tasks[3].source, "too large"),
        (tasks[4].target, "is a directory"),
    ):
        (line,) = [line for line in lines if line.startswith(f"{path}: ")]
        assert words in line
        assert line.count(str(path)) == 1


def test_a_bug_is_raised_and_ends_the_run(tmp_path):
    def stylize(picture):
        raise KeyError("fault")

    with pytest.raises(KeyError):
        stylize_files(make(tmp_path / "in", 30), stylize)
    assert not any("reader" in t.name or "writer" in t.name for t in threading.enumerate())


def test_only_a_few_pictures_are_in_memory(tmp_path):
    tasks = make(tmp_path / "in", 60)
    for task in tasks[40:]:
        task.source.unlink()
    seen = []

    def stylize(picture):
        seen.append(1)
        if len(seen) == 1:
            # Were everything read at once, these would be found missing, being read too early.
            for i, task in enumerate(tasks[40:], 40):
                write_picture(task.source, PNG + np.uint8(i))
        return picture

    report = stylize_files(tasks, stylize)
    assert report.failures == ()
    assert READERS + 2 * WRITERS < 40


def test_a_progress_bar_shows_on_a_terminal_only(tmp_path, monkeypatch, capsys):
    tasks = make(tmp_path / "in", 5)
    stylize_files(tasks, invert)
    assert capsys.readouterr().err == ""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    tasks[2].source.unlink()
    with open(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        stylize_files(tasks, invert)
        os.set_blocking(ours, False)
        shown = ""
        deadline = time.monotonic() + 5  # the terminal hands it over piece by piece
        while "100%" not in shown and time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                shown += os.read(ours, 4096).decode(errors="replace")
    os.close(ours)
    assert "100%" in shown
    # The bar is wiped before the line, so that the line begins at the screen's edge.
    line = f"{tasks[2].source}: no such file or folder; expected a picture file"
    assert re.search(rf"\r *\r{re.escape(line)}", shown)


def test_quality_reaches_the_file(tmp_path):
    tasks = make(tmp_path / "in", 1)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    sizes = []
    for quality in (10, 95):
        task = Task(tasks[0].source, tmp_path / f"{quality}.jpg")
        stylize_files([task], lambda picture: Picture(noise), quality=quality)
        sizes.append(task.target.stat().st_size)
    assert sizes[0] < sizes[1] / 2


# --- run_tasks ------------------------------------------------------------------------------


def run_texts(tasks, work, **options):
    return run_tasks(
        tasks,
        read=lambda task: task.source.name,
        work=work,
        write=lambda task, text: task.target.write_text(text),
        **options,
    )


def test_batches_are_full_and_keep_good_pictures(tmp_path):
    tasks = make(tmp_path / "in", 8)
    sizes = []

    def work(names):
        sizes.append(len(names))
        if "6.png" in names:
            raise ValueError("the whole batch")
        return [ValueError("odd") if name[0] in "13" else name.upper() for name in names]

    report = run_texts(tasks, work, batch_size=3)
    assert sizes == [3, 3, 2]
    assert report.written == tuple(tasks[i].target for i in (0, 2, 4, 5))
    assert [task.target.read_text() for task in (tasks[0], tasks[5])] == ["0.PNG", "5.PNG"]
    reasons = {1: "odd", 3: "odd", 6: "the whole batch", 7: "the whole batch"}
    assert report.failures == tuple(f"{tasks[i].source}: {why}" for i, why in reasons.items())


def test_an_unavailable_backend_ends_the_run(tmp_path):
    tasks = make(tmp_path / "in", 9)
    calls = []

    def work(names):
        calls.append(names)
        if len(calls) == 2:
            raise BackendUnavailableError("gone")
        return names

    report = run_texts(tasks, work, batch_size=2)
    assert len(calls) == 2
    assert report.written == tuple(task.target for task in tasks[:2])
    assert report.failures == tuple(f"{task.source}: gone" for task in tasks[2:])
    calls[:] = calls[:1]  # so that the first call loses it: nothing is written
    with pytest.raises(BackendUnavailableError, match="gone"):
        run_texts(tasks, work)


# --- extract_files ----------------------------------------------------------------------------


def parts(picture: Picture) -> list[Picture]:
    """Returns as many parts as the first pixel says."""
    return [picture] * int(picture.rgb_u8[0, 0, 0])


def test_several_pictures_from_one(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, count in (("two.png", 2), ("none.png", 0), ("one.bmp", 1)):
        write_picture(folder / name, np.full((2, 3, 3), count, np.uint8))
    (folder / "broken.png").write_bytes(b"x")
    told: list[str] = []
    out = tmp_path / "out"
    report = extract_files(plan(str(folder), str(out)), parts, "part", log=told.append)
    names = ["one_part1.png", "two_part1.png", "two_part2.png"]
    assert [path.name for path in report.written] == names
    assert sorted(path.name for path in out.iterdir()) == names
    assert len(report.failures) == len(told) == 1
    assert "broken.png" in told[0]


def test_names_that_differ_in_the_suffix_alone(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, value in (("a.bmp", 1), ("a.png", 2), ("a_png.bmp", 1)):
        write_picture(folder / name, np.full((2, 3, 3), value, np.uint8))
    report = extract_files(plan(str(folder), str(tmp_path / "out")), parts, "x")
    assert not report.failures
    assert len({path.name for path in report.written}) == 4
    assert "a_x1.png" in {path.name for path in report.written}


def test_extracted_pictures_never_overwrite_an_input(tmp_path):
    source = tmp_path / "a_x1.png"
    write_picture(source, np.full((2, 3, 3), 1, np.uint8))
    before = source.read_bytes()
    report = extract_files(plan(str(source), str(tmp_path / "a.png")), parts, "x")
    assert not report.written
    assert "would overwrite an input" in report.failures[0]
    assert source.read_bytes() == before


def test_entries_that_are_no_files_fail_alone(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write_picture(folder / "a.png", np.zeros((4, 4, 3), np.uint8))
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "dangling.png").symlink_to(folder / "none")
    (folder / "full.png").symlink_to("/dev/full")
    with (folder / "sparse.png").open("wb") as file:
        file.truncate(3 << 30)
    lines = []
    tasks = plan(str(folder), str(tmp_path / "out"))
    report = stylize_files(tasks, lambda picture: picture, log=lines.append)
    assert report.written == (tmp_path / "out" / "a.png",)
    reasons = ("pipe", "symbolic links", "got a link to nothing", "got a device", "at most")
    assert sorted(line.partition(":")[0] for line in lines) == sorted(
        str(folder / f"{name}.png") for name in ("pipe", "loop", "dangling", "full", "sparse")
    )
    assert all(any(reason in line for line in lines) for reason in reasons)
    for name in ("pipe", "loop", "dangling", "full"):
        (task,) = plan(str(folder / f"{name}.png"), str(tmp_path / "out.png"))
        assert len(stylize_files([task], lambda picture: picture, log=lines.append).failures) == 1


@pytest.mark.parametrize(
    ("total", "written", "failed", "item", "told"),
    [
        (1, ["x/a.png"], 0, "", "1 of 1 picture written to x/a.png"),
        (2, ["x/a.png"], 1, "", "1 of 2 pictures written to x"),
        (1, [], 1, "", "1 picture failed, nothing written"),
        (2, [], 2, "face", "2 pictures failed, nothing written"),
        (1, [], 0, "face", "no face found in 1 picture, nothing written"),
        (3, [], 1, "face", "no face found in 2 pictures, 1 picture failed, nothing written"),
        (1, ["a1", "a2"], 0, "face", "2 faces of 1 picture written to a1, a2"),
        (1, ["a1", "a2", "a3", "a4"], 0, "face", "4 faces of 1 picture written to a1, ..., a4"),
        (3, ["x/a1"], 0, "face", "1 face of 3 pictures written to x"),
    ],
)
def test_outcome(total, written, failed, item, told):
    tasks = [Task(Path(f"{i}.png"), Path(f"x/{i}.png")) for i in range(total)]
    report = BatchReport(tuple(map(Path, written)), ("why",) * failed)
    assert outcome(tasks, report, "x", item) == told
