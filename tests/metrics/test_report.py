import json

import cv2
import numpy as np
import pytest
from tolerances import FEW_ROUNDINGS

from anime_tf.cli import app
from anime_tf.cli.evaluate import COMMAND
from anime_tf.io import pictures
from anime_tf.io.geometry import resize
from anime_tf.metrics.descriptors import describe
from anime_tf.metrics.report import PictureSet, contact_sheet, evaluate, format_rows
from anime_tf.metrics.style import to_lab


def drawing(seed):
    random = np.random.default_rng(seed)
    picture = np.full((128, 192, 3), 200, np.uint8)
    for _ in range(20):
        center, radius = random.integers(0, 128, 2), int(random.integers(8, 40))
        color = [int(c) for c in random.integers(0, 256, 3)]
        cv2.circle(picture, [int(c) for c in center], radius, color, -1)
        cv2.circle(picture, [int(c) for c in center], radius, (20, 20, 20), 2)
    return picture


def photo(seed):
    """The same scene, blurred and grainy."""
    noise = np.random.default_rng(seed).normal(0, 10, (128, 192, 3))
    return np.clip(cv2.GaussianBlur(drawing(seed), (0, 0), 2) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def folders(tmp_path):
    for name in ("photos", "drawn", "between", "style"):
        (tmp_path / name).mkdir()
    for i in range(4):
        pictures.write_picture(tmp_path / "photos" / f"{i}.png", photo(i))
        pictures.write_picture(tmp_path / "drawn" / f"{i}.jpg", drawing(i))
        between = (photo(i).astype(int) + drawing(i)) // 2
        pictures.write_picture(tmp_path / "between" / f"{i}.png", between.astype(np.uint8))
        pictures.write_picture(tmp_path / "style" / f"{i}.png", drawing(100 + i))
    return tmp_path


def test_describe_returns_a_row_a_window():
    assert describe(to_lab(drawing(0))).shape == (2 * 3, 22)
    assert np.isfinite(describe(to_lab(np.zeros((64, 64, 3), np.uint8)))).all()
    with pytest.raises(ValueError, match="at least 64x64 pixels, got 200x63"):
        describe(to_lab(np.zeros((63, 200, 3), np.uint8)))


def test_metrics_rank_results_as_a_viewer_does(folders):
    photos = PictureSet.from_folder(folders / "photos", "photos")
    names = ("photos", "between", "drawn")
    results = [PictureSet.from_results(folders / name, folders / "photos") for name in names]
    rows = evaluate(photos, results, PictureSet.from_folder(folders / "style", "style"))
    assert [row["name"] for row in rows][0::4] == ["photos", "style"]
    same, between, drawn = rows[1:4]
    assert same["frechet"] > between["frechet"] > drawn["frechet"] > rows[-1]["frechet"]
    assert same["kernel"] > between["kernel"] > drawn["kernel"]
    assert same["structure"] == pytest.approx(1) and same["edges"] == 1
    assert between["structure"] > drawn["structure"]
    assert drawn["flat"] > between["flat"] >= same["flat"]
    shown = format_rows(rows).splitlines()
    assert len(shown) == 6 and shown[0].startswith("name") and " - " in shown[1]


def test_results_of_another_size_are_resized(folders):
    photos, style = (
        PictureSet.from_folder(folders / "photos"),
        PictureSet.from_folder(folders / "style"),
    )
    made = folders / "made"
    made.mkdir()
    for path in photos.paths:
        photo_u8 = pictures.read_picture(path).rgb_u8
        pictures.write_picture(made / path.name, resize(photo_u8, (96, 144)))
    _, smaller, same, _ = evaluate(photos, [PictureSet.from_folder(made), photos], style)
    assert same["edges"] == 1 > smaller["edges"] > 0.8
    assert 0.5 < smaller["structure"] < 1


def test_the_command(folders, capsys):
    (folders / "photos/raw.nef").write_bytes(b"MM\0*\0\0\0\x08")
    (folders / "style/notes.txt").write_text("other kinds are no failure")
    code = app.run(
        COMMAND,
        [
            f"--photos={folders / 'photos'}",
            f"--results={folders / 'drawn'},{folders / 'between'}",
            f"--style={folders / 'style'}",
            f"--json={folders / 'out.json'}",
            f"--sheet={folders / 'sheet.png'}",
            "--sheet_photos=3",
            "--sheet_side=96",
        ],
    )
    assert code == app.EXIT_SOME_FAILED
    told = capsys.readouterr()
    assert told.out.splitlines()[0].split()[:3] == ["name", "pictures", "flat"]
    assert told.err.count("raw.nef: skipped, a raw photo") == 1
    assert told.err.endswith("1 skipped file, named above\n")
    (folders / "photos/raw.nef").unlink()
    both = [f"--photos={folders / 'photos'}", f"--results={folders / 'drawn'}"]
    assert app.run(COMMAND, [*both, f"--targets={folders / 'drawn'}"]) == app.EXIT_DONE
    rows = json.loads((folders / "out.json").read_text())
    assert [row["pictures"] for row in rows] == [4, 4, 4, 4]
    assert pictures.read_picture(folders / "sheet.png").size_hw == (3 * 64, 3 * 96)


def test_a_contact_sheet_shows_the_first_and_last_photo(folders):
    photos = PictureSet.from_folder(folders / "photos")
    sheet = contact_sheet(photos, [photos], count=2, side=192)
    np.testing.assert_array_equal(sheet[:128, :192], photo(0))
    np.testing.assert_array_equal(sheet[128:, 192:], photo(3))


def test_a_photo_without_a_result(folders, capsys):
    (folders / "drawn" / "2.jpg").unlink()
    code = app.run(
        COMMAND,
        [
            f"--{key}={folders / value}"
            for key, value in (("photos", "photos"), ("results", "drawn"), ("style", "style"))
        ],
    )
    assert code == app.EXIT_NOTHING_DONE
    error = capsys.readouterr().err
    assert str(folders / "drawn" / "2") in error and "stylize" in error


def test_network_metrics(folders):
    from anime_tf.metrics.networks import make_perceptual_distance
    from anime_tf.metrics.report import NetworkMetrics

    photos = PictureSet.from_folder(folders / "photos")
    networks = NetworkMetrics(
        inception=lambda picture: picture.mean(axis=(0, 1))[None],
        perceptual=make_perceptual_distance("random"),
    )
    rows = evaluate(
        photos,
        [photos, PictureSet.from_results(folders / "drawn", folders / "photos")],
        PictureSet.from_folder(folders / "style"),
        networks,
    )
    assert (
        rows[1]["perceptual"] == pytest.approx(0, abs=FEW_ROUNDINGS)
        and rows[2]["perceptual"] > 0.01
    )
    assert rows[-1]["fid_inception"] == pytest.approx(0, abs=FEW_ROUNDINGS)


def test_inception_without_its_weights(tmp_path):
    from anime_tf.metrics.networks import make_inception_features

    with pytest.raises(FileNotFoundError, match="InceptionV3's weights cannot be read"):
        make_inception_features(str(tmp_path / "missing.h5"))
