"""AnimeGANv3's losses against the original graphs. Tolerances are those of the goldens."""

import numpy as np
import pytest
import tensorflow as tf
from golden_files import arrays, assert_close, golden_vgg19, numbers

from anime_tf.losses import double_tail as losses
from anime_tf.losses.adversarial import square_loss
from anime_tf.losses.perceptual import l1_loss, total_variation_loss

LOSS, GRADIENT_L2, GRADIENT_MEDIAN, GUIDED, LAB, FEATURES = 1e-5, 5e-4, 1e-3, 4e-5, 1e-3, 2e-5


@pytest.fixture(scope="module")
def golden():
    return arrays("animegan_v3_losses"), numbers("animegan_v3_losses")


@pytest.fixture(scope="module")
def pictures(golden):
    return {
        name: tf.constant(x.astype(np.float32) / 127.5 - 1 if x.dtype == np.uint8 else x, "float32")
        for name, x in golden[0].items()
        if x.dtype in (np.uint8, np.float16)
    }


@pytest.fixture(scope="module")
def run(pictures):
    """All unweighted terms and a tape that recorded them."""
    vgg = golden_vgg19()
    p = pictures
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([p["support_raw"], p["main"]])
        guided = losses.smooth_guided(p["support_raw"])
        of = {k: vgg.pyramid(p[k]) for k in ("photo", "photo_superpixel", "revised", "main")}
        of["region"] = vgg.pyramid(p["generated_superpixel"])
        of["anime"] = vgg.pyramid(losses.to_gray(p["anime"]))
        of["guided"] = vgg.pyramid(guided)
        of["gray"] = vgg.pyramid(losses.to_gray(guided))

        def distance(x, y):
            return losses.feature_distance(of[x][-1], of[y][-1])

        terms = {
            "content": distance("photo", "guided"),
            "content_main": distance("photo", "main"),
            "region_generated": distance("region", "guided"),
            "region_photo": distance("photo_superpixel", "guided"),
            "lab": losses.lab_loss(p["photo"], guided),
            "tv": total_variation_loss(guided),
            "tv_main": total_variation_loss(p["main"]),
            "revision_l1": l1_loss(p["revised"], p["main"]),
            "revision_vgg": distance("revised", "main"),
        }
        for i, name in enumerate(("style_2_2", "style_3_3", "style_4_4")):
            terms[name] = losses.decentralized_style_loss(of["anime"][i], of["gray"][i])
    return terms, tape, guided, of["guided"]


def test_terms_and_gradients_equal_the_originals(golden, pictures, run):
    stored, expected = golden
    terms, tape, _, _ = run
    assert set(terms) == set(expected["unweighted"])
    for name, value in expected["unweighted"].items():
        assert_close(terms[name], value, rtol=LOSS)
        for picture, numbers_of in expected["gradient"][name].items():
            gradient = tape.gradient(terms[name], pictures[picture]).numpy()
            assert_close(np.linalg.norm(gradient), numbers_of["l2"], rtol=GRADIENT_L2)
            values = stored[f"gradient/{name}/{picture}"]
            deviations = np.abs(gradient[:, ::8, ::8] - values)
            assert np.median(deviations) < GRADIENT_MEDIAN * np.abs(values).max()


def test_pictures_and_features_equal_the_originals(golden, pictures, run):
    stored, _ = golden
    _, _, guided, pyramid = run
    assert_close(guided, stored["guided"], atol=GUIDED)
    assert_close(losses.to_lab(pictures["photo"])[:, ::4, ::4], stored["lab_photo"], atol=LAB)
    assert_close(losses.to_lab(guided)[:, ::4, ::4], stored["lab_generated"], atol=LAB)
    gray = losses.to_gray(guided)[:, ::4, ::4, :1]
    assert_close(gray, stored["gray_generated"], atol=GUIDED)
    for features, name, step, channels in (
        (pyramid[0], "conv2_2", 8, 4),
        (pyramid[1], "conv3_3", 4, 8),
        (pyramid[2], "conv4_4", 2, 8),
    ):
        found = features[:, ::step, ::step, ::channels]
        assert_close(found, stored[name], atol=FEATURES * np.abs(features).max())


def test_adversarial_terms_equal_the_originals(golden):
    stored, expected = golden
    a, b, c = (stored[f"logits_{name}"] for name in "abc")
    found = {
        "g_support_adv": square_loss(b, 0.9),
        "g_main_adv": square_loss(b, 1.0),
        "d_support_anime_fake": 0.5 * square_loss(a, 0.9) + square_loss(b, 0.1),
        "d_support_smooth": square_loss(c, 0.1),
        "d_main": square_loss(a, 1.0) + square_loss(b, 0.0),
    }
    for name, value in expected["adversarial"].items():
        assert_close(found[name], value, rtol=LOSS)


def test_lab_of_known_colors():
    found = losses.to_lab(np.array([[[[1, 1, 1], [-1, -1, -1], [1, -1, -1]]]], np.float32))
    assert_close(found[0, 0], [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]], atol=0.05)


def test_gradient_of_lab_is_finite_at_black():
    black = tf.fill((1, 2, 2, 3), -1.0)
    with tf.GradientTape() as tape:
        tape.watch(black)
        loss = losses.lab_loss(tf.zeros((1, 2, 2, 3)), black)
    assert np.isfinite(tape.gradient(loss, black)).all()


def test_style_ignores_the_mean_of_a_channel():
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 4)).astype(np.float32)
    assert_close(losses.decentralized_style_loss(x, x + 3), 0, atol=1e-6)
