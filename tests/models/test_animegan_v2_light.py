import pytest
from golden_files import arrays, assert_close, generator_names, golden_generator, numbers

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
