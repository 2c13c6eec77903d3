import numpy as np
import pytest

from anime_tf.datasets.exposure import expose
from anime_tf.io.folders import DatasetFolders
from anime_tf.io.pictures import read_picture, write_picture
from anime_tf.models.live import Exposure

HALF_A_LEVEL = 0.5 / 127.5 + 1e-5


@pytest.mark.parametrize("brightness", [20, 90, 128, 200, 245])
def test_it_is_the_layer_rounded(brightness):
    rng = np.random.default_rng(0)
    photo_u8 = rng.integers(max(0, 2 * brightness - 255), min(255, 2 * brightness), (12, 16, 3))
    photo_u8 = photo_u8.astype(np.uint8)
    layer = np.asarray(Exposure()(photo_u8[None] / np.float32(127.5) - 1))[0]
    np.testing.assert_allclose(expose(photo_u8) / 127.5 - 1, layer, atol=HALF_A_LEVEL)


def test_windows_are_exposed_by_the_mean_of_their_photo(tmp_path):
    from anime_tf.datasets.pipeline import TrainingPictures

    photo_u8 = np.full((32, 64, 3), 20, np.uint8)
    photo_u8[:, 32:] = 120
    path = tmp_path / "a.png"
    write_picture(path, photo_u8)
    folders = DatasetFolders(train_photo=(path,), style=(path,), smooth=(), val=(), paired=(path,))
    pictures = TrainingPictures(
        folders, image_size=16, batch_size=1, seed=0, fit="crop", exposed=True
    )
    levels = set(np.unique(expose(read_picture(path).rgb_u8)))
    read = pictures.read_slot(0, ("photo", "paired"))
    assert set(np.unique(read["photo"])) <= levels
    assert set(np.unique(read["paired"])) <= {20, 120}
