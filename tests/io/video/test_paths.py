import pytest

from anime_tf.io.video.paths import find_videos


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mkv", "a.mp4", "sub/c.MOV", "sub/.hidden.mp4", ".trash/d.mp4", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(text):
    return [path.name for path in find_videos(str(text)).videos]


def test_find_videos_in_folders_globs_and_lists(folder):
    assert names(folder) == ["a.mp4", "b.mkv", "c.MOV"]
    assert names(folder / "*.m*") == ["a.mp4", "b.mkv"]
    assert names(folder / "**" / "*.MOV") == ["c.MOV"]
    assert names(folder / "notes.txt") == ["notes.txt"]  # named by itself: for FFmpeg to judge
    (folder / "sub/gone.ts").symlink_to("nothing")  # the reader names it
    (folder / "sub/code.ts").write_text("export const a = 1;")
    assert names(folder / "sub") == ["c.MOV", "gone.ts"]
    (folder / "sub/gone.ts").unlink()
    assert names(f"{folder}/sub, {folder}/b.mkv,{folder}") == ["c.MOV", "b.mkv", "a.mp4"]


def test_comma_in_a_name(folder):
    (folder / "one, two.mp4").write_bytes(b"x")
    assert names(folder / "one, two.mp4") == ["one, two.mp4"]


def test_missing_videos_raise(folder):
    for text, message in [
        (
            folder / "gone.mp4",
            "gone.mp4: no such file or folder; expected a video or a folder of videos",
        ),
        (folder / "*.avi", r"\*.avi: no file or folder matches this pattern"),
        (f"{folder}/*/", "expected videos, but the pattern matches only folders"),
    ]:
        with pytest.raises(FileNotFoundError, match=message):
            find_videos(str(text))
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: expected videos .* got none"):
        find_videos(str(folder / "empty"))
    with pytest.raises(ValueError, match="got an empty name"):
        find_videos(" , ")


def test_shared_names_raise(folder):
    (folder / "sub" / "a.avi").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"a.avi: expected distinct names, got that of .*a.mp4"):
        find_videos(str(folder))
