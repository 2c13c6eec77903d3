"""Clips that nobody asks for any more."""

import time

import pytest
from small_films import moving, write_film

from anime_tf.web.clips import Clips
from anime_tf.web.limits import Limits
from anime_tf.web.studio import Options

LIMITS = Limits(unseen_seconds=100.0, kept_seconds=1000.0)


@pytest.fixture
def clips(server, tmp_path):
    clips = Clips(server.studio, tmp_path, LIMITS, clock=lambda: clips.now)
    clips.now = 0.0
    yield clips
    clips.forget_all()


def test_work_that_nobody_waits_for_is_stopped(clips, tmp_path):
    clip = clips.begin()
    write_film(tmp_path / "a.mp4", moving(100))
    clip.source.write_bytes((tmp_path / "a.mp4").read_bytes())
    clips.start(clip, Options("small"))
    clips.now = 99.0
    clips.sweep()
    assert clips.find(clip.id) is clip
    clips.now = 198.0
    clips.sweep()
    assert clips.find(clip.id) is clip, "it was asked for at 99"
    clips.now = 299.0
    clips.sweep()
    assert clips.find(clip.id) is None
    end = time.monotonic() + 10
    while clip.source.parent.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert clip.progress.done < 100


def test_what_is_done_is_kept_for_a_while(clips, tmp_path):
    clip = clips.begin()
    write_film(clip.source.with_suffix(".mp4"), moving(2))
    clip.source.with_suffix(".mp4").rename(clip.source)
    clips.start(clip, Options("small"))
    clip._work.result(20)
    assert clip.state == "done" and clip.target.is_file()
    clips.now = 999.0
    clips.sweep()
    assert clip.target.is_file()
    clips.now = 1001.0
    clips.sweep()
    assert not clip.source.parent.exists()


def test_an_upload_under_way_is_no_clip_yet(clips):
    clip = clips.begin()
    assert clips.find(clip.id) is None
    clips.now = 1e6
    clips.sweep()
    assert clip.source.parent.is_dir(), "the connection's own patience ends it"
    clips.forget(clip)
    assert not clip.source.parent.exists()
