import json

import pytest

from anime_tf.io.folders import dataset_folders, find_pictures, list_folder


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_find_pictures_sorts_and_ignores_case(tmp_path):
    touch(tmp_path, "b.PNG", "a.jpg", "sub/c.Jpeg", "d.webp", "e.gif", "f.bmp", "a/z.png")
    touch(tmp_path, "notes.txt", ".hidden.png", ".cache/g.png", "thumbs.db", "png")
    found = ["a.jpg", "a/z.png", "b.PNG", "d.webp", "e.gif", "f.bmp", "sub/c.Jpeg"]
    assert names(find_pictures(tmp_path), tmp_path) == found
    flat = ["a.jpg", "b.PNG", "d.webp", "e.gif", "f.bmp"]
    assert names(find_pictures(str(tmp_path), recursive=False), tmp_path) == flat


def test_unreadable_files_are_listed_and_others_counted(tmp_path, caplog):
    touch(tmp_path, "a.jpg", "in/b.psd", "c.mov", "notes.txt", ".hidden.png", "in/d.heic")
    listing = list_folder(tmp_path)
    assert names(listing.pictures, tmp_path) == ["a.jpg", "in/d.heic"]
    assert names(listing.unreadable, tmp_path) == ["c.mov", "in/b.psd"]
    assert listing.ignored == 2
    find_pictures(tmp_path)
    assert "c.mov: skipped, a video; stylize it with: anime-tf video" in caplog.text
    assert "b.psd: skipped, a Photoshop picture" in caplog.text


def test_links_to_folders_are_followed_once(tmp_path):
    touch(tmp_path, "out/a.jpg", "in/b.jpg")
    (tmp_path / "in/out").symlink_to(tmp_path / "out")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "out/loop").symlink_to(tmp_path / "out")
    assert names(list_folder(tmp_path / "in").pictures, tmp_path) == ["in/b.jpg", "in/out/a.jpg"]


def test_missing_and_empty_folders_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone: no such file or folder; expected a folder"):
        find_pictures(tmp_path / "gone")
    touch(tmp_path, "video.mkv")
    with pytest.raises(FileNotFoundError, match=r"expected pictures \(.jpg, .* got none"):
        find_pictures(tmp_path)
    with pytest.raises(FileNotFoundError, match="video.mkv: .* got a file"):
        find_pictures(tmp_path / "video.mkv")


@pytest.fixture
def dataset(tmp_path):
    touch(tmp_path, "train_photo/p2.jpg", "train_photo/in/p1.png")
    touch(tmp_path, "Ink/style/s1.jpg", "Ink/style/in/s2.png")
    touch(tmp_path, "Ink/smooth/s1.png", "Ink/smooth/in/s2.png", "Ink/smooth/more.png")
    return tmp_path


def test_counterparts_follow_the_order_of_pictures(dataset):
    touch(dataset, "Ink/paired/p2.png", "Ink/paired/in/p1.webp", "val/v.jpg")
    folders = dataset_folders(dataset, "Ink")
    assert names(folders.train_photo, dataset) == ["train_photo/in/p1.png", "train_photo/p2.jpg"]
    assert names(folders.paired, dataset) == ["Ink/paired/in/p1.webp", "Ink/paired/p2.png"]
    assert names(folders.style, dataset) == ["Ink/style/in/s2.png", "Ink/style/s1.jpg"]
    assert names(folders.smooth, dataset) == ["Ink/smooth/in/s2.png", "Ink/smooth/s1.png"]
    assert names(folders.val, dataset) == ["val/v.jpg"]


def test_optional_folders_may_be_missing(dataset):
    folders = dataset_folders(dataset, "Ink")
    assert folders.val == ()
    assert folders.paired is None
    touch(dataset, "val/README.txt")
    assert dataset_folders(dataset, "Ink", need_smooth=False).val == ()
    assert dataset_folders(dataset, "Ink", need_smooth=False).smooth == ()


def test_unreadable_files_of_a_data_set(dataset):
    touch(dataset, "train_photo/raw.cr2", "Ink/style/in/clip.mp4", "Ink/smooth/smooth.json")
    unreadable = dataset_folders(dataset, "Ink").unreadable
    assert names(unreadable, dataset) == ["train_photo/raw.cr2", "Ink/style/in/clip.mp4"]


def test_missing_folder_error_describes_the_layout(dataset):
    with pytest.raises(FileNotFoundError) as raised:
        dataset_folders(dataset, "Oil")
    message = str(raised.value)
    for part in (
        "Oil/style: no such file or folder; expected a folder",
        "train_photo: photos",
        "dataset smooth",
        "val",
    ):
        assert part in message.replace(str(dataset) + "/", "")
    with pytest.raises(
        FileNotFoundError, match="paired: no such file or folder; expected a folder"
    ):
        dataset_folders(dataset, "Ink", need_paired=True)


def test_missing_counterpart_error_names_it_and_the_remedy(dataset):
    touch(dataset, "Ink/style/new.png")
    with pytest.raises(FileNotFoundError, match=r"new.png: .*smooth --style_dir=.*--overwrite"):
        dataset_folders(dataset, "Ink")
    touch(dataset, "Ink/paired/p2.png")
    with pytest.raises(FileNotFoundError, match=r"p1.png: expected a picture of the same name"):
        dataset_folders(dataset, "Ink", need_smooth=False)


def test_style_pictures_skipped_by_smoothing_are_skipped(dataset, caplog):
    touch(dataset, "Ink/style/in/broken.jpg")
    record = {"skipped": {"in/broken.jpg": "broken"}}
    (dataset / "Ink/smooth/smooth.json").write_text(json.dumps(record))
    folders = dataset_folders(dataset, "Ink")
    assert names(folders.style, dataset) == ["Ink/style/in/s2.png", "Ink/style/s1.jpg"]
    assert len(folders.smooth) == 2
    assert "broken.jpg: skipped" in caplog.text


def test_names_that_differ_only_in_suffix_raise(dataset):
    touch(dataset, "Ink/style/s1.png")
    with pytest.raises(ValueError, match="s1.png: expected distinct names .*s1.jpg.*rename"):
        dataset_folders(dataset, "Ink")
    dataset_folders(dataset, "Ink", need_smooth=False)  # no counterparts, no matter
