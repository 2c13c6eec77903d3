"""Verification of archives that equal their source, and of others."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from anime_tf.conversion.name_table import Conversion
from anime_tf.conversion.verify import PICTURE_LIMIT, SIZE, check_archive
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS


@pytest.fixture(scope="module")
def conversion() -> Conversion:
    keras.utils.set_random_seed(2)
    model = GENERATORS["animegan_v2_light"](width=4)
    values = {w.path.partition("/")[2]: w.numpy() for w in model.weights}
    return Conversion(model, "animegan_v2_light", values, {})


@pytest.fixture(scope="module")
def archive(conversion, tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "x.keras"
    save_generator(conversion.model, path)
    return path


def test_weights_without_reference(conversion, archive):
    found = check_archive(archive, conversion)
    assert not found.failure
    assert found.summary.startswith(f"all {len(conversion.values)} weights equal the source's")
    assert found.summary.endswith("no reference implementation is available")


def test_pictures_of_the_reference(conversion, archive):
    for shift, fails in ((0, False), (PICTURE_LIMIT * 0.9, False), (PICTURE_LIMIT * 2, True)):
        run = lambda x, shift=shift: np.asarray(conversion.model(x)) + np.float32(shift)  # noqa: E731
        found = check_archive(
            archive, dataclasses.replace(conversion, reference=run, reference_name="waves")
        )
        assert bool(found.failure) is fails
        assert "a picture differs by at most" in found.summary
        assert "of 2 from waves" in found.summary
        assert ("expected at most 0.0002" in found.failure) is fails
    nan = dataclasses.replace(conversion, reference=lambda x: x * np.nan)
    assert "differs by at most nan" in check_archive(archive, nan).failure


def test_a_different_weight(conversion, archive):
    values = dict(conversion.values)
    values["x0/norm/beta"] = values["x0/norm/beta"] + 1
    found = check_archive(archive, dataclasses.replace(conversion, values=values))
    assert found.failure == "1 weights differ from the source's (['x0/norm/beta'])"


def test_the_picture_fits_every_network():
    for kind in GENERATORS.values():
        assert all(side % kind.STRIDE == 0 and side >= kind.MINIMUM_SIDE for side in SIZE)
