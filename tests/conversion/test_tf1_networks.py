"""The originals' networks by TensorFlow 1's operations, against the originals' graphs."""

from __future__ import annotations

import numpy as np
import pytest
from golden_files import arrays, assert_close, numbers
from golden_recipe import value

from anime_tf.conversion.tf1 import TABLES
from anime_tf.conversion.tf1_networks import NETWORKS

# The same operations in the same order; v1's norms of single channels grow what is rounded.
PARITY = {"animegan_v1": 5e-5, "animegan_v2": 1e-6, "animegan_v2_light": 1e-6}


@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("animegan_v1", "animegan_v1_generator"),
        ("animegan_v2", "animegan_v2_generator"),
        ("animegan_v2_light", "animegan_v2_lite_generator"),
    ],
)
def test_networks_equal_the_original_graphs(name, golden):
    shapes, found = numbers(f"{golden}_variables"), arrays(golden)
    variables = {variable: value(variable, shape) for variable, shape in shapes.items()}
    for i in (0, 1):
        if f"input_{i}" in found:
            result = NETWORKS[name](variables, found[f"input_{i}"].astype(np.float32))
            expected = found[f"output_{i}"]
            if result.shape != expected.shape:  # the large one is stored thinned out
                result = result[:, ::4, ::4]
            assert_close(result, expected, atol=PARITY[name])


def test_every_generator_of_the_tables_can_be_run():
    assert set(NETWORKS) == set(TABLES)
