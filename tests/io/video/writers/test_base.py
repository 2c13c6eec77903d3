"""Writers of videos on full disks."""

import numpy as np
import pytest
from full_disk import file_size_limit
from small_videos import write_video

from anime_tf.errors import error_line
from anime_tf.io.video.open import open_reader, open_writer


@pytest.mark.parametrize(
    "name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.gif", "a.webp", "frames/"]
)
@pytest.mark.parametrize("size", [0, 500, 20_000])  # in the header, the first frame, the middle
def test_errors_name_the_output_and_nothing_stays(name, size, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), np.uint8)
    write_video(tmp_path / "source.mp4", list(noise), audio="aac")
    output = f"{tmp_path}/{name}"
    if size == 20_000 and name == "frames/":
        size = 12_000  # of a picture
    with (
        open_reader(tmp_path / "source.mp4") as reader,
        pytest.raises(OSError) as told,
        file_size_limit(size),
        open_writer(output, reader) as writer,
    ):
        for item in reader.items():
            if hasattr(item, "rgb_u8"):
                writer.write_frame(item)
            else:
                writer.write_packet(item)
    line = error_line(told.value)
    assert line.startswith(output), line
    assert ".tmp" not in line and "\n" not in line and "too large" in line.lower()
    assert [path.name for path in tmp_path.rglob("*")] == ["source.mp4"]
