"""Archives of generators: round trips, precisions, and what is refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from tolerances import HALF_UNIT, network_rounding

from anime_tf import styles
from anime_tf.models.archive import load_generator, save_generator
from anime_tf.models.registry import GENERATORS

WIDTH = 4  # an eighth of the published channels: the same layers, quick to make
LAYERS = 30  # convolutions of animegan_v2


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(1)
    model = GENERATORS["animegan_v2"](width=WIDTH)
    random = np.random.default_rng(2)
    for weight in model.weights:  # biases and norms too must not be at their trivial values
        weight.assign(weight + random.normal(0, 0.05, weight.shape))
    return model


@pytest.fixture
def archive(generator, tmp_path) -> Path:
    path = tmp_path / "style.keras"
    save_generator(generator, path)
    return path


def pictures(n=2, height=32, width=48):
    return np.random.default_rng(3).uniform(-1, 1, (n, height, width, 3)).astype(np.float32)


def test_round_trip_gives_the_same_numbers_in_every_size(generator, archive):
    loaded = load_generator(archive)
    assert type(loaded) is type(generator)
    assert loaded.width == WIDTH
    for x in (pictures(), pictures(1, 16, 20), pictures(3, 64, 16)):
        np.testing.assert_array_equal(loaded(x), generator(x))


def test_saving_leaves_only_the_archive_and_replaces_an_old_one(generator, tmp_path):
    path = tmp_path / "new folder" / "style.keras"
    for _ in range(2):
        save_generator(generator, path)
        assert [file.name for file in path.parent.iterdir()] == ["style.keras"]


def test_plain_keras_reads_an_archive(generator, archive):
    loaded = keras.saving.load_model(archive)
    x = pictures()
    np.testing.assert_array_equal(loaded(x), generator(x))


def test_float16_storage_halves_the_file_and_loads_as_float32(generator, archive, tmp_path):
    small = tmp_path / "small.keras"
    save_generator(generator, small, storage="float16")

    def stored(path):
        with zipfile.ZipFile(path) as opened:
            return opened.getinfo("model.weights.h5").file_size

    # HDF5's own tables weigh as much in both, which at this width is most of the file.
    saved = stored(archive) - stored(small)
    assert saved == 2 * generator.count_params()

    loaded = load_generator(small)
    assert loaded.dtype_policy.name == "float32"
    for ours, theirs in zip(loaded.weights, generator.weights, strict=True):
        assert ours.dtype == "float32"
        np.testing.assert_allclose(ours, theirs, rtol=HALF_UNIT["float16"], atol=1e-7)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_precision_is_chosen_on_loading(generator, archive, tmp_path, precision):
    mixed = load_generator(archive, precision=precision)
    assert mixed.dtype_policy.name == precision
    assert mixed.A[0].compute_dtype == precision.removeprefix("mixed_")
    x = pictures()
    tolerance = network_rounding(LAYERS, terms=9 * WIDTH, dtype=mixed.A[0].compute_dtype)
    np.testing.assert_allclose(mixed(x), generator(x), atol=tolerance)
    assert mixed(x).dtype == "float32"

    again = tmp_path / "again.keras"
    save_generator(mixed, again)
    np.testing.assert_array_equal(load_generator(again)(x), generator(x))


def test_unknown_precision_and_storage(generator, archive, tmp_path):
    with pytest.raises(ValueError, match="float17"):
        load_generator(archive, precision="float17")
    with pytest.raises(ValueError, match="of float32, float16, got 'int8'"):
        save_generator(generator, tmp_path / "x.keras", storage="int8")


def test_only_generators_are_saved_and_only_as_keras(generator, tmp_path):
    with pytest.raises(ValueError, match="expected a generator .*animegan_v2.* got Sequential"):
        save_generator(keras.Sequential(), tmp_path / "x.keras")
    with pytest.raises(ValueError, match="ends in .keras, got"):
        save_generator(generator, tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


def test_weights_too_large_for_float16(tmp_path):
    model = GENERATORS["animegan_v2"](width=1)
    model.out_layer.kernel.assign(model.out_layer.kernel * 0 + 1e6)
    with pytest.raises(ValueError, match=r"1e\+06 does not fit float16"):
        save_generator(model, tmp_path / "x.keras", storage="float16")
    assert not list(tmp_path.iterdir())


def test_an_output_that_cannot_be_written_is_named(generator, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    target = tmp_path / "file" / "x.keras"
    with pytest.raises(OSError) as caught:
        save_generator(generator, target)
    assert caught.value.filename == str(target)
    folder = tmp_path / "folder.keras"
    folder.mkdir()
    with pytest.raises(OSError) as caught:
        save_generator(generator, folder)
    assert caught.value.filename == str(folder)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.keras"]


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none.keras: no such file or folder; expected a .keras archive"
    ):
        load_generator(tmp_path / "none.keras")
    with pytest.raises(ValueError, match="got a folder"):
        load_generator(tmp_path)


def test_the_name_of_a_style_names_what_loads_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        load_generator("cel_live")
    assert 'use Stylizer("cel_live"), or the path' in str(caught.value)
    code = str(caught.value).rpartition("the path ")[2]
    assert code == 'anime_tf.styles.show("cel_live").path'
    assert load_generator(styles.show("cel_live").path).name


def test_other_files_are_refused_in_one_line(archive, tmp_path):
    whole = archive.read_bytes()
    middle = len(whole) // 2
    for content, words in (
        (b"", "got an empty file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "got another kind of file"),
        (whole[:-30], "incomplete or damaged"),
        (whole[:middle], "incomplete or damaged"),
        (whole[:10], "incomplete or damaged"),
        (whole[:middle] + b"DAMAGE!!" + whole[middle + 8 :], "incomplete or damaged"),
    ):
        path = tmp_path / "bad.keras"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=words) as caught:
            load_generator(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def rewrite(source: Path, target: Path, **parts: bytes | None) -> Path:
    """Copies an archive with some parts exchanged (name with `_` for `.`), or left out (None)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = parts.get(name.replace(".", "_"), old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def test_a_zip_that_is_no_archive_of_ours(archive, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        config = json.loads(opened.read("config.json"))
    bad = tmp_path / "bad.keras"

    def expect(words, **parts):
        with pytest.raises(ValueError, match=words) as caught:
            load_generator(rewrite(archive, bad, **parts))
        assert str(caught.value).startswith(f"{bad}: ")
        assert "\n" not in str(caught.value)

    expect("without model.weights.h5", model_weights_h5=None)
    expect("not JSON", config_json=b"{")
    expect("got no model", config_json=b"[]")
    other = {**config, "class_name": "Functional", "registered_name": "Functional"}
    expect("expected a generator .* got Functional", config_json=json.dumps(other).encode())
    unknown = {**config, "config": {**config["config"], "colour": "red"}}
    expect("config does not fit AnimeGANv2Generator", config_json=json.dumps(unknown).encode())
    wider = {**config, "config": {**config["config"], "width": WIDTH + 1}}
    expect("weights do not fit AnimeGANv2Generator", config_json=json.dumps(wider).encode())
    expect("weights do not fit AnimeGANv2Generator", model_weights_h5=b"not HDF5")
    vast = {**config, "config": {**config["config"], "width": 10**6}}
    expect("expected a width for .* weights, got 1000000", config_json=json.dumps(vast).encode())
    expect("config.json of at most", config_json=bytes(2**20 + 1))


def test_code_in_an_archive_is_never_run(archive, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        config = json.loads(opened.read("config.json"))
    config["config"]["width"] = {
        "class_name": "__lambda__",
        "config": {"value": "4wEAAAAAAAAA"},
    }
    bad = rewrite(archive, tmp_path / "bad.keras", config_json=json.dumps(config).encode())
    with pytest.raises(ValueError, match="config does not fit"):
        load_generator(bad)
