import os
import threading
from fractions import Fraction

import cv2
import numpy as np
import pytest
from small_videos import moving, read, write_video

from anime_tf.io.video.open import open_reader, open_writer
from anime_tf.io.video.readers.camera import CameraReader
from anime_tf.io.video.span import WHOLE, Span
from anime_tf.io.video.writers.preview import PreviewWriter, no_window_reason

# There is no camera where tests run, but OpenCV opens a video by the same class.


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "a.avi"
    write_video(path, moving(30), codec="mjpeg", pixels="yuvj420p")
    return str(path)


def record(camera, target, most=None):
    with camera, open_writer(target, camera) as writer:
        for frame in camera.items():
            writer.write_frame(frame)
            if camera.count == most:
                camera.stop()


def test_camera_records_until_stopped(video, tmp_path):
    camera = CameraReader(video, WHOLE)
    assert (camera.rate, camera.expected_frames) == (10, None)
    record(camera, tmp_path / "b.mp4", most=7)
    after = read(tmp_path / "b.mp4")
    assert len(after.frames) == camera.count == 7
    assert all(a < b for a, b in zip(after.times, after.times[1:], strict=False))
    # OpenCV gives BGR
    shades = [frame.mean() for frame in after.frames]
    assert np.abs(np.subtract(shades, [f.mean() for f in moving(30)[:7]])).max() <= 8


def test_camera_records_until_span_ends(video, tmp_path):
    camera = CameraReader(video, Span(end=Fraction(3, 1000)))
    record(camera, tmp_path / "b.mp4")
    # times are those of the clock, at least a millisecond apart
    assert 1 <= camera.count <= 3


def test_another_thread_can_stop_the_camera(video):
    camera = CameraReader(video, WHOLE)
    thread = threading.Timer(0.0, camera.stop)
    with camera:
        frames = camera.items()
        next(frames)
        thread.start()
        thread.join()
        assert list(frames) == []


@pytest.mark.skipif(os.path.exists("/dev/video99"), reason="there is a camera of this number")
def test_missing_camera_raises(capfd):
    with pytest.raises(ValueError, match="camera 99: expected a camera, got none that opens"):
        open_reader("99")
    assert capfd.readouterr().err == ""


def test_preview_without_display_raises(video, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    if no_window_reason() is None:
        pytest.skip("this system shows windows without DISPLAY")
    with open_reader(video) as source:
        with pytest.raises(ValueError, match="no window to show a preview in: .*; use --nopreview"):
            open_writer(tmp_path / "b.mp4", source, preview=True)
        assert not isinstance(open_writer(tmp_path / "b.mp4", source, preview=None), PreviewWriter)


@pytest.mark.skipif(no_window_reason() is not None, reason="no window can be shown here")
def test_preview_shows_written_frames(video, tmp_path):
    with open_reader(video) as source:
        with open_writer(tmp_path / "b.mp4", source, preview=True) as writer:
            assert isinstance(writer, PreviewWriter)
            for frame in source.frames():
                writer.write_frame(frame)
        assert len(read(tmp_path / "b.mp4").frames) == 30


def test_opencv_has_no_windows():
    """The preview uses Tk because the required OpenCV package is headless."""
    if "GUI:                           NONE" not in cv2.getBuildInformation():
        pytest.skip("another OpenCV is installed")
    with pytest.raises(cv2.error):
        cv2.imshow("window", np.zeros((4, 4, 3), np.uint8))
