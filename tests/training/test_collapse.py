"""When a discriminator has collapsed: the rule, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from anime_tf.losses.adversarial import GAN_TYPES
from anime_tf.training.collapse import ADVICE, LEADS, UPDATES, CollapseWatch

# D's logit of every anime picture, and of every generated one -> its lead.
CONSTANT = [
    ("lsgan", 0.5, 0.5, 0.0),
    ("lsgan", 0.2, 0.2, 0.0),
    ("lsgan", 1.0, 0.0, 1.0),
    ("lsgan", 0.7, 0.3, 0.4),
    ("hinge", 0.0, 0.0, 0.0),
    ("hinge", 0.4, 0.4, 0.0),
    ("hinge", 3.0, -2.0, 1.0),
    ("hinge", 0.5, -0.5, 0.5),
    ("gan", 0.0, 0.0, 0.0),
    ("gan", 1.0, 1.0, 0.0),
    ("dragan", 30.0, -30.0, 1.0),
]


@pytest.mark.parametrize(("gan_type", "real", "fake", "lead"), CONSTANT)
def test_leads(gan_type, real, fake, lead):
    terms = GAN_TYPES[gan_type]
    found = LEADS[gan_type](float(terms.real([real])), float(terms.fake([fake])))
    assert math.isclose(found, lead, abs_tol=1e-6)


def step(real: float, fake: float) -> dict[str, float]:
    return {"d/real": real, "d/fake": fake, "g/adv": 1.0}


def verdicts(watch: CollapseWatch, epochs: list[list[dict[str, float]]]) -> list[str | None]:
    found = []
    for rows in epochs:
        for row in rows * UPDATES:
            watch.add(row)
        found.append(watch.end_epoch())
    return found


WON, LOST, WELL = step(1e-4, 1e-4), step(0.25, 0.25), step(0.1, 0.05)


def test_only_epochs_in_a_row_count():
    epochs = [[WON], [WON], [WELL], [WON], [WON], [WON], [WON]]
    assert verdicts(CollapseWatch("lsgan", 3), epochs) == [None] * 5 + ["won", "won"]
    assert verdicts(CollapseWatch("lsgan", 3), [[LOST]] * 3) == [None, None, "lost"]
    assert verdicts(CollapseWatch("lsgan", 2), [[LOST], [WON], [LOST]]) == [None] * 3
    assert set(ADVICE) == {"won", "lost"}


def test_an_epoch_is_judged_by_its_means():
    watch = CollapseWatch("hinge", 1)
    # Means 0.02 and 0.09: a lead of 0.945.
    assert verdicts(watch, [[step(0.0, 0.06), step(0.04, 0.12)]]) == [None]
    assert math.isclose(watch.lead, 0.945, rel_tol=1e-6)
    assert verdicts(watch, [[step(0.0, 0.06), step(0.04, 0.04)]]) == ["won"]


def test_short_epochs_are_not_enough():
    watch = CollapseWatch("lsgan", 2)
    found = []
    for _ in range(4):
        for _ in range(UPDATES // 3):
            watch.add(LOST)
        found.append(watch.end_epoch())
    assert found == [None, None, "lost", "lost"]


def test_what_is_never_judged():
    assert verdicts(CollapseWatch("lsgan", 0), [[WON]] * 5) == [None] * 5
    for gan_type in ("wgan-gp", "wgan-lp"):
        assert verdicts(CollapseWatch(gan_type, 1), [[WON]] * 5) == [None] * 5
    without_d = {"g/content": 1.0, "g/loss": 1.0}
    assert verdicts(CollapseWatch("lsgan", 1), [[without_d], []]) == [None] * 2


def test_every_gan_type_is_decided_on():
    assert set(LEADS) == set(GAN_TYPES) - {"wgan-gp", "wgan-lp"}
