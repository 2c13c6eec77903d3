import keras
import numpy as np
import pytest
from golden_files import arrays, assert_close, generator_names, golden_generator, numbers

from anime_tf.models.animegan_v2_light import AnimeGANv2LightGenerator

PARITY = 2e-5


@pytest.fixture(scope="module")
def generator():
    return golden_generator("animegan_v2_light")


def test_equals_the_original(generator):
    golden = arrays("animegan_v2_lite_generator")
    assert_close(generator(golden["input_0"]), golden["output_0"], atol=PARITY)


def test_variables_are_the_originals(generator):
    names = generator_names(generator)
    shapes = {names[w.path]: list(w.shape) for w in generator.weights}
    assert shapes == numbers("animegan_v2_lite_generator_variables")
    assert generator.count_params() == 698_240


def test_keras_archive_round_trip(tmp_path):
    model = AnimeGANv2LightGenerator(width=4, name="small")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    for shape in ((1, 32, 48, 3), (3, 24, 16, 3)):
        x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        assert_close(loaded(x), model(x))
        assert loaded(x).shape == shape


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_float32_pictures(policy):
    model = AnimeGANv2LightGenerator(width=4, dtype=policy)
    y = model(np.zeros((1, 16, 16, 3), np.float32))
    assert y.dtype == "float32"
    assert {str(w.dtype) for w in model.weights} == {"float32"}


def test_width_is_checked():
    with pytest.raises(ValueError, match="width must be at least 1, received 0"):
        AnimeGANv2LightGenerator(width=0)
