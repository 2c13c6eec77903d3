import pytest
from small_data_set import SETTINGS

from anime_tf.training.config import TrainConfig
from benchmarks.timing import interleave
from benchmarks.training import train_step_candidates

PHASES = ("init", "gan")


@pytest.mark.slow
def test_the_gan_step_trains():
    # Without the perceptual network and at one precision only, because compiling takes long.
    config = TrainConfig(**{**SETTINGS, "content_weight": 0.0, "style_weight": 0.0})
    precisions = ("float32", "mixed_bfloat16")
    candidates = train_step_candidates(config, precisions, PHASES, steps=2, warmup=1)
    assert [list(c.labels.values()) for c in candidates] == [
        ["init", "float32"],
        ["init", "mixed_bfloat16"],
        ["gan", "float32"],
        ["gan", "mixed_bfloat16"],
    ]
    interleave(candidates[3:], 1)
    assert candidates[3].seconds[0] > 0
