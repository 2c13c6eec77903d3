import dataclasses
import json
import signal
import subprocess
import sys
import time
from fractions import Fraction

import av
import numpy as np
import pytest
import small_videos
from small_videos import REST, TOP_LEFT, marked
from video_scenes import barred, blurred, scene, with_dot

from anime_tf.datasets.extract.extractor import ALL_FRAMES, FrameSettings, extract_frames
from anime_tf.datasets.extract.manifest import MANIFEST, Manifest
from anime_tf.io.folders import find_pictures
from anime_tf.io.pictures import read_picture, write_picture

# Lossy films and YUV's rounding; channels and places mixed up are off by 100 and more.
FILM_STEPS = 12

# What a frame must have is asked for in some tests only.
PLAIN = FrameSettings(every=1)


def record_of(report):
    (video,) = report.videos
    assert video.record is not None
    return video.record


def write_video(path, frames, *, codec="ffv1", pixels="bgr0", colorspace="ITU601", set_up=None):
    def prepare(stream):
        if codec == "mpeg4":
            stream.codec_context.qmin = stream.codec_context.qmax = 1
        if set_up is not None:
            set_up(stream)

    small_videos.write_video(
        path, frames, codec=codec, pixels=pixels, colors=(colorspace, 1), set_up=prepare
    )


def corners(path):
    return small_videos.corners(read_picture(path).rgb_u8)


def names_in(folder):
    return [path.name for path in find_pictures(folder)]


def bytes_in(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_nth_frame_exactly(tmp_path):
    frames = [np.full((16, 24, 3), (i, 100, 255 - i), np.uint8) for i in range(11)]
    write_video(tmp_path / "my film.mkv", frames)
    settings = dataclasses.replace(ALL_FRAMES, every=5)
    report = extract_frames([tmp_path / "my film.mkv"], tmp_path / "new" / "out", settings)
    assert (record_of(report).frames, report.problems) == (11, ())
    names = ["my film_000000.png", "my film_000005.png", "my film_000010.png"]
    assert [path.name for path in report.written] == names
    assert [path.name for path in find_pictures(tmp_path / "new" / "out")] == names
    for path, i in zip(report.written, (0, 5, 10), strict=True):
        np.testing.assert_array_equal(read_picture(path).rgb_u8, frames[i])


def test_rotated_videos_become_upright(tmp_path):
    film = tmp_path / "phone.mp4"

    def clockwise(stream):
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV can read rotated films, but not write one for the test")
        stream.set_display_rotation(-90)

    write_video(film, [marked()] * 2, codec="mpeg4", pixels="yuv420p", set_up=clockwise)
    (path, _) = extract_frames([film], tmp_path / "out").written
    assert read_picture(path).size_hw == (64, 48)
    # what was top left is now top right
    assert np.abs(corners(path) - [REST, TOP_LEFT, REST, REST]).max() <= FILM_STEPS


def test_pixels_become_square(tmp_path):
    film = tmp_path / "dvd.mp4"

    def wide(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)

    write_video(film, [marked()], codec="mpeg4", pixels="yuv420p", set_up=wide)
    (path,) = extract_frames([film], tmp_path / "out").written
    assert read_picture(path).size_hw == (48, 128)
    assert np.abs(corners(path) - [TOP_LEFT, REST, REST, REST]).max() <= FILM_STEPS


@pytest.mark.parametrize(("height", "colorspace"), [(64, "ITU601"), (720, "ITU709")])
def test_unspecified_colors_follow_from_the_height(tmp_path, height, colorspace):
    film = tmp_path / "film.mkv"
    write_video(film, [marked(height)], codec="mpeg4", pixels="yuv420p", colorspace=colorspace)
    (path,) = extract_frames([film], tmp_path / "out").written
    assert np.abs(corners(path) - [TOP_LEFT, REST, REST, REST]).max() <= FILM_STEPS


def test_a_truncated_video_gives_its_intact_frames(tmp_path, caplog):
    film = tmp_path / "cut.mkv"
    random = np.random.RandomState(0)
    frames = [random.randint(0, 256, (32, 48, 3)).astype(np.uint8) for _ in range(40)]
    write_video(film, frames)
    data = film.read_bytes()
    film.write_bytes(data[: len(data) // 2])
    report = extract_frames([film], tmp_path)
    assert 15 <= len(report.written) == record_of(report).frames <= 20
    np.testing.assert_array_equal(read_picture(report.written[14]).rgb_u8, frames[14])
    (damage,) = report.problems
    assert "cut.mkv: " in damage
    assert damage in caplog.text


def test_damage_within_a_video_is_reported(tmp_path):
    film = tmp_path / "damaged.mp4"
    random = np.random.RandomState(0)
    frames = [random.randint(0, 256, (32, 48, 3)).astype(np.uint8) for _ in range(8)]
    write_video(film, frames, codec="png", pixels="rgb24")
    data = bytearray(film.read_bytes())
    third = [at for at in range(len(data)) if data[at : at + 8] == b"\x89PNG\r\n\x1a\n"][2]
    data[third : third + 8] = bytes(8)
    film.write_bytes(data)
    report = extract_frames([film], tmp_path)
    assert record_of(report).frames == 7
    assert "damaged after" in report.problems[0]


def test_other_files_are_reported(tmp_path):
    note = tmp_path / "note.mp4"
    note.write_text("no film")
    with pytest.raises(ValueError, match="note.mp4: expected a video that FFmpeg reads, got"):
        extract_frames([note], tmp_path / "out")
    with pytest.raises(
        FileNotFoundError, match="gone.mp4: no such file or folder; expected a video"
    ):
        extract_frames([tmp_path / "gone.mp4"], tmp_path / "out")
    with pytest.raises(ValueError, match="expected a video, got a folder"):
        extract_frames([tmp_path], tmp_path / "out")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    report = extract_frames([note, tmp_path / "loop.mp4"], tmp_path / "out")
    assert [line.split(": ")[0] for line in report.problems] == [
        str(note),
        str(tmp_path / "loop.mp4"),
    ]
    with pytest.raises(ValueError, match="every: expected an integer of at least 1, got 0"):
        FrameSettings(every=0)
    assert not (tmp_path / "out").exists()


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "song.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="song.wav: expected a video, got a file without one"):
        extract_frames([path], tmp_path / "out")


def test_rejected_frames_and_reasons(tmp_path):
    film = tmp_path / "film.mkv"
    good = [scene(i) for i in range(3)]
    flat = np.full_like(good[0], 200)
    near = with_dot(good[1], 60)
    write_video(film, [good[0], good[0] // 30, flat, good[1], near, blurred(scene(9)), good[2]])
    report = extract_frames([film], tmp_path / "out", PLAIN)
    assert names_in(tmp_path / "out") == [f"film_00000{i}.png" for i in (0, 3, 6)]
    assert record_of(report).rejected == {
        "near-black": 1,
        "near-blank": 1,
        "near-duplicate": 1,
        "blurred": 1,
    }
    assert record_of(report).finished
    assert (record_of(report).frames, record_of(report).candidates) == (7, 7)


def test_the_manifest_records_the_origin_of_each_picture(tmp_path):
    film = tmp_path / "film.mkv"
    write_video(film, [barred(scene(i // 5) // 2 + 100, 20) for i in range(20)])
    settings = dataclasses.replace(PLAIN, trim=(0, 25, 12.5, 0))
    report = extract_frames([film], tmp_path / "out", settings)
    lines = (tmp_path / "out" / MANIFEST).read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["picture"] for entry in entries] == [path.name for path in report.written]
    assert [(entry["frame"], entry["seconds"]) for entry in entries] == [
        (0, 0.0),
        (5, 0.5),
        (10, 1.0),
        (15, 1.5),
    ]
    # 96 rows less 2 and 2 at the bars, less 25 % below; 128 columns less 12.5 % at the left
    assert entries[0]["box"] == [22, 16, 92 - 23, 112]
    assert record_of(report).box == (22, 0, 92, 128)
    picture = read_picture(report.written[1]).rgb_u8
    np.testing.assert_array_equal(picture, (scene(1) // 2 + 100)[2 : 2 + 69, 16:])


def test_a_fade_in_gives_a_bright_frame(tmp_path):
    film = tmp_path / "film.mkv"
    fade = [(scene(0) * (i / 8)).astype(np.uint8) for i in range(1, 9)]
    write_video(film, [*fade, *[scene(0)] * 5, scene(1)])
    (path, _) = extract_frames([film], tmp_path / "out", PLAIN).written
    assert read_picture(path).rgb_u8.std() >= 0.8 * scene(0).std()


def test_videos_with_the_same_frame_give_it_once(tmp_path):
    write_video(tmp_path / "a.mkv", [scene(0), scene(1)])
    write_video(tmp_path / "b.mkv", [scene(1), scene(2)])
    report = extract_frames([tmp_path / "a.mkv", tmp_path / "b.mkv"], tmp_path / "out", PLAIN)
    assert names_in(tmp_path / "out") == ["a_000000.png", "a_000001.png", "b_000001.png"]
    assert [video.record.rejected for video in report.videos] == [{}, {"near-duplicate": 1}]


def test_existing_pictures_count_as_duplicates(tmp_path):
    film, out = tmp_path / "film.mkv", tmp_path / "out"
    out.mkdir()
    write_picture(out / "mine.jpg", scene(0))
    (out / "broken.png").write_bytes(b"")
    write_video(film, [scene(0), scene(1)])
    extract_frames([film], out, PLAIN)
    assert names_in(out) == ["broken.png", "film_000001.png", "mine.jpg"]


def test_one_picture_per_shot(tmp_path):
    film = tmp_path / "film.mkv"
    write_video(film, [with_dot(scene(s), 3 * i) for s in range(3) for i in range(10)])
    report = extract_frames([film], tmp_path / "out", dataclasses.replace(PLAIN, scenes=True))
    numbers = [int(path.stem[-6:]) for path in report.written]
    assert [number // 10 for number in numbers] == [0, 1, 2]
    assert all(2 <= number % 10 <= 7 for number in numbers)


@pytest.mark.parametrize("mode", ["random", "grid"])
def test_crops_are_windows_of_the_frame(tmp_path, mode):
    film = tmp_path / "film.mkv"
    write_video(film, [scene(0, 200, 260), scene(1, 200, 260)])
    settings = dataclasses.replace(PLAIN, crops=3, crop_size=90, crop_mode=mode)
    report = extract_frames([film], tmp_path / "out", settings)
    frames = [scene(0, 200, 260), scene(1, 200, 260)]
    entries = Manifest(tmp_path / "out").entries
    assert len(report.written) == len(entries) >= 4
    for path in report.written:
        entry = entries[path.name]
        top, left, height, width = entry.box
        window = frames[entry.frame][top : top + height, left : left + width]
        np.testing.assert_array_equal(read_picture(path).rgb_u8, window)
        assert (height, width) == (90, 90)
        assert path.name.startswith(f"film_{entry.frame:06d}_0")


def test_crops_without_detail_are_rejected(tmp_path):
    film = tmp_path / "film.mkv"
    half = np.concatenate([scene(0, 100, 200), np.full((100, 200, 3), 240, np.uint8)])
    write_video(film, [half])
    settings = dataclasses.replace(PLAIN, crops=8, crop_size=100, crop_mode="grid")
    report = extract_frames([film], tmp_path / "out", settings)
    assert record_of(report).rejected == {"crop without detail": 2}
    assert sorted(e.box[:2] for e in Manifest(tmp_path / "out").entries.values()) == [
        (0, 0),
        (0, 100),
    ]


def test_frames_smaller_than_a_crop(tmp_path):
    film = tmp_path / "film.mkv"
    write_video(film, [scene(0)])
    settings = dataclasses.replace(PLAIN, crops=1, crop_size=97)
    report = extract_frames([film], tmp_path / "out", settings)
    assert record_of(report).rejected == {"smaller than 97 pixels": 1}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("crops", [0, 2])
def test_an_interrupted_call_resumes(tmp_path, crops):
    films = [tmp_path / "a.mkv", tmp_path / "b.mkv"]
    write_video(films[0], [scene(i % 7, 120, 160) for i in range(9)])
    write_video(films[1], [scene(i, 120, 160) for i in range(5, 12)])
    settings = dataclasses.replace(PLAIN, crops=crops, crop_size=60)
    whole = extract_frames(films, tmp_path / "whole", settings)
    out = tmp_path / "parts"
    steps = 0
    while extract_frames(films, out, settings, max_pictures=3).full:
        steps += 1
    assert steps == len(whole.written) // 3
    assert bytes_in(out) == bytes_in(tmp_path / "whole")
    again = extract_frames(films, out, settings)
    assert again.written == ()
    assert all(video.finished_before for video in again.videos)
    assert bytes_in(out) == bytes_in(tmp_path / "whole")


def test_a_killed_call_resumes_and_deleted_pictures_stay_deleted(tmp_path):
    film, out = tmp_path / "film.mkv", tmp_path / "out"
    write_video(film, [scene(i) for i in range(6)])
    extract_frames([film], tmp_path / "whole", PLAIN)
    extract_frames([film], out, PLAIN, max_pictures=3)
    # killed between a picture and its line
    write_picture(out / "film_000003.png", scene(3))
    (out / "film_000001.png").unlink()
    extract_frames([film], out, PLAIN)
    expected = bytes_in(tmp_path / "whole")
    del expected["film_000001.png"]
    assert bytes_in(out) == expected


def test_an_interrupt_leaves_complete_files_and_manifest(tmp_path):
    film, out = tmp_path / "film.mkv", tmp_path / "out"
    write_video(film, [scene(i) for i in range(600)])
    command = [sys.executable, "-m", "anime_tf", "dataset", "frames", f"--input={film}"]
    command += [f"--output={out}", "--every=1", "--min_distance=0"]

    def heed_interruptions():  # which a shell turns off for what it runs in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interruptions
    ) as running:
        while running.poll() is None and not (out / "film_000005.png").exists():
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        told = running.communicate()[1]
    assert running.returncode == 130, told
    assert told.strip().splitlines()[-1].endswith("interrupted")
    manifest = Manifest(out)
    names = names_in(out)
    assert 5 <= len(names) < 600
    assert names == list(manifest.entries) == [f"film_{i:06d}.png" for i in range(len(names))]
    assert all(read_picture(out / name).size_hw == (96, 128) for name in names)
    assert not manifest.videos["film.mkv"].finished
    assert not list(out.glob(".*"))


def test_other_settings_other_videos_and_existing_files_are_refused(tmp_path):
    film, out = tmp_path / "film.mkv", tmp_path / "out"
    write_video(film, [scene(0), scene(1)])
    extract_frames([film], out, PLAIN)
    with pytest.raises(ValueError, match=r"expected the settings .*: every=1, got 2; use"):
        extract_frames([film], out, dataclasses.replace(PLAIN, every=2))
    write_video(film, [scene(0), scene(1), scene(2)])
    with pytest.raises(ValueError, match=r"film.mkv: expected \d+ bytes, .* got \d+ bytes; "):
        extract_frames([film], out, PLAIN)
    write_video(tmp_path / "film.mov", [scene(0)], codec="png", pixels="rgb24")
    with pytest.raises(ValueError, match="film.mkv: expected distinct names, got .*film.mov"):
        extract_frames([tmp_path / "film.mov"], out, PLAIN)
    strange = tmp_path / "strange"
    strange.mkdir()
    write_picture(strange / "film_000000.png", scene(50))
    with pytest.raises(OSError, match="film_000000.png: exists, and is not in manifest.jsonl"):
        extract_frames([film], strange, PLAIN)
    np.testing.assert_array_equal(read_picture(strange / "film_000000.png").rgb_u8, scene(50))


def test_one_unreadable_video_among_several(tmp_path, caplog):
    write_video(tmp_path / "a.mkv", [scene(0)])
    (tmp_path / "b.mkv").write_text("no film")
    write_video(tmp_path / "c.mkv", [scene(1)])
    films = [tmp_path / f"{name}.mkv" for name in "abc"]
    report = extract_frames(films, tmp_path / "out", PLAIN)
    assert len(report.written) == 2
    assert report.readable == 2
    assert "b.mkv: expected a video" in report.problems[0]
    assert "b.mkv" in caplog.text


def test_settings_out_of_range(tmp_path):
    for changes, message in [
        ({"min_distance": 65}, "min_distance: expected an integer from 0 to 64"),
        ({"crop_mode": "spiral"}, "crop_mode: expected one of random, grid"),
        ({"crops": -1}, "crops: expected an integer of at least 0"),
        ({"trim": (50, 45, 0, 0)}, "trim: expected four percents"),
    ]:
        with pytest.raises(ValueError, match=message):
            FrameSettings(**changes)
    with pytest.raises(ValueError, match="expected max_pictures of at least 0"):
        extract_frames([tmp_path / "a"], tmp_path / "out", max_pictures=-1)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file: expected a folder"):
        extract_frames([tmp_path / "a"], tmp_path / "file")
