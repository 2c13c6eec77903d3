import shutil

import numpy as np
import pytest
from PIL import Image
from small_videos import moving, write_video

from anime_tf.io.marks import MARK, SOFTWARE, check_replaceable, is_foreign
from anime_tf.io.pictures import WRITABLE_SUFFIXES, read_array, write_picture
from anime_tf.io.video.open import open_reader, open_writer

ARRAY = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.mark.parametrize("suffix", WRITABLE_SUFFIXES)
def test_written_pictures_carry_the_mark(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    write_picture(path, ARRAY)
    assert not is_foreign(path)
    with Image.open(path) as image:
        image.load()
        assert image.getexif().get(SOFTWARE) == (None if suffix == ".bmp" else MARK)
    if suffix in (".png", ".bmp", ".tif"):
        np.testing.assert_array_equal(read_array(path), ARRAY)
    Image.fromarray(ARRAY).save(path)
    assert is_foreign(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif", ".webp"])
def test_written_videos_carry_the_mark(suffix, tmp_path):
    source, path = tmp_path / "source.mp4", tmp_path / f"a{suffix}"
    write_video(source, moving(3))
    shutil.copy(source, path)
    assert is_foreign(path)
    with open_reader(source) as reader, open_writer(path, reader) as writer:
        for frame in reader.frames():
            writer.write_frame(frame)
    assert not is_foreign(path)
    with open_reader(path) as reader:
        assert len(list(reader.frames())) == 3


def test_only_pictures_and_videos_of_others_are_kept(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    paths = [tmp_path / name for name in ("empty.png", "text.jpg", "missing.jpg", "folder.jpg")]
    paths[-1].mkdir()
    check_replaceable(paths)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(ARRAY).save(tmp_path / name)
        paths.append(tmp_path / name)
    with pytest.raises(FileExistsError, match=r"a.jpg \(and 1 more\): expected a new output"):
        check_replaceable(paths)
