import pytest

from anime_tf.styles.builtin import BUILTIN
from anime_tf.styles.registry import weights_path
from anime_tf.web.styles import engine_for, find_styles


def test_given_weights_come_first(weights):
    names = [style.name for style in find_styles([str(weights)])]
    assert names == ["small", *BUILTIN]
    assert [style.name for style in find_styles([])] == list(BUILTIN)
    assert [style.name for style in find_styles(["cel", "cel"])] == list(BUILTIN)


def test_names_are_plain_and_unique(weights, tmp_path):
    paths = [tmp_path / "a" / "cel.keras", tmp_path / "b" / "cel.keras", tmp_path / "Ä ß.keras"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(weights.read_bytes())
    styles = find_styles([str(path) for path in paths])
    assert [style.name for style in styles] == ["cel-2", "cel-3", "style", *BUILTIN]
    assert styles[2].title == "Ä ß"
    assert styles[0].license_url is None and "unknown" in styles[0].license


def test_missing_weights():
    with pytest.raises(FileNotFoundError, match="nothing.keras: no such weights"):
        find_styles(["nothing.keras"])


def test_engine_of_built_in_styles(weights):
    own, built_in = find_styles([str(weights)])[:2]
    assert built_in.path == weights_path("cel")
    assert engine_for(own, "tflite") == "tflite"
    assert engine_for(built_in, "tflite") == "auto"
    assert engine_for(built_in, "keras") == "keras"
