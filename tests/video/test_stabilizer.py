"""Stabilization of moving textures, and with a small network."""

import functools

import cv2
import keras
import numpy as np
import pytest
from moving_textures import texture, window

from anime_tf import Stylizer
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS
from anime_tf.video import stabilizer as steady
from anime_tf.video.config import StabilizerConfig
from anime_tf.video.stabilizer import (
    MotionCompensatedBlend,
    TemporalStabilizer,
    _LightMonitor,
    blend_clamped,
    decay,
    flow_confidence,
    make_stabilizer,
)

LEVEL = 1  # of 255: rounding
RESAMPLED = 3.0  # levels: what cubic interpolation, frame after frame, does to a smooth texture


@pytest.fixture(scope="module")
def make_stylizer_of(tmp_path_factory):
    """Function from a generator's name to a stylizer with a small one, made once."""

    @functools.cache
    def make(name):
        keras.utils.set_random_seed(5)
        path = tmp_path_factory.mktemp("weights") / "small.keras"
        save_generator(GENERATORS[name](width=2), path)
        return Stylizer(path)

    return make


@pytest.fixture(scope="module")
def stylizer(make_stylizer_of):
    return make_stylizer_of("animegan_v2")


def still(height=8, width=9):
    return np.zeros((height, width, 2), np.float32)


def mean_difference(one, other):
    return np.abs(one.astype(float) - other).mean()


def test_decay():
    assert decay(0.5, 0.0) == 1
    assert decay(0.5, 0.5) == 0.5
    assert decay(0.5, 1.5) == 0.125
    assert decay(0.5, -1.0) == 1
    assert decay(0.0, 0.0) == 0
    assert decay(1e-300, 1e300) == 0
    assert decay(StabilizerConfig().blend_seconds, 1 / 30) == pytest.approx(0.7, abs=0.005)


def test_flow_confidence_by_hand():
    photo = np.full((8, 9, 3), 100, np.uint8)
    np.testing.assert_allclose(flow_confidence(photo, photo, still(), still()), 1)
    # One channel that differs by 14 levels everywhere: 1 / e, whatever is averaged over.
    np.testing.assert_allclose(
        flow_confidence(photo + np.uint8([0, 14, 3]), photo, still(), still()),
        np.exp(-1),
        rtol=1e-4,
    )
    # A way back that misses by 1: exp(-1 / (0.5 + 0.01)).
    back = still() + np.float32([0, 1])
    np.testing.assert_allclose(
        flow_confidence(photo, photo, still(), back), np.exp(-1 / 0.51), rtol=1e-4
    )
    away = still() + np.float32([9, 0])
    np.testing.assert_array_equal(flow_confidence(photo, photo, away, -away), 0)


def test_blend_clamped_by_hand():
    new = np.full((7, 7, 3), 100, np.uint8)
    new[3, 3] = 140
    moved = np.full((7, 7, 3), 96, np.float32)
    weight = np.full((7, 7), 0.5, np.float32)
    expected = np.full((7, 7, 3), 98.0)
    expected[3, 3] = 118
    np.testing.assert_allclose(blend_clamped(new, moved, weight), expected)
    # What nothing nearby has is brought to what something has, and 8 levels.
    moved[0, 0], moved[6, 6] = 0, 255
    expected[0, 0], expected[6, 6] = 96, 104
    np.testing.assert_allclose(blend_clamped(new, moved, weight), expected)
    np.testing.assert_array_equal(blend_clamped(new, moved, weight * 0), new)


def test_blend_is_a_moving_average():
    photo = texture(40, 48)
    blend = MotionCompensatedBlend(half_life=0.1)
    first, second, third = (np.full_like(photo, level) for level in (100, 108, 108))
    np.testing.assert_array_equal(blend(photo, first, 2.0), first)
    inner = np.s_[4:-4, 4:-4]
    assert np.abs(blend(photo, second, 2.1)[inner].astype(int) - 104).max() <= LEVEL
    assert np.abs(blend(photo, third, 2.2)[inner].astype(int) - 106).max() <= LEVEL
    assert np.abs(blend(photo, first, 12.0)[inner].astype(int) - 100).max() == 0
    # Two frames at one time: still a part of the new one.
    assert np.abs(blend(photo, second, 12.0)[inner].astype(int) - 101).max() <= LEVEL
    blend.reset()
    np.testing.assert_array_equal(blend(photo, third, 2.3), third)


@pytest.mark.parametrize("flow_side", [96, 48])
def test_blend_reduces_flicker_along_a_translation(monkeypatch, flow_side):
    picture = texture(120, 160)
    monkeypatch.setattr("anime_tf.video.stabilizer.FLOW_SIDE", flow_side)
    blend = MotionCompensatedBlend()
    before = after = 0.0
    for i in range(12):
        photo = window(picture, 10 + 2.5 * i, 30 - 1.5 * i, 80, 96)
        flicker = np.clip(photo.astype(int) + 6 * (-1) ** i, 0, 255).astype(np.uint8)
        out = blend(photo, flicker, i / 30)
        if i >= 6:  # by then it has settled
            inner = np.s_[12:-12, 12:-12]
            before += mean_difference(flicker[inner], photo[inner]) / 6
            after += mean_difference(out[inner], photo[inner]) / 6
    assert before > 5
    assert after < 0.5 * before, f"flicker {before:.1f}, blended {after:.1f}"


def test_translated_drawing_stays_sharp():
    picture = texture(120, 160)
    blend = MotionCompensatedBlend()
    for i in range(12):
        photo = window(picture, 10 + 2.5 * i, 30 - 1.5 * i, 80, 96)
        out = blend(photo, 255 - photo, i / 30)
    assert mean_difference(out, 255 - photo) < RESAMPLED


def test_moving_objects_leave_no_ghosts():
    ground, ball = texture(80, 96, seed=1) // 2 + 40, texture(80, 96, seed=2) // 4 + 190
    blend = MotionCompensatedBlend()
    for i in range(6):
        photo = ground.copy()
        x = 4 + 13 * i
        photo[30:50, x : x + 20] = ball[30:50, 20:40]
        out = blend(photo, photo, i / 30)
    assert np.abs(out.astype(int) - photo).max() <= 4 * steady._CLAMP_MARGIN
    assert mean_difference(out, photo) < 0.5


def test_small_frame_of_large_photo():
    photo = texture(120, 160)
    blend = MotionCompensatedBlend()
    for i in range(3):
        out = blend(photo, cv2.resize(photo, (40, 30)), i / 30)
    assert (out.shape, out.dtype) == ((30, 40, 3), np.uint8)
    assert mean_difference(out, cv2.resize(photo, (40, 30))) < LEVEL


def test_size_change_resets_the_blend():
    blend = MotionCompensatedBlend()
    for size in ((40, 48), (40, 48), (30, 48), (48, 40)):
        photo = texture(*size)
        assert blend(photo, 255 - photo, 0.0).shape == photo.shape
    turned = texture(40, 48)
    np.testing.assert_array_equal(blend(turned, turned, 0.0), turned)


def shots():
    """Return eight frames each of two shots, with their times."""
    for i in range(16):
        picture = texture(seed=i // 8) // 2 + np.uint8([0, 100, 0] if i < 8 else [120, 0, 0])
        yield window(picture, 10 + i, 10, 40, 48), i / 30


@pytest.mark.parametrize(
    "options", [{}, {"statistics_seconds": 0.0}, {"blend_seconds": 0.0}], ids=str
)
def test_cut_resets_the_state(stylizer, options):
    video = TemporalStabilizer(stylizer, **options)
    for i, (photo, seconds) in enumerate(shots()):
        out = video(photo, seconds)
        assert (out.shape, out.dtype) == (photo.shape, np.uint8)
        if i in (0, 8):
            np.testing.assert_array_equal(out, stylizer(photo))
        elif i in (3, 11):
            assert not np.array_equal(out, stylizer(photo)), "steadied"
    # As from the first shot to the second, so from a video's end to its beginning.
    photo, seconds = next(shots())
    np.testing.assert_array_equal(video(photo, seconds), stylizer(photo))


def still_shot(begin, end, step=0.25):
    """Return frames of a slowly moving camera, with their times."""
    picture = texture()
    for i in range(round(begin / step), round(end / step)):
        yield window(picture, 10 + i / 4, 10, 40, 48), i * step


def drawn(stylizer, frames, measure_seconds, statistics_seconds=1e-9):
    video = TemporalStabilizer(
        stylizer,
        statistics_seconds=statistics_seconds,
        measure_seconds=measure_seconds,
        blend_seconds=0.0,
    )
    return [video(*frame) for frame in frames]


def test_statistics_are_measured_at_intervals(stylizer):
    frames = list(still_shot(0.25, 2.75))
    found = drawn(stylizer, frames, measure_seconds=1.0)
    for (photo, seconds), anime in zip(frames, found, strict=True):
        if seconds in (0.25, 1.0, 2.0):
            newest = stylizer.measure_statistics(photo)
        expected, _ = stylizer.stylize_ema(photo, None, 1.0, measured=newest)
        assert np.abs(anime.astype(int) - expected).max() <= LEVEL, f"at {seconds} s"
        own = np.abs(anime.astype(int) - stylizer(photo)).max() <= LEVEL
        assert own == (seconds in (0.25, 1.0, 2.0)), f"at {seconds} s"
    # Begun elsewhere, soon the same frames are measured; which a video that goes on relies on.
    later = drawn(stylizer, frames[2:], measure_seconds=1.0)
    np.testing.assert_array_equal(later[1:], found[3:])
    every = drawn(stylizer, frames, measure_seconds=0.0)
    for (photo, _), anime in zip(frames, every, strict=True):
        np.testing.assert_array_equal(anime, stylizer(photo))


def halves(one, other):
    """Return a frame with the mean of two levels and half their distance as deviation."""
    return np.repeat(np.uint8([one, other]), 48)[None, :, None].repeat(72, 0).repeat(3, 2)


def test_light_monitor_by_hand():
    light = _LightMonitor()
    light.add(halves(100, 140), 0.0)
    light.mark_measured()
    light.add(halves(101, 141), 0.1)  # 1 of 20 and 2 levels
    assert not light.changes_fast()
    assert not light.needs_measurement(1.0)
    light.add(halves(102, 142), 0.35)
    assert not light.changes_fast(), "a frame of 0.25 s before"
    assert light.needs_measurement(1.0)
    light.mark_measured()
    assert not light.needs_measurement(1.0)
    light.add(halves(104, 144), 0.45)
    assert light.changes_fast()
    light.mark_measured()
    light.add(halves(102, 146), 0.9)  # of the same mean, log(24 / 22)
    assert light.needs_measurement(1.0)
    light.mark_measured()
    light.add(halves(102, 146), 0.99)
    assert not light.needs_measurement(1.0)
    light.add(halves(102, 146), 1.0)
    assert light.needs_measurement(1.0), "a multiple of it"


def test_change_of_colors_is_measured(stylizer):
    photo = texture(40, 48)
    greener = np.where(np.arange(48)[:, None] < 6, np.uint8([0, 255, 0]), photo)  # an eighth of it
    frames = [(photo, 0.0), (photo, 0.1), (greener, 0.2), (photo[:, ::-1], 0.3)]
    found = drawn(stylizer, frames, measure_seconds=1e6)
    assert np.abs(found[2].astype(int) - stylizer(greener)).max() <= LEVEL
    # What only moves is not: the eighth that was green has gone again, and is.
    assert np.abs(found[3].astype(int) - stylizer(photo[:, ::-1])).max() <= LEVEL


def test_slow_change_is_measured_when_it_is_large(stylizer):
    photo = texture(40, 48)
    frames = [((photo * (1 - 0.004 * i)).astype(np.uint8), 0.1 * i) for i in range(8)]
    found = drawn(stylizer, frames, measure_seconds=1e6)
    own = [
        bool(np.abs(anime.astype(int) - stylizer(photo)).max() <= LEVEL)
        for (photo, _), anime in zip(frames, found, strict=True)
    ]
    assert own[0] and not own[1], own
    assert 1 <= sum(own[2:]) <= 2, own


def test_zero_half_lives_do_nothing(stylizer):
    video = TemporalStabilizer(stylizer, statistics_seconds=0.0, blend_seconds=0.0)
    for photo, seconds in shots():
        np.testing.assert_array_equal(video(photo, seconds), stylizer(photo))


@pytest.mark.parametrize("name", ["animegan_v2", "animegan_v3"])
def test_strength_0_and_max_side(make_stylizer_of, name):
    stylizer = make_stylizer_of(name)
    video = TemporalStabilizer(stylizer.with_settings(strength=0.0))
    small = TemporalStabilizer(stylizer.with_settings(max_side=32))
    for photo, seconds in shots():
        np.testing.assert_array_equal(video(photo, seconds), photo)
        assert small(photo, seconds).shape == (27, 32, 3)


def test_settings(stylizer):
    frames = list(shots())[:3]

    def run(video):
        return np.stack([video(*frame) for frame in frames])

    def by_config(**settings):
        return run(make_stabilizer(stylizer, StabilizerConfig(**settings)))

    np.testing.assert_array_equal(
        by_config(stabilize="off"), np.stack([stylizer(p) for p, _ in frames])
    )
    np.testing.assert_array_equal(by_config(), run(TemporalStabilizer(stylizer)))
    np.testing.assert_array_equal(
        by_config(measure_seconds=0.03), run(TemporalStabilizer(stylizer, measure_seconds=0.03))
    )
    np.testing.assert_array_equal(
        by_config(stabilize="blend", blend_seconds=0.2),
        run(TemporalStabilizer(stylizer, statistics_seconds=0.0, blend_seconds=0.2)),
    )
    np.testing.assert_array_equal(
        by_config(stabilize="statistics", statistics_seconds=2),
        run(TemporalStabilizer(stylizer, statistics_seconds=2.0, blend_seconds=0.0)),
    )
    with pytest.raises(ValueError, match="statistics_seconds: expected a number of at least 0"):
        StabilizerConfig(statistics_seconds=-1)


def test_engine_without_averaged_statistics(stylizer, exports):
    other = Stylizer(exports["animegan_v2"].folder / "saved_model")
    with pytest.raises(ValueError, match="expected an engine that averages .* --stabilize=blend"):
        make_stabilizer(other, StabilizerConfig(stabilize="statistics"))
    video = make_stabilizer(other, StabilizerConfig())
    for photo, seconds in list(shots())[:2]:
        assert video(photo, seconds).shape == photo.shape
    with pytest.raises(ValueError, match="blend_seconds: expected a number of at least 0, got -1"):
        TemporalStabilizer(stylizer, blend_seconds=-1)


def test_statistics_follow_a_change_of_light_at_once(stylizer):
    """A change without a cut must not be drawn with outdated statistics."""
    photo = texture(64, 80)
    video = TemporalStabilizer(stylizer, statistics_seconds=1e6, blend_seconds=0.0)
    video(photo, 0.0)
    for i, part in enumerate(np.linspace(0.98, 0.3, 35)):
        dim = (photo * part).astype(np.uint8)
        held = video(dim, (i + 1) / 30)
    own = stylizer(dim)
    _, first = stylizer.stylize_ema(photo, None, 1.0)
    gone, _ = stylizer.stylize_ema(dim, first, 0.0)
    near, far = mean_difference(held, own), mean_difference(gone, own)
    assert near < 0.6 * far, f"{near:.1f} levels with a tolerance, {far:.1f} without"
