import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from full_disk import file_size_limit

from anime_tf.datasets.edge_smooth import smooth_edges, smooth_folder
from anime_tf.io.folders import dataset_folders
from anime_tf.io.geometry import resize
from anime_tf.io.pictures import read_picture, write_picture

GOLDEN = Path(__file__).parents[1] / "golden"


def drawing(seed=0, size=48):
    picture = np.full((size, size, 3), 220, np.uint8)
    random = np.random.RandomState(seed)
    for _ in range(4):
        x, y, radius = (int(v) for v in random.randint(8, size - 8, 3))
        color = tuple(int(v) for v in random.randint(0, 160, 3))
        cv2.circle(picture, (x, y), radius // 3 + 2, color, -1)
    return picture


def test_equal_to_the_originals_bit_for_bit():
    golden = np.load(GOLDEN / "edge_smooth.npz")
    got = smooth_edges(golden["input_bgr"][..., ::-1], (256, 256))
    np.testing.assert_array_equal(got, golden["output_bgr"][..., ::-1])


def test_a_step_edge_by_hand():
    step = np.zeros((12, 20, 3), np.uint8)
    step[:, 10:] = 160
    # the kernel is (1, 4, 6, 4, 1) / 16: 160 times its sums from the right
    row = [0] * 8 + [10, 50, 110, 150] + [160] * 8
    got = smooth_edges(step, None)
    np.testing.assert_array_equal(got[..., 0], np.tile(row, (12, 1)))


def test_pixels_far_from_edges_stay():
    np.testing.assert_array_equal(smooth_edges(np.full((9, 9, 3), 77, np.uint8), None), 77)
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:, 20:] = (200, 30, 90)
    got = smooth_edges(picture, None)
    np.testing.assert_array_equal(got[:, :15], picture[:, :15])
    np.testing.assert_array_equal(got[:, 25:], picture[:, 25:])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (33, 7), (70, 65)])
def test_any_size(size):
    picture = np.random.RandomState(0).randint(0, 256, (*size, 3)).astype(np.uint8)
    assert smooth_edges(picture, None).shape == picture.shape
    assert smooth_edges(picture, (16, 24)).shape == (16, 24, 3)


def test_equal_to_a_loop_over_pixels():
    picture = drawing(3, 70)
    column = cv2.getGaussianKernel(5, 0)
    kernel = column * column.T
    padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)), "reflect")
    edges = cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 100, 200)
    near = cv2.dilate(edges, np.ones((5, 5), np.uint8))
    expected = picture.copy()
    for y, x in zip(*np.nonzero(near), strict=True):
        for channel in range(3):
            window = padded[y : y + 5, x : x + 5, channel]
            expected[y, x, channel] = np.sum(np.multiply(window, kernel))
    assert 100 < np.count_nonzero(near) < near.size  # else this shows nothing
    np.testing.assert_array_equal(smooth_edges(picture, None), expected)


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match="expected an RGB uint8 picture"):
        smooth_edges(np.zeros((4, 4), np.uint8), None)


@pytest.fixture
def style_dir(tmp_path):
    style = tmp_path / "Ink" / "style"
    (style / "in").mkdir(parents=True)
    write_picture(style / "a.png", drawing(1))
    write_picture(style / "in" / "b.bmp", drawing(2, 60))
    return style


def test_a_folder_at_full_size(style_dir):
    smooth = style_dir.with_name("smooth")
    report = smooth_folder(style_dir, smooth, None, workers=2)
    assert (report.folder, report.written, report.skipped) == (smooth, 2, {})
    files = {path.relative_to(smooth).as_posix() for path in smooth.rglob("*.*")}
    assert files == {"a.png", "in/b.png", "smooth.json"}
    expected = smooth_edges(read_picture(style_dir / "in" / "b.bmp").rgb_u8, None)
    np.testing.assert_array_equal(read_picture(smooth / "in" / "b.png").rgb_u8, expected)
    record = json.loads((smooth / "smooth.json").read_text())
    assert record == {"size_hw": None, "resampling": None, "pictures": 2, "skipped": {}}


def test_a_folder_at_the_training_size(style_dir, tmp_path):
    picture = read_picture(style_dir / "a.png").rgb_u8
    smooth_folder(style_dir, tmp_path / "area", (24, 32))
    # by default from the picture as training sees it
    expected = smooth_edges(resize(picture, (24, 32)), None)
    np.testing.assert_array_equal(read_picture(tmp_path / "area" / "a.png").rgb_u8, expected)
    smooth_folder(style_dir, tmp_path / "linear", (24, 32), resampling="linear")
    expected = smooth_edges(picture, (24, 32))
    np.testing.assert_array_equal(read_picture(tmp_path / "linear" / "a.png").rgb_u8, expected)


def test_broken_pictures_are_logged_and_skipped(style_dir, caplog):
    (style_dir / "in" / "cut.png").write_bytes((style_dir / "a.png").read_bytes()[:99])
    report = smooth_folder(style_dir, style_dir.with_name("smooth"), None)
    assert list(report.skipped) == ["in/cut.png"]
    assert "cut.png: broken PNG" in caplog.text
    (style_dir.parent.parent / "train_photo").symlink_to(style_dir)
    folders = dataset_folders(style_dir.parent.parent, "Ink")
    assert [path.name for path in folders.style] == ["a.png", "b.bmp"]
    assert [path.name for path in folders.smooth] == ["a.png", "b.png"]


def test_only_broken_pictures_are_an_error_and_leave_nothing(style_dir):
    for path in style_dir.rglob("*.*"):
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="expected readable pictures, got 2 unreadable"):
        smooth_folder(style_dir, style_dir.with_name("smooth"), None)
    assert [path.name for path in style_dir.parent.iterdir()] == ["style"]


def test_a_failure_leaves_no_folder(style_dir):
    with pytest.raises(OSError, match=r"\.png"), file_size_limit(100):
        smooth_folder(style_dir, style_dir.with_name("smooth"), None)
    assert [path.name for path in style_dir.parent.iterdir()] == ["style"]


def test_only_smooth_folders_are_overwritten(style_dir):
    smooth = style_dir.with_name("smooth")
    smooth.mkdir()  # empty folders count as missing
    smooth_folder(style_dir, smooth, None)
    with pytest.raises(FileExistsError, match="exists already"):
        smooth_folder(style_dir, smooth, None)
    (smooth / "old.png").touch()
    smooth_folder(style_dir, smooth, (16, 16), overwrite=True)
    assert not (smooth / "old.png").exists()
    assert read_picture(smooth / "a.png").size_hw == (16, 16)
    with pytest.raises(FileExistsError, match="got a folder without smooth.json"):
        smooth_folder(style_dir, style_dir, None, overwrite=True)
    assert (style_dir / "a.png").exists()


def test_arguments_out_of_range(style_dir, tmp_path):
    with pytest.raises(ValueError, match="resampling: expected one of area, linear"):
        smooth_folder(style_dir, tmp_path / "s", None, resampling="cubic")
    with pytest.raises(ValueError, match="expected a size of at least 1x1"):
        smooth_folder(style_dir, tmp_path / "s", (0, 16))
    with pytest.raises(FileNotFoundError, match="expected a folder of pictures"):
        smooth_folder(tmp_path / "gone", tmp_path / "s", None)
