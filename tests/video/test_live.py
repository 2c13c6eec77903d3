"""Cameras through the pipeline: frames are dropped, never queued, and sizes adapt."""

import time
import weakref

import numpy as np
import pytest
from small_videos import read

from anime_tf.cli import recommended
from anime_tf.cli.flags import define, parse
from anime_tf.cli.video import COMMAND
from anime_tf.io.video.readers.camera import CameraReader
from anime_tf.io.video.span import WHOLE
from anime_tf.video.live import GROW_FRAMES, MEASURED_FRAMES, SCALES, AdaptiveScale, LiveStylizer
from anime_tf.video.pipeline import stylize_frames

CAMERA_SECONDS = 0.01  # between two frames
NETWORK_SECONDS = 0.06


class NumberedCamera:
    """A camera of a known rate; the pixels of frame i are i."""

    rate = 1 / CAMERA_SECONDS

    def __init__(self, count):
        self._count = count
        self.given = 0
        self._frames = []

    def read(self):
        time.sleep(CAMERA_SECONDS)
        if self.given == self._count:
            return None
        frame = np.full((32, 48, 3), self.given, np.uint8)
        self.given += 1
        self._frames.append(weakref.ref(frame))
        return frame

    def alive(self):
        return sum(frame() is not None for frame in self._frames)

    def close(self):
        pass


def test_a_slow_network_sees_the_newest_frames_and_the_others_are_dropped(tmp_path):
    camera = NumberedCamera(120)
    lags, alive, states = [], [], []

    def slow(rgb_u8, _seconds):
        lags.append(camera.given - 1 - int(rgb_u8[0, 0, 0]))
        alive.append(camera.alive())
        time.sleep(NETWORK_SECONDS)
        return 255 - rgb_u8

    def status():
        states.append(f"{reader.dropped} dropped")
        return states[-1]

    with CameraReader(camera, "camera", WHOLE) as reader:
        report = stylize_frames(reader, tmp_path / "a.mp4", slow, status=status)
    assert report.frames == len(lags) == len(states) == reader.count
    assert reader.count + reader.dropped == 120
    assert 3 <= reader.count <= 40, "about one of six"
    assert np.median(lags) <= 1, "a queue would lag by all frames between two"
    assert max(alive) <= 8, "memory does not grow"
    after = read(tmp_path / "a.mp4")
    assert len(after.frames) == report.frames
    assert after.times[-1] - after.times[0] == pytest.approx(
        119 * CAMERA_SECONDS, rel=0.6, abs=2 * NETWORK_SECONDS
    ), "times are those of arrival"


def test_a_fast_network_sees_nearly_every_frame(tmp_path):
    with CameraReader(NumberedCamera(40), "camera", WHOLE) as reader:
        stylize_frames(reader, tmp_path / "a.mp4", lambda rgb_u8, _: rgb_u8)
        assert reader.count >= 20


def test_the_scale_shrinks_until_the_rate_is_reached_and_grows_again():
    scale = AdaptiveScale(10)
    cost = 0.25  # seconds at full size

    def run(frames):
        for _ in range(frames):
            scale.add(cost * scale.scale**2)
        return scale.scale

    scale.add(9.0)  # the first frame also prepares the network
    assert scale.scale == 1
    assert run(1) == 0.625, "far too slow: at once, to 0.098 s"
    assert run(200) == 0.625, "and no back and forth"
    cost = 0.12
    assert run(3 * GROW_FRAMES) == 0.75, "0.875 would take more than three quarters of the time"
    cost = 0.2
    assert run(MEASURED_FRAMES + 1) == 0.625, "a little too slow: after some frames"
    cost = 100.0
    assert run(5) == SCALES[-1], "the smallest, though it is too slow"
    cost = 0.001
    assert run(len(SCALES) * (GROW_FRAMES + 2)) == 1


def test_results_keep_the_size_of_the_frames():
    now, made = [0.0], []

    def make():
        sizes = []
        made.append(sizes)

        def stylize(rgb_u8, _seconds):
            now[0] += rgb_u8.shape[0] * rgb_u8.shape[1] / 1e5  # 0.48 s at full size
            sizes.append(rgb_u8.shape[:2])
            return np.hstack([rgb_u8, rgb_u8])  # side by side

        return stylize

    live = LiveStylizer(make, rate=10, max_side=240, clock=lambda: now[0])
    photo = np.zeros((400, 480, 3), np.uint8)
    for i in range(4):
        assert live(photo, i / 10).shape == (200, 480, 3)
    assert live.size_hw == (75, 90)
    assert made == [[(200, 240)] * 2, [(75, 90)] * 2], "state of one size is not used in another"


def settings_for(*arguments):
    from absl import flags

    values = flags.FlagValues()
    for group in COMMAND.groups:
        define(values, group)
    parse(values, arguments, COMMAND.positional)
    recommended.apply_camera(values)
    return values.weights, values.stabilize


def test_a_camera_gets_a_live_style():
    assert settings_for("0", "a.mp4") == ("cel_live", "off")
    assert settings_for("0", "a.mp4", "--weights=gouache_live") == ("gouache_live", "off")
    assert settings_for("0", "a.mp4", "--stabilize=blend") == ("cel_live", "blend")
    assert settings_for("0", "a.mp4", "--weights=cel") == ("cel", "both")
    assert settings_for("a.mp4", "b.mp4") == ("cel", "both")
