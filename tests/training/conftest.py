"""How the tests of this folder run training steps, and a small perceptual network."""

from __future__ import annotations

import pytest
import tensorflow as tf

from anime_tf.models import vgg19


@pytest.fixture(autouse=True)
def as_written(request):
    """Runs graphs as `train.py` does on a CPU; those of the marker `grappler` are optimized."""
    as_written = request.node.get_closest_marker("grappler") is None
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": as_written})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


@pytest.fixture
def narrow_vgg19(monkeypatch):
    """Makes VGG-19 an eighth as wide, for tests to which its features are as good as any."""
    blocks = tuple((count, channels // 8) for count, channels in vgg19.BLOCKS)
    monkeypatch.setattr(vgg19, "BLOCKS", blocks)
