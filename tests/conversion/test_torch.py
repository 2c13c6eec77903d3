"""PyTorch weights: parity and strictness of the conversion."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from golden_files import arrays, assert_close, numbers
from golden_recipe import value as cartoongan_value
from torch_files import value, write_state_dict

from anime_tf.conversion.config import UPSAMPLINGS
from anime_tf.conversion.name_table import fill
from anime_tf.conversion.torch import TABLES, convert_folder, convert_torch
from anime_tf.conversion.verify import picture
from anime_tf.models.registry import GENERATORS

PARITY = 2e-5  # a wrong upsampling is off by 0.3, a wrong epsilon by 1e-3 and more

need_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"
)


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
    shapes = numbers("animegan2_pytorch_variables")
    return {name: value(name, shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def file(state, tmp_path_factory) -> Path:
    return write_state_dict(tmp_path_factory.mktemp("torch") / "animegan2.pt", state)


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_animegan2_pytorch_equals_pytorch(file, upsampling):
    """PyTorch 2.13 made the golden from the port's public layout."""
    golden = arrays("animegan2_pytorch")
    conversion = convert_torch(file, upsampling=upsampling)
    assert conversion.name == "animegan_v2"
    assert conversion.model.get_config()["upsampling"] == upsampling
    for i in (0, 1):
        assert_close(
            conversion.model(golden[f"input_{i}"]), golden[f"{upsampling}_{i}"], atol=PARITY
        )


def test_tables_hold_every_weight_once():
    for name, table in TABLES.items():
        model = GENERATORS[name](width=2)
        assert {w.path.partition("/")[2] for w in model.weights} == set(table.sources)
        assert len({source.name for source in table.sources.values()}) == len(table.sources)


def cartoongan_arrays(width: int) -> dict[str, np.ndarray]:
    """Export our weights under the published names and layout: transposed kernels, BGR."""
    result = {}
    for weight in GENERATORS["cartoongan"](width=width).weights:
        _, block, leaf = weight.path.split("/")
        array = cartoongan_value(f"{block}/{leaf}", tuple(weight.shape))
        if block == "conv01_1" and leaf == "kernel":
            array = array[:, :, ::-1]
        if block == "deconv03_1":
            array = array[..., ::-1]
        names = {"kernel": "weight", "bias": "bias", "gamma": "scale", "beta": "shift"}
        result[f"{block}.{names[leaf]}"] = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
    return result


def test_cartoongan_works_on_rgb():
    model, theirs = GENERATORS["cartoongan"](width=8), cartoongan_arrays(8)
    shapes = {name: array.shape for name, array in theirs.items()}
    weights = {w.path.partition("/")[2]: w for w in model.weights}
    table = TABLES["cartoongan"]
    fill(weights, table, shapes, theirs.__getitem__, source="x", target="cartoongan")
    golden = arrays("cartoongan_generator")
    for i in (0, 1):
        assert_close(model(golden[f"input_{i}"]), golden[f"output_{i}"], atol=PARITY)


def test_cartoongan_from_arrays_and_from_a_state_dict(tmp_path):
    theirs = {n: np.ascontiguousarray(a) for n, a in cartoongan_arrays(64).items()}
    for name, array in theirs.items():
        np.save(tmp_path / f"{name}.npy", array)
    one = convert_folder(tmp_path)
    other = convert_torch(write_state_dict(tmp_path / "x.pth", theirs))
    assert one.name == other.name == "cartoongan"
    x = picture()[:, :32, :32]
    assert_close(one.model(x), other.model(x))
    assert one.model.count_params() == 11_129_667


def test_mismatches_are_reported(state, tmp_path):
    wrong = dict(state)
    wrong["block_a.0.1.weight"] = wrong["block_a.0.1.weight"][:, :, :5]
    wrong["extra"] = np.zeros(3, np.float32)
    del wrong["block_c.2.layers.2.weight"]
    path = write_state_dict(tmp_path / "x.pt", wrong)
    with pytest.raises(ValueError) as caught:
        convert_torch(path)
    report = str(caught.value)
    assert f"{path}: expected the generator animegan_v2, got other names or shapes" in report
    assert "missing: weight <- array that the file lacks: 1" in report
    assert "r2/project/kernel (1, 1, 512, 256) <- block_c.2.layers.2.weight" in report
    assert "extra (3,)" in report
    assert "A_0/conv/kernel (7, 7, 3, 32) <- block_a.0.1.weight (32, 3, 5, 7)" in report
    with pytest.raises(ValueError, match="expected the generator cartoongan, got"):
        convert_torch(path, "cartoongan")
    with pytest.raises(ValueError, match="cartoongan has no upsampling to choose"):
        convert_torch(path, "cartoongan", "half_pixel")
    with pytest.raises(
        ValueError, match="expected model to be one of animegan_v2, cartoongan, got"
    ):
        convert_torch(path, "animegan_v1")


def test_invalid_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        convert_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="got a folder without .npy files"):
        convert_folder(tmp_path)
    np.save(tmp_path / "conv01_1.weight.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"conv01_1.weight.npy: expected a whole array of numbers"):
        convert_folder(tmp_path)


@need_torch
def test_the_reference_equals_the_golden(file):
    golden = arrays("animegan2_pytorch")
    for upsampling in UPSAMPLINGS:
        run = convert_torch(file, upsampling=upsampling).reference
        assert_close(run(golden["input_0"]), golden[f"{upsampling}_0"], atol=PARITY)
