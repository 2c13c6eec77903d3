"""What is found when an archive is not what it was converted from."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from anime_tf.conversion.tables import Conversion
from anime_tf.conversion.verify import PICTURE_LIMIT, SIZE, verify
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


def test_weights_alone(conversion, archive):
    found = verify(archive, conversion)
    assert not found.failure
    assert found.told.startswith(f"all {len(conversion.values)} weights equal the source's")
    assert found.told.endswith("no other implementation of its network is here to compare with")


def test_a_picture_too(conversion, archive):
    for shift, fails in ((0, False), (PICTURE_LIMIT * 0.9, False), (PICTURE_LIMIT * 2, True)):
        run = lambda x, shift=shift: np.asarray(conversion.model(x)) + np.float32(shift)  # noqa: E731
        found = verify(archive, dataclasses.replace(conversion, run=run, by="waves"))
        assert bool(found.failure) is fails
        assert "a picture differs by" in found.told
        assert "of 2 at most from what waves make of them" in found.told
        assert ("expected no more than 0.0002" in found.failure) is fails
    nan = dataclasses.replace(conversion, run=lambda x: x * np.nan)
    assert "differs by nan" in verify(archive, nan).failure


def test_a_weight_that_is_another(conversion, archive):
    values = dict(conversion.values)
    values["x0/norm/beta"] = values["x0/norm/beta"] + 1
    found = verify(archive, dataclasses.replace(conversion, values=values))
    assert found.failure == "1 weights are not those of the source (['x0/norm/beta'])"


def test_the_picture_suits_every_network():
    for kind in GENERATORS.values():
        assert all(side % kind.STRIDE == 0 and side >= kind.MINIMUM_SIDE for side in SIZE)
