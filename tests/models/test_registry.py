"""Properties of every generator of the registry."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from golden_files import assert_close

from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.models.archive import load_generator, save_generator
from anime_tf.models.registry import DISCRIMINATORS, GENERATORS
from anime_tf.training import config

ROUNDING = 1e-4  # another order of additions; leaks between samples are larger
MIXED = 0.1  # mean difference; bfloat16 keeps 8 bits, through up to 30 norms of random networks

every_generator = pytest.mark.parametrize("name", GENERATORS)


def photo(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@functools.cache
def small(name):
    return GENERATORS[name](width=2)


def test_one_network_per_file():
    assert {kind.__module__.rsplit(".", 1)[1] for kind in GENERATORS.values()} == set(GENERATORS)


@every_generator
def test_stride_and_minimum_side(name):
    kind = GENERATORS[name]
    side, stride = kind.MINIMUM_SIDE, kind.STRIDE
    assert side % stride == 0
    model = small(name)
    for shape in ((1, side, side, 3), (3, side + stride, side + 3 * stride, 3)):
        assert model(np.zeros(shape, np.float32)).shape == shape


@every_generator
def test_any_size_from_one_pixel_on(name):
    network = PaddedGenerator(small(name))
    for shape in ((1, 1, 1, 3), (2, 5, 1, 3), (1, 17, 30, 3)):
        y = network.pm1(tf.constant(photo(*shape)))["anime_pm1"].numpy()
        assert y.shape == shape
        assert np.isfinite(y).all()


@every_generator
def test_plain_keras_round_trip(name, tmp_path):
    model = GENERATORS[name](width=2, name="small")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert loaded.get_config() == model.get_config()
    for x in (photo(1, 32, 48, 3), photo(3, 48, 16, 3)):
        assert_close(loaded(x), model(x))


@pytest.fixture(scope="module")
def save(tmp_path_factory):
    """Function from a generator's name to a small one and its archive, made once."""

    @functools.cache
    def make(name):
        keras.utils.set_random_seed(3)
        model = GENERATORS[name](width=8)
        path = tmp_path_factory.mktemp("archive") / "model.keras"
        save_generator(model, path, storage="float32")
        return model, path

    return make


@every_generator
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_near_float32(save, name, policy):
    model, path = save(name)
    mixed = load_generator(path, precision=policy)
    assert {str(w.dtype) for w in mixed.weights} == {"float32"}
    x = photo(1, 32, 32, 3)
    y = mixed(x)
    assert y.dtype == "float32"
    assert np.abs(y - model(x)).mean() < MIXED


@every_generator
def test_samples_are_independent(name):
    model = small(name)
    x = photo(2, 32, 32, 3)
    assert_close(model(x)[1:], model(x[1:]), atol=ROUNDING)


@every_generator
def test_flat_pictures_are_finite(name):
    model = small(name)
    for level in (-1.0, 0.0, 1.0):
        assert np.isfinite(model(np.full((1, 32, 32, 3), level, np.float32))).all()


@every_generator
def test_width_is_checked(name):
    with pytest.raises(ValueError, match="expected a width of at least 1, got 0"):
        GENERATORS[name](width=0)


def test_settings_list_all_networks():
    assert set(GENERATORS) == set(config.MODELS)
    assert set(DISCRIMINATORS) == set(config.DISCRIMINATORS)


@pytest.mark.parametrize("name", DISCRIMINATORS)
@pytest.mark.parametrize("spectral_norm", [True, False])
def test_discriminators(name, spectral_norm, tmp_path):
    model = DISCRIMINATORS[name](width=8, depth=2, spectral_norm=spectral_norm)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    x = photo(2, 32, 48, 3)
    halvings = 2 if name == "animegan_v3" else 1
    assert model(x).shape == (2, 32 >> halvings, 48 >> halvings, 1)
    assert_close(loaded(x), model(x))
    biases = [w for w in model.weights if w.path.endswith("bias")]
    assert len(biases) == (5 if name == "cartoongan" else 0)


def test_norm_is_checked():
    with pytest.raises(ValueError, match="expected a norm of layer, instance, lade, got 'batch'"):
        DISCRIMINATORS["animegan_v2"](norm="batch")
