import numpy as np

from anime_tf.models.mobilenet_v1 import MobileNetV1Features


def test_sizes_of_the_pyramid():
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 48, 3)).astype(np.float32)
    network = MobileNetV1Features()
    pyramid = network.pyramid(x)
    assert [f.shape for f in pyramid] == [(2, 16, 24, 64), (2, 8, 12, 128), (2, 4, 6, 256)]
    np.testing.assert_array_equal(network(x), pyramid[-1])
    assert not network.trainable_variables


def test_the_seed_decides_random_weights():
    one, same, other = (MobileNetV1Features(seed=seed).get_weights() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0], same[0])
    assert np.abs(one[0] - other[0]).max() > 0.01
