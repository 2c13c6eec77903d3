import numpy as np
import pytest
from golden_files import arrays, assert_close, generator_names, golden_generator, numbers

from anime_tf.models.animegan_v1 import Downsample

# Rounding through 8 residual blocks: in double precision the network is 3.8e-5 from the golden, in
# single precision 2.6e-5 to 4.2e-5, by the instruction set (SSE 4.1, AVX2, AVX-512). A wrong norm
# epsilon is off by 1e-3 and more.
PARITY = 6e-5
PARITY_ON_AVERAGE = 5e-6


@pytest.fixture(scope="module")
def generator():
    return golden_generator("animegan_v1")


@pytest.mark.parametrize("i", [0, 1])
def test_equals_the_original(generator, i):
    golden = arrays("animegan_v1_generator")
    output = np.asarray(generator(golden[f"input_{i}"]))
    assert_close(output, golden[f"output_{i}"], atol=PARITY)
    assert np.abs(output - golden[f"output_{i}"]).mean() < PARITY_ON_AVERAGE


def test_variables_are_the_originals(generator):
    names = generator_names(generator)
    shapes = {names[w.path]: list(w.shape) for w in generator.weights}
    assert shapes == numbers("animegan_v1_generator_variables")
    assert generator.count_params() == 3_956_096


def test_downsampling_adds_its_two_ways():
    down = Downsample(4)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 6, 8, 3)).astype(np.float32)
    y = down(x)
    assert y.shape == (1, 3, 4, 4)
    assert_close(y, np.asarray(down.strided(x)) + np.asarray(down.resized(x[:, ::2, ::2])))
