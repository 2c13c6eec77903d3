import numpy as np
import pytest
from golden_files import arrays, assert_close, generator_names, golden_generator, numbers

from anime_tf.models.animegan_v2 import AnimeGANv2Generator

# Rounding through 30 layers; a wrong norm epsilon or resize is off by 1e-3 and more.
PARITY = 2e-5
# bfloat16 keeps 8 bits: a few grey levels of 255 after 30 layers of layer norm.
BFLOAT16, FLOAT16 = 0.15, 0.02


@pytest.fixture(scope="module")
def generator():
    return golden_generator()


@pytest.mark.parametrize("i", [0, 1, 2])
def test_equals_the_original(generator, i):
    golden = arrays("animegan_v2_generator")
    output = np.asarray(generator(golden[f"input_{i}"].astype(np.float32)))
    if i == 0:
        output = output[:, ::4, ::4]
    assert_close(output, golden[f"output_{i}"], atol=PARITY)


def test_variables_are_the_originals(generator):
    names = generator_names(generator)
    shapes = {names[w.path]: list(w.shape) for w in generator.weights}
    assert shapes == numbers("animegan_v2_generator_variables")
    assert generator.count_params() == 2_143_552


def test_any_batch_and_size():
    model = AnimeGANv2Generator(width=2)
    for shape, expected in {
        (1, 16, 16, 3): (1, 16, 16, 3),
        (3, 36, 52, 3): (3, 36, 52, 3),
        (1, 33, 47, 3): (1, 32, 44, 3),  # rounded down to the stride, as the original does
    }.items():
        assert model(np.zeros(shape, np.float32)).shape == expected


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", BFLOAT16), ("mixed_float16", FLOAT16)]
)
def test_mixed_precision_is_near_float32(generator, policy, tolerance):
    mixed = golden_generator(dtype=policy)
    assert mixed.A[0].compute_dtype == policy.removeprefix("mixed_")
    assert {str(w.dtype) for w in mixed.weights} == {"float32"}
    x = arrays("animegan_v2_generator")["input_1"]
    y = mixed(x)
    assert y.dtype == "float32"
    assert np.abs(y - generator(x)).mean() < tolerance
