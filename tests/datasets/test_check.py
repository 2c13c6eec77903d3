import json

import numpy as np
import pytest
from video_scenes import blurred, scene, with_dot

from anime_tf.cli import app
from anime_tf.cli.dataset import COMMAND
from anime_tf.datasets.check import check_dataset, measure_picture
from anime_tf.datasets.edge_smooth import smooth_folder
from anime_tf.io.pictures import write_picture

# Lab of one color from its definition; float32 and 8-bit colors round by less than this.
LAB_STEP = 0.1


def warm(picture):
    return (picture * np.array([1.0, 0.75, 0.35])).astype(np.uint8)


@pytest.fixture
def root(tmp_path):
    photos, style = tmp_path / "train_photo", tmp_path / "Ink" / "style"
    for folder, numbers in ((photos, range(6)), (style, range(10, 15))):
        folder.mkdir(parents=True)
        for i in numbers:
            write_picture(folder / f"{i:02d}.png", scene(i, 64, 80))
    smooth_folder(style, tmp_path / "Ink" / "smooth", (32, 32))
    return tmp_path


def check(root, **options):
    return check_dataset(root, "Ink", **{"image_size": 32, **options})


def test_a_data_set_without_problems(root):
    report = check(root)
    assert report.problems == ()
    assert report.remarks == ()
    assert report.text().splitlines()[-1] == "ready for training"
    folders = report.facts["folders"]
    assert [folders[k]["pictures"] for k in ("photos", "style", "smooth", "val")] == [6, 5, 5, 0]
    assert folders["photos"]["size_hw"] == {"min": (64, 80), "median": (64, 80), "max": (64, 80)}
    assert "style: 5 pictures, 80x64 (" in report.text()
    assert 0 < report.facts["smooth_disk"]["image_size"] < 5 * 32 * 32 * 3 * 2
    assert report.facts["smooth_disk"]["free"] > 0


def test_measurements_of_a_color(tmp_path):
    write_picture(tmp_path / "red.png", np.full((70, 90, 3), (255, 0, 0), np.uint8))
    facts = measure_picture(tmp_path / "red.png")
    assert facts.rgb == (255, 0, 0)
    # sRGB red in CIE Lab, D65
    np.testing.assert_allclose(facts.lab, (53.24, 80.09, 67.20), atol=LAB_STEP)
    assert facts.chroma == pytest.approx(np.hypot(80.09, 67.20), abs=LAB_STEP)
    assert facts.fault == "near-blank"


def test_unreadable_pictures_are_problems(root):
    (root / "train_photo" / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    (root / "Ink" / "style" / "10.png").write_bytes(b"")
    problems = check(root).problems
    assert len(problems) == 2
    assert "bad.jpg: broken JPEG" in problems[0]
    assert "10.png: expected a JPEG" in problems[1]


def test_missing_unequal_and_unused_smooth_pictures(root):
    smooth = root / "Ink" / "smooth"
    (smooth / "11.png").unlink()
    write_picture(smooth / "12.png", scene(0, 16, 16))
    write_picture(smooth / "99.png", scene(0, 32, 32))
    report = check(root)
    missing, odd = report.problems
    assert missing.startswith(f"1 without a picture in {smooth} (make it again")
    assert missing.endswith("11.png")
    assert odd.startswith(f"1 of another size than their counterpart in {smooth}: ")
    assert odd.endswith("12.png")
    assert "99.png" in report.remarks[0]


def test_names_that_differ_only_in_the_suffix(root):
    write_picture(root / "Ink" / "style" / "10.jpg", scene(20, 64, 80))
    assert any("10.png: expected distinct names" in line for line in check(root).problems)


def test_duplicates(root):
    photos, style = root / "train_photo", root / "Ink" / "style"
    write_picture(photos / "00.bmp", scene(0, 64, 80))  # the same pixels in another format
    write_picture(photos / "09.png", with_dot(scene(1, 64, 80), 40))
    write_picture(photos / "10.png", scene(10, 64, 80))
    report = check(root)
    duplicates = report.facts["duplicates"]
    assert duplicates["photos, exact"] == [[str(photos / "00.bmp"), str(photos / "00.png")]]
    assert duplicates["photos, near"] == [[str(photos / "01.png"), str(photos / "09.png")]]
    both = [[str(photos / "10.png"), str(style / "10.png")]]
    assert duplicates["style and photos, exact"] == both
    assert duplicates["style, exact"] == duplicates["style, near"] == []
    assert len(report.remarks) == 3
    assert "the same picture in style and photos, 1 time: " in report.remarks[2]


def test_small_blurred_and_gray_pictures_are_reported(root):
    photos = root / "train_photo"
    write_picture(photos / "small.png", scene(30, 20, 80))
    write_picture(photos / "soft.png", blurred(scene(31, 300, 300)))
    gray = scene(32, 64, 80)[..., :1].repeat(3, axis=2)
    write_picture(photos / "gray.png", gray)
    remarks = "\n".join(check(root).remarks)
    assert "1 smaller than 32 pixels, enlarged in training: " in remarks
    assert "1 blurred: " in remarks
    assert "1 gray (mean chroma under 4): " in remarks


def test_a_color_cast_is_reported(root):
    for path in (root / "Ink" / "style").iterdir():
        write_picture(path, warm(scene(int(path.stem), 64, 80)))
    report = check(root)
    (remark,) = report.remarks
    assert "color cast: the style differs by " in remark
    assert "yellow" in remark
    assert report.facts["color"]["cast"] >= 8


def test_missing_folders(root, tmp_path):
    report = check_dataset(root, "Oil")
    assert f"{root / 'Oil' / 'style'}: no pictures" in report.problems
    with pytest.raises(FileNotFoundError, match="expected photos in .* got neither"):
        check_dataset(tmp_path / "gone", "Ink")
    with pytest.raises(ValueError, match="expected an image_size of at least 1"):
        check(root, image_size=0)


def test_paired_pictures(root):
    paired = root / "Ink" / "paired"
    paired.mkdir()
    write_picture(paired / "00.png", scene(0, 64, 80))
    (problem,) = check(root).problems
    assert problem.startswith(f"5 without a picture in {paired} (add it): ")


def test_command_line(root, capfd, tmp_path):
    arguments = ["check", f"--dataset_dir={root}", "--style=Ink", "--image_size=32"]
    target = tmp_path / "report.json"
    assert app.run(COMMAND, [*arguments, f"--json={target}"]) == 0
    shown = capfd.readouterr()
    assert shown.out.startswith("photos: 6 pictures, 80x64 (")
    assert shown.err == ""
    assert json.loads(target.read_text())["folders"]["style"]["pictures"] == 5
    (root / "train_photo" / "bad.jpg").write_bytes(b"")
    assert app.run(COMMAND, arguments) == 1
    shown = capfd.readouterr()
    assert "problem: unreadable: " in shown.out
    assert "bad.jpg" in shown.err
    assert app.run(COMMAND, ["check", f"--dataset_dir={root / 'val'}", "--style=Ink"]) == 2
