import numpy as np
from golden_files import assert_close

from anime_tf.io.pictures import write_picture
from anime_tf.models.registry import GENERATORS
from anime_tf.training.samples import sample_sheet


def test_a_sheet_has_a_row_for_each_photo(tmp_path):
    random = np.random.default_rng(0)
    photos = [random.integers(0, 256, size, np.uint8) for size in ((40, 48, 3), (32, 64, 3))]
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, photo in zip(paths, photos, strict=False):
        write_picture(path, photo)
    paths[2].write_bytes(b"no picture")
    sheet = sample_sheet(GENERATORS["animegan_v2"](width=2), paths)
    assert sheet.shape == (72, 128, 3)
    assert_close(sheet[:40, :48], photos[0])
    assert_close(sheet[:40, 96:], 255)
    assert_close(sheet[40:, :64], photos[1])
    assert np.ptp(sheet[40:, 64:]) > 0
    assert sample_sheet(GENERATORS["animegan_v2"](width=2), paths[2:]) is None
