import pytest
from golden_files import arrays, assert_close
from golden_recipe import value

from anime_tf.models.cartoongan import CartoonGANGenerator

# The golden was computed in double precision by PyTorch's convolutions, transposed convolutions and
# instance norm, from the description of the network and the recipe's weights.
PARITY = 2e-5


@pytest.mark.parametrize("i", [0, 1])
def test_equals_another_implementation(i):
    golden = arrays("cartoongan_generator")
    model = CartoonGANGenerator(width=8)
    for weight in model.weights:
        weight.assign(value(weight.path.split("/", 1)[1], tuple(weight.shape)))
    assert_close(model(golden[f"input_{i}"]), golden[f"output_{i}"], atol=PARITY)


def test_weights_have_the_published_names_and_number():
    model = CartoonGANGenerator()
    assert model.count_params() == 11_129_667
    blocks = {w.path.split("/")[1] for w in model.weights}
    numbers = ["01_1", "02_1", "02_2", "03_1", "03_2"]
    residuals = [f"{i:02}_{j}" for i in range(4, 12) for j in (1, 2)]
    convs = {f"conv{n}" for n in numbers + residuals}
    deconvs = {f"deconv{n}" for n in ("01_1", "01_2", "02_1", "02_2", "03_1")}
    norms = {f"in{n}" for n in ["01_1", "02_1", "03_1", "12_1", "13_1", *residuals]}
    assert blocks == convs | deconvs | norms
