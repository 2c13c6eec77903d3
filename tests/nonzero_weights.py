"""Weights for networks that begin with zeros, so that every path counts in a test."""

import keras
import numpy as np


def without_zeros(model: keras.Model, seed: int = 0) -> keras.Model:
    """Draw every zero in the kernels anew; returns the model."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        if weight.name == "kernel":
            values = keras.ops.convert_to_numpy(weight)
            spread = np.sqrt(1.0 / np.prod(values.shape[:-1]))
            drawn = rng.normal(0.0, spread, values.shape)
            weight.assign(np.where(values == 0, drawn, values))
    return model
