import os
import threading
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest
from small_videos import moving, read, write_video

from anime_tf.io.video.open import open_reader, open_writer
from anime_tf.io.video.readers.camera import CameraReader, OpenCVCamera
from anime_tf.io.video.span import WHOLE, Span
from anime_tf.io.video.writers.preview import PreviewWriter, no_window_reason

# There is no camera where tests run, but OpenCV opens a video by the same class.


class TakenCamera:
    """Gives the next frame when the last one was taken; a camera drops it instead."""

    def __init__(self, path):
        self._camera = OpenCVCamera(path)
        self.rate = self._camera.rate
        self.taken = threading.Semaphore()

    def read(self):
        self.taken.acquire(timeout=10)
        return self._camera.read()

    def close(self):
        self._camera.close()


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "a.avi"
    write_video(path, moving(30), codec="mjpeg", pixels="yuvj420p")
    return str(path)


@pytest.fixture
def camera(video):
    return TakenCamera(video)


def record(camera, reader, target, most=None):
    with reader, open_writer(target, reader) as writer:
        for frame in reader.items():
            writer.write_frame(frame)
            if reader.count == most:
                reader.stop()
            camera.taken.release()
        reader.stop()
        camera.taken.release()  # the read that waits


def test_camera_records_until_stopped(camera, tmp_path):
    reader = CameraReader(camera, "camera", WHOLE)
    assert (reader.rate, reader.expected_frames, reader.is_live) == (10, None, True)
    record(camera, reader, tmp_path / "b.mp4", most=7)
    after = read(tmp_path / "b.mp4")
    assert len(after.frames) == reader.count == 7
    assert all(a < b for a, b in zip(after.times, after.times[1:], strict=False))
    # OpenCV gives BGR
    shades = [frame.mean() for frame in after.frames]
    assert np.abs(np.subtract(shades, [f.mean() for f in moving(30)[:7]])).max() <= 8
    assert reader.dropped == 0


def test_camera_records_until_it_or_the_span_ends(camera, video, tmp_path):
    reader = CameraReader(camera, "camera", WHOLE)
    record(camera, reader, tmp_path / "b.mp4")
    assert reader.count == 30
    camera = TakenCamera(video)
    reader = CameraReader(camera, "camera", Span(end=Fraction(3, 1000)))
    record(camera, reader, tmp_path / "b.mp4")
    # times are those of the clock, at least a millisecond apart
    assert 1 <= reader.count <= 3


def test_another_thread_can_stop_the_camera(camera):
    reader = CameraReader(camera, "camera", WHOLE)
    thread = threading.Timer(0.0, reader.stop)
    with reader:
        frames = reader.items()
        next(frames)
        thread.start()
        thread.join()
        camera.taken.release()
        assert list(frames) == []


def test_only_the_newest_frame_is_kept(camera):
    with CameraReader(camera, "camera", WHOLE) as reader:
        frames = reader.frames()
        next(frames)
        camera.taken.release(4)
        while reader.dropped < 3:
            time.sleep(0.001)
        newest = next(frames).rgb_u8
        assert np.abs(newest.astype(int) - moving(30)[4]).mean() < 8
        assert (reader.count, reader.dropped) == (2, 3)
        reader.stop()
        camera.taken.release()


def test_an_error_of_the_camera_is_raised():
    class Broken:
        rate = 0.0

        def read(self):
            raise OSError("unplugged")

        def close(self):
            pass

    with CameraReader(Broken(), "camera", WHOLE) as reader:
        assert reader.rate == 30
        with pytest.raises(OSError, match="unplugged"):
            list(reader.frames())


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
