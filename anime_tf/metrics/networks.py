"""Metrics in the features of pretrained networks: InceptionV3 and VGG-19."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import keras
import numpy as np

from anime_tf.conversion.perceptual import load_perceptual
from anime_tf.errors import keras_download_reason
from anime_tf.io.geometry import resize
from anime_tf.io.pixels import to_pm1

INCEPTION_SIDE = 299


def make_inception_features(weights: str) -> Callable[[np.ndarray], np.ndarray]:
    """Load InceptionV3 of `keras.applications`: RGB uint8 of any size -> (1, 2048) float32.

    Keras' weights are not those of the original FID: compare FID and KID among themselves only.
    `weights` is "imagenet", which Keras downloads once, or a `.h5` file of it without its top.

    Raises:
        FileNotFoundError: The weights cannot be read or downloaded.
    """
    try:
        network = keras.applications.InceptionV3(
            include_top=False,
            weights=weights,
            pooling="avg",
            input_shape=(INCEPTION_SIDE, INCEPTION_SIDE, 3),
        )
    except Exception as error:  # Keras raises a bare one when a download fails
        raise FileNotFoundError(
            f"{weights}: InceptionV3's weights cannot be read ({keras_download_reason(error)}); "
            "name a .h5 file of keras.applications without its top, or omit --inception"
        ) from error

    def features(picture_u8: np.ndarray) -> np.ndarray:
        size = (INCEPTION_SIDE, INCEPTION_SIDE)
        resized = cv2.resize(picture_u8, size, interpolation=cv2.INTER_AREA)
        return np.asarray(network(to_pm1(resized[None]), training=False))

    return features


def make_perceptual_distance(weights: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """Load VGG-19 to measure a distance of two RGB uint8 pictures in conv4_4, similar to LPIPS.

    The mean over positions of |x / |x| - y / |y||^2 of the feature vectors: 0 for equal pictures,
    at most 4. Unlike LPIPS (Zhang et al., CVPR 2018) it uses one layer and no learned weights.
    The second picture is resized to the first. See `conversion.perceptual` for `weights`.

    Raises:
        FileNotFoundError: The weights cannot be read or downloaded.
        ValueError: The file holds other weights.
    """
    network: Any = load_perceptual("vgg19", weights)

    def distance(photo_u8: np.ndarray, result_u8: np.ndarray) -> float:
        pair = np.stack([photo_u8, resize(result_u8, photo_u8.shape[:2])])
        features = np.asarray(network(to_pm1(pair)), np.float64)
        lengths = np.linalg.norm(features, axis=-1, keepdims=True)
        x, y = features / np.maximum(lengths, 1e-10)
        return float(np.square(x - y).sum(axis=-1).mean())

    return distance
