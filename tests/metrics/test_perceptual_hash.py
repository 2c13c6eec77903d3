import cv2
import numpy as np
from video_scenes import scene, with_dot

from anime_tf.metrics.perceptual_hash import hamming_distance, perceptual_hash

# Bits: what looks alike differs in few, what does not in about half of 64.
ALIKE, UNLIKE = 6, 16


def test_a_wave_is_one_bit_and_the_mean():
    # columns of the third cosine of 32: its coefficient and the mean are all that there is
    wave = np.cos((np.arange(32) + 0.5) * 3 * np.pi / 32)
    picture = np.repeat(np.tile(128 + 100 * wave, (32, 1))[..., None], 3, 2).round()
    value = perceptual_hash(picture.astype(np.uint8))
    assert value >> 63 == 1  # the mean
    assert value >> (63 - 3) & 1 == 1
    darker = perceptual_hash((picture * 0.5).astype(np.uint8))
    assert darker >> (63 - 3) & 1 == 1


def test_flat_pictures_share_a_hash():
    hashes = {perceptual_hash(np.full((50, 60, 3), v, np.uint8)) for v in (1, 77, 200, 255)}
    assert len(hashes) == 1


def test_alike_and_unlike():
    picture = scene(0, 240, 320)
    value = perceptual_hash(picture)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)
    for other in (
        jpeg,
        cv2.resize(picture, (160, 120), interpolation=cv2.INTER_AREA),
        with_dot(picture, 100),
        (picture * 0.7).astype(np.uint8),
    ):
        assert hamming_distance(value, perceptual_hash(other)) <= ALIKE
    hashes = [perceptual_hash(scene(i)) for i in range(12)]
    assert min(hamming_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) >= UNLIKE


def test_hamming_distance_counts_bits():
    assert hamming_distance(0b1011, 0b0010) == 2
    assert hamming_distance(0, 2**64 - 1) == 64
