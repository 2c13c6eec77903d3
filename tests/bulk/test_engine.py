"""Rows through workers, of which some end their process."""

from __future__ import annotations

import os
import sys

import pytest

pytest.importorskip("ray", reason="Ray (the extra cluster) is not installed")

from ray import cloudpickle

from anime_tf.bulk import engine
from anime_tf.bulk.config import ClusterConfig

# The workers cannot import this file.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Doubles:
    """Doubles numbers; 13 ends its process."""

    def __init__(self, factor: int) -> None:
        self._factor = factor

    def work(self, rows):
        if any(row["number"] == 13 for row in rows):
            os._exit(1)
        return [{"number": row["number"], "result": self._factor * row["number"]} for row in rows]

    def give_up(self, row):
        return {"number": row["number"], "result": "given up"}


def test_a_row_that_ends_workers_is_given_up_and_the_others_are_done_once(nodes):
    cluster = ClusterConfig(address=nodes.address, workers=2)
    with engine.cluster(cluster):
        rows = [{"number": number} for number in range(40)]
        done = list(engine.run(rows, 8, Doubles, 2, cluster))
        assert list(engine.run([], 8, Doubles, 2, cluster)) == []
    results = {row["number"]: row["result"] for row in done}
    assert len(done) == len(rows)
    assert results == {n: 2 * n for n in range(40)} | {13: "given up"}
