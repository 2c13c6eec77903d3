"""Weights for networks that begin with zeros, so that every path counts in a test."""

import keras
import numpy as np


def without_zeros(model: keras.Model, seed: int = 0) -> keras.Model:
    """Draw every kernel that is all zeros anew; returns the model."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        if weight.name == "kernel" and not np.any(weight):
            spread = np.sqrt(1.0 / np.prod(weight.shape[:-1]))
            weight.assign(rng.normal(0.0, spread, weight.shape))
    return model
