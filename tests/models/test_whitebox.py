import numpy as np
import pytest
from golden_files import arrays, assert_close, numbers
from golden_recipe import value

from anime_tf.conversion.tf1 import TABLES
from anime_tf.models.whitebox import WhiteboxGenerator

RAW = 1e-5  # outputs up to 1.7 in float32
FILTERED = 2e-5  # a variance as a difference, over 0.005


@pytest.fixture(scope="module")
def model():
    model = WhiteboxGenerator()
    sources = TABLES["whitebox"].sources
    for weight in model.weights:
        source = sources[weight.path.split("/", 1)[1]]
        weight.assign(source.transform(value(source.name, tuple(weight.shape))))
    return model


@pytest.mark.parametrize("i", [1, 2])
def test_equals_the_original_graph(model, i):
    """The original works on BGR; the second picture is a batch with sides of 4 x 11 and 4 x 15."""
    golden = arrays("whitebox_generator")
    photo = golden[f"input_{i}"][..., ::-1]
    assert_close(model.raw(photo), golden[f"raw_{i}"][..., ::-1], atol=RAW)
    expected = golden[f"output_{i}"][..., ::-1]
    assert_close(model(photo, training=True), expected, atol=FILTERED)
    assert_close(model(photo), np.clip(expected, -1, 1), atol=FILTERED)


def test_weights_have_the_published_names_and_number(model):
    assert model.count_params() == 1_467_075
    assert TABLES["whitebox"].names == set(numbers("whitebox_generator_variables"))


def test_the_filter_sees_a_float32_photo():
    """In bfloat16 the variances of a 3x3 window would be mere rounding."""
    model = WhiteboxGenerator(width=2, dtype="mixed_bfloat16")
    for weight in model.x4[1].weights:
        weight.assign(np.zeros(weight.shape))
    model.x4[1].bias.assign([0.3, 0.1, -0.2])
    photo = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    expected = np.broadcast_to(np.float32([0.3, 0.1, -0.2]), photo.shape)
    assert_close(model(photo), expected, atol=2.0**-9)
