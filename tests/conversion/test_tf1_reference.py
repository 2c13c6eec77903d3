"""Reference networks in TensorFlow 1's operations against the original graphs."""

from __future__ import annotations

import numpy as np
import pytest
from golden_files import arrays, assert_close, numbers
from golden_recipe import value, value_v3
from tolerances import network_rounding

from anime_tf.conversion.tf1 import TABLES
from anime_tf.conversion.tf1_reference import NETWORKS

# Equal operations, but the CPU decides in which order a convolution sums its products: 9 * 256 of
# them in v1's residual blocks, a few hundred in v2's inverted residuals.
PARITY = {
    "animegan_v1": network_rounding(layers=26, terms=9 * 256),
    "animegan_v2": network_rounding(layers=30, terms=256),
    "animegan_v2_light": network_rounding(layers=22, terms=256),
    "animegan_v3": 1e-5,  # the goldens' own: a wrong epsilon or set of batch norm values is more
}


@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("animegan_v1", "animegan_v1_generator"),
        ("animegan_v2", "animegan_v2_generator"),
        ("animegan_v2_light", "animegan_v2_lite_generator"),
        ("animegan_v3", "animegan_v3_generator"),
    ],
)
def test_networks_equal_the_original_graphs(name, golden):
    shapes, found = numbers(f"{golden}_variables"), arrays(golden)
    recipe = value_v3 if name == "animegan_v3" else value
    names = TABLES[name].names  # without the set of batch norm values that was not asked for
    variables = {variable: recipe(variable, shapes[variable]) for variable in names}
    for i in (0, 1):
        if f"input_{i}" in found:
            result = NETWORKS[name](variables, found[f"input_{i}"].astype(np.float32))
            expected = found[f"main_{i}" if name == "animegan_v3" else f"output_{i}"]
            if result.shape != expected.shape:  # the large one is stored thinned out
                result = result[:, ::4, ::4]
            assert_close(result, expected, atol=PARITY[name])


def test_every_table_has_a_reference():
    assert set(NETWORKS) == set(TABLES)
