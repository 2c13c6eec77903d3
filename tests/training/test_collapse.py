"""The rule for a collapsed discriminator, on numbers computed by hand."""

from __future__ import annotations

import math

import pytest

from anime_tf.losses.adversarial import GAN_TYPES
from anime_tf.training.collapse import ADVICE, LEADS, MINIMUM_UPDATES, CollapseDetector

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


def verdicts(detector: CollapseDetector, epochs: list[list[dict[str, float]]]) -> list[str | None]:
    found = []
    for rows in epochs:
        for row in rows * MINIMUM_UPDATES:
            detector.add(row)
        found.append(detector.end_epoch())
    return found


WON, LOST, WELL = step(1e-4, 1e-4), step(0.25, 0.25), step(0.1, 0.05)


def test_only_consecutive_epochs_count():
    epochs = [[WON], [WON], [WELL], [WON], [WON], [WON], [WON]]
    assert verdicts(CollapseDetector("lsgan", 3), epochs) == [None] * 5 + ["won", "won"]
    assert verdicts(CollapseDetector("lsgan", 3), [[LOST]] * 3) == [None, None, "lost"]
    assert verdicts(CollapseDetector("lsgan", 2), [[LOST], [WON], [LOST]]) == [None] * 3
    assert set(ADVICE) == {"won", "lost"}


def test_epochs_are_judged_by_their_means():
    detector = CollapseDetector("hinge", 1)
    # Means 0.02 and 0.09: a lead of 0.945.
    assert verdicts(detector, [[step(0.0, 0.06), step(0.04, 0.12)]]) == [None]
    assert math.isclose(detector.lead, 0.945, rel_tol=1e-6)
    assert verdicts(detector, [[step(0.0, 0.06), step(0.04, 0.04)]]) == ["won"]


def test_short_epochs_need_enough_updates():
    detector = CollapseDetector("lsgan", 2)
    found = []
    for _ in range(4):
        for _ in range(MINIMUM_UPDATES // 3):
            detector.add(LOST)
        found.append(detector.end_epoch())
    assert found == [None, None, "lost", "lost"]


def test_cases_without_a_verdict():
    assert verdicts(CollapseDetector("lsgan", 0), [[WON]] * 5) == [None] * 5
    for gan_type in ("wgan-gp", "wgan-lp"):
        assert verdicts(CollapseDetector(gan_type, 1), [[WON]] * 5) == [None] * 5
    without_d = {"g/content": 1.0, "g/loss": 1.0}
    assert verdicts(CollapseDetector("lsgan", 1), [[without_d], []]) == [None] * 2


def test_every_gan_type_but_the_wasserstein_ones_has_a_lead():
    assert set(LEADS) - {"double_tail"} == set(GAN_TYPES) - {"wgan-gp", "wgan-lp"}


def test_lead_of_animegan_v3_by_hand():
    lead = LEADS["double_tail"]  # its targets are 0.9 and 0.1
    assert lead(0.4**2, 0.4**2) == pytest.approx(0)  # all logits 0.5
    assert lead(0, 0) == 1
