import hashlib
from pathlib import Path

import numpy as np
import pytest

from anime_tf.datasets.pipeline import TrainingPictures
from anime_tf.io.folders import DatasetFolders
from anime_tf.io.geometry import resize
from anime_tf.io.pictures import encode_picture, write_picture

ALL = ("photo", "paired", "anime", "smooth")

# The photos of the first two passes over `flat_folders` with seed 0.
FIRST_ORDER = [12, 14, 11, 10, 13, 14, 10, 13, 11, 12]


def flat(value, size_hw=(12, 12)):
    return np.full((*size_hw, 3), value, np.uint8)


def position_picture(height, width, blue):
    """Encodes a pixel's position in R and G, its stream in B."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([rows, columns, np.full_like(rows, blue)]).astype(np.uint8)


def write_all(folder, pictures):
    folder.mkdir(parents=True)
    paths = []
    for i, picture in enumerate(pictures):
        paths.append(folder / f"{i:02d}.png")
        write_picture(paths[-1], picture)
    return tuple(paths)


@pytest.fixture
def flat_folders(tmp_path):
    """Five photos of gray 10..14, seven anime of 100..106; counterparts are 50 brighter."""
    return DatasetFolders(
        train_photo=write_all(tmp_path / "photo", [flat(10 + i) for i in range(5)]),
        style=write_all(tmp_path / "style", [flat(100 + i) for i in range(7)]),
        smooth=write_all(tmp_path / "smooth", [flat(150 + i) for i in range(7)]),
        val=(),
        paired=write_all(tmp_path / "paired", [flat(60 + i) for i in range(5)]),
    )


def pictures_of(folders, **options):
    options = {"image_size": 8, "batch_size": 2, "seed": 3, **options}
    return TrainingPictures(folders, **options)


def grays(source, slots, stream):
    return [int(source.read_slot(slot, (stream,))[stream][0, 0, 0]) for slot in slots]


def test_every_pass_shows_every_picture_once(flat_folders):
    source = pictures_of(flat_folders)
    passes = [grays(source, range(5 * k, 5 * k + 5), "photo") for k in range(4)]
    assert all(sorted(order) == [10, 11, 12, 13, 14] for order in passes)
    assert len({tuple(order) for order in passes}) > 1
    assert sorted(grays(source, range(7, 14), "anime")) == list(range(100, 107))


def test_order_follows_from_seed_and_stream(flat_folders, tmp_path):
    again = grays(pictures_of(flat_folders), range(35), "photo")
    assert grays(pictures_of(flat_folders), range(35), "photo") == again
    assert grays(pictures_of(flat_folders, seed=4), range(35), "photo") != again
    # as many anime as photos, yet in another order
    same = write_all(tmp_path / "same", [flat(10 + i) for i in range(5)])
    other = DatasetFolders(flat_folders.train_photo, same, (), (), None)
    assert grays(pictures_of(other), range(35), "anime") != again


def test_orders_equal_those_of_earlier_versions(flat_folders):
    # A run must go on with the data that it began with, whatever numpy is installed by then.
    assert grays(pictures_of(flat_folders, seed=0), range(10), "photo") == FIRST_ORDER


def test_batches(flat_folders):
    source = pictures_of(flat_folders)
    dataset = source.batches(0, 4, ALL)
    batches = list(dataset.as_numpy_iterator())
    assert len(batches) == 4
    for name, spec in dataset.element_spec.items():
        assert (spec.shape.as_list(), spec.dtype.name) == ([2, 8, 8, 3], "uint8"), name
    for step, batch in enumerate(batches):
        assert list(batch) == list(ALL)
        assert list(batch["photo"][:, 0, 0, 0]) == grays(source, (2 * step, 2 * step + 1), "photo")
        np.testing.assert_array_equal(batch["paired"], batch["photo"] + 50)
        np.testing.assert_array_equal(batch["smooth"], batch["anime"] + 50)


def test_a_resumed_run_sees_the_batches_of_an_uninterrupted_one(tmp_path):
    random = np.random.RandomState(0)

    def make(count):
        return [random.randint(0, 256, (20, 30, 3)).astype(np.uint8) for _ in range(count)]

    folders = DatasetFolders(
        write_all(tmp_path / "photo", make(5)), write_all(tmp_path / "style", make(3)), (), (), None
    )
    streams = ("photo", "anime")
    unbroken = list(pictures_of(folders, fit="crop").batches(0, 9, streams).as_numpy_iterator())
    resumed = list(pictures_of(folders, fit="crop").batches(4, 5, streams).as_numpy_iterator())
    assert len(resumed) == 5
    for one, other in zip(unbroken[4:], resumed, strict=True):
        for name in streams:
            np.testing.assert_array_equal(one[name], other[name])


def test_fewer_streams_show_the_same(flat_folders):
    source = pictures_of(flat_folders)
    alone = list(source.batches(0, 3, ("photo",)).as_numpy_iterator())
    together = list(source.batches(0, 3, ALL).as_numpy_iterator())
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one["photo"], other["photo"])


@pytest.mark.parametrize("fit", ["resize", "crop"])
def test_iterate_is_batches(flat_folders, fit):
    source = pictures_of(flat_folders, fit=fit)
    for one, other in zip(source.iterate(1, 2, ALL), source.batches(1, 2, ALL), strict=True):
        np.testing.assert_array_equal(one["anime"], other["anime"])


def test_resize_uses_the_whole_picture(tmp_path):
    picture = position_picture(40, 60, 0)
    folders = DatasetFolders(
        write_all(tmp_path / "photo", [picture]),
        write_all(tmp_path / "style", [picture]),
        (),
        (),
        None,
    )
    got = pictures_of(folders, image_size=(10, 20)).read_slot(0, ("photo",))["photo"]
    np.testing.assert_array_equal(got, resize(picture, (10, 20)))


@pytest.fixture
def position_folders(tmp_path):
    def make(blue):
        return [position_picture(40, 60, blue), position_picture(33, 100, blue)]

    return DatasetFolders(
        write_all(tmp_path / "photo", make(1)),
        write_all(tmp_path / "style", make(2)),
        write_all(tmp_path / "smooth", make(3)),
        (),
        write_all(tmp_path / "paired", make(4)),
    )


def test_crops_are_windows_at_full_resolution(position_folders):
    source = pictures_of(position_folders, image_size=(8, 16), fit="crop")
    corners = set()
    for slot in range(40):
        read = source.read_slot(slot, ALL)
        assert all(picture.shape == (8, 16, 3) for picture in read.values())
        for name, picture in read.items():
            assert picture[0, 0, 2] == {"photo": 1, "anime": 2, "smooth": 3, "paired": 4}[name]
            top, left = picture[0, 0, :2]
            expected = position_picture(100, 120, 0)[top : top + 8, left : left + 16, :2]
            np.testing.assert_array_equal(picture[..., :2], expected)
        # counterparts in the same window, the two streams each in their own
        np.testing.assert_array_equal(read["paired"][..., :2], read["photo"][..., :2])
        np.testing.assert_array_equal(read["smooth"][..., :2], read["anime"][..., :2])
        corners |= {("photo", *read["photo"][0, 0, :2]), ("anime", *read["anime"][0, 0, :2])}
    assert len(corners) > 60
    # a stream alone sees the windows that it sees beside its leader
    beside, alone = source.read_slot(7, ALL), source.read_slot(7, ("smooth",))
    np.testing.assert_array_equal(alone["smooth"], beside["smooth"])


def test_every_crop_can_occur(tmp_path):
    folder = write_all(tmp_path / "photo", [position_picture(9, 10, 0)])
    source = pictures_of(DatasetFolders(folder, folder, (), (), None), fit="crop")
    seen = {tuple(source.read_slot(i, ("photo",))["photo"][0, 0, :2]) for i in range(100)}
    assert seen == {(y, x) for y in range(2) for x in range(3)}


def test_crop_enlarges_small_pictures(tmp_path):
    small = position_picture(4, 20, 0)
    folder = write_all(tmp_path / "photo", [small])
    source = pictures_of(DatasetFolders(folder, folder, (), (), None), fit="crop")
    got = source.read_slot(0, ("photo",))["photo"]
    # twice the size covers 8x8; the height then fits exactly, the window moves along the width
    large = resize(small, (8, 40))
    assert any(np.array_equal(got, large[:, x : x + 8]) for x in range(33))


# Of crops before there was augmentation: without it they must stay what they were.
CROP_DIGEST = "834c5528197303f4"


def digest(folders, **options):
    source = pictures_of(folders, image_size=(8, 16), **options)
    found = hashlib.sha256()
    for slot in range(6):
        for picture in source.read_slot(slot, ALL).values():
            found.update(picture.tobytes())
    return found.hexdigest()[:16]


def test_crops_without_augmentation_equal_those_of_earlier_versions(position_folders):
    assert digest(position_folders, fit="crop") == CROP_DIGEST


@pytest.mark.parametrize("fit", ["resize", "crop"])
@pytest.mark.parametrize("options", [{"augment_flip": True}, {"augment_resize": True}])
def test_augmentation_follows_from_seed_and_slot(position_folders, fit, options):
    once = digest(position_folders, fit=fit, **options)
    assert digest(position_folders, fit=fit, **options) == once
    assert digest(position_folders, fit=fit, seed=4, **options) != once
    assert digest(position_folders, fit=fit) != once
    steps = pictures_of(position_folders, fit=fit, **options).batches(2, 1, ALL)
    (batch,) = steps.as_numpy_iterator()
    for place in range(2):
        read = pictures_of(position_folders, fit=fit, **options).read_slot(4 + place, ALL)
        for name in ALL:
            np.testing.assert_array_equal(batch[name][place], read[name])


@pytest.mark.parametrize("fit", ["resize", "crop"])
def test_counterparts_are_mirrored_together(position_folders, fit):
    plain = pictures_of(position_folders, image_size=(8, 16), fit=fit)
    flipped = pictures_of(position_folders, image_size=(8, 16), fit=fit, augment_flip=True)
    mirrored = {"photo": 0, "anime": 0}
    for slot in range(40):
        one, other = plain.read_slot(slot, ALL), flipped.read_slot(slot, ALL)
        for leader, follower in (("photo", "paired"), ("anime", "smooth")):
            is_mirrored = not np.array_equal(one[leader], other[leader])
            mirrored[leader] += is_mirrored
            for name in (leader, follower):
                expected = one[name][:, ::-1] if is_mirrored else one[name]
                np.testing.assert_array_equal(other[name], expected)
    # of 40 fair coins, fewer than 8 or more than 32 are heads once in 20,000 times
    assert all(8 <= count <= 32 for count in mirrored.values())


def test_windows_of_random_size_in_crops(position_folders):
    source = pictures_of(position_folders, image_size=(8, 16), fit="crop", augment_resize=True)
    widths = []
    for slot in range(40):
        read = source.read_slot(slot, ALL)
        for leader, follower in (("photo", "paired"), ("anime", "smooth")):
            assert read[leader].shape == (8, 16, 3)
            np.testing.assert_array_equal(read[leader][..., :2], read[follower][..., :2])
            # R and G say where a pixel lies: their step is how much the window was shrunk
            down, right = np.ptp(read[leader][:, 0, 0]) / 7, np.ptp(read[leader][0, :, 1]) / 15
            assert down == pytest.approx(right, abs=0.2)  # whole pixels, whole levels
            widths.append(right)
    assert min(widths) >= 0.95
    assert max(widths) <= 2.05
    assert min(widths) < 1.2
    assert max(widths) > 1.8


def test_a_window_is_no_larger_than_the_picture(tmp_path):
    folder = write_all(tmp_path / "photo", [position_picture(8, 20, 0)])
    folders = DatasetFolders(folder, folder, (), (), None)
    plain = pictures_of(folders, fit="crop")
    source = pictures_of(folders, fit="crop", augment_resize=True)
    for slot in range(5):
        np.testing.assert_array_equal(
            source.read_slot(slot, ("photo",))["photo"], plain.read_slot(slot, ("photo",))["photo"]
        )


def test_windows_of_random_size_in_resized_pictures(tmp_path):
    ramp = position_picture(200, 200, 0)
    small = resize(ramp, (100, 100))  # a smooth half of the training size
    folders = DatasetFolders(
        write_all(tmp_path / "photo", [ramp]),
        write_all(tmp_path / "style", [ramp]),
        write_all(tmp_path / "smooth", [small]),
        (),
        None,
    )
    source = pictures_of(folders, image_size=100, augment_resize=True)
    shares = []
    for slot in range(40):
        read = source.read_slot(slot, ("anime", "smooth"))
        np.testing.assert_array_equal(read["anime"], read["smooth"])
        shares.append(np.ptp(read["anime"][0, :, 1].astype(int)) / 198)
    assert 1 / 1.125 - 0.02 <= min(shares) < 0.92
    assert 0.97 < max(shares) <= 1


def test_alpha_is_ignored(tmp_path):
    rgba = np.dstack([flat(90), np.zeros((12, 12), np.uint8)])
    folder = write_all(tmp_path / "photo", [rgba])
    source = pictures_of(DatasetFolders(folder, folder, (), (), None))
    np.testing.assert_array_equal(source.read_slot(0, ("photo",))["photo"], flat(90, (8, 8)))


def test_a_broken_picture_is_logged_once_and_its_slot_filled(flat_folders, caplog):
    whole = grays(pictures_of(flat_folders), range(5), "photo")
    broken = flat_folders.train_photo[whole[1] - 10]
    broken.write_bytes(encode_picture(flat(0), ".png")[:40])
    source = pictures_of(flat_folders)
    batches = list(source.batches(0, 5, ("photo",)).as_numpy_iterator())
    assert all(batch["photo"].shape == (2, 8, 8, 3) for batch in batches)
    # the next position of the pass stands in for it
    assert [int(v) for b in batches[:2] for v in b["photo"][:, 0, 0, 0]] == [
        whole[0],
        whole[2],
        whole[2],
        whole[3],
    ]
    assert list(source.broken) == [broken]
    assert caplog.text.count(broken.name) == 1
    # and the order depends on the files alone, not on what was read before
    assert grays(pictures_of(flat_folders), (6,), "photo") == grays(source, (6,), "photo")


def test_pictures_with_a_broken_counterpart_are_skipped(flat_folders):
    flat_folders.smooth[2].write_bytes(b"")
    source = pictures_of(flat_folders)
    seen = [source.read_slot(slot, ("anime", "smooth")) for slot in range(7)]
    assert {int(read["anime"][0, 0, 0]) for read in seen} == {100, 101, 103, 104, 105, 106}
    assert all(read["smooth"][0, 0, 0] == read["anime"][0, 0, 0] + 50 for read in seen)
    assert list(source.broken) == [flat_folders.smooth[2]]


def test_a_stream_without_readable_pictures_is_an_error(flat_folders):
    for path in flat_folders.style:
        path.unlink()
    source = pictures_of(flat_folders)
    with pytest.raises(ValueError, match="style: expected readable anime pictures, got 7 "):
        source.batches(0, 1, ("photo", "anime"))
    assert len(source.broken) == 7
    assert len(list(source.batches(0, 1, ("photo",)))) == 1


def test_crop_needs_counterparts_of_one_size(position_folders):
    write_picture(position_folders.smooth[0], flat(0, (8, 8)))
    source = pictures_of(position_folders, fit="crop")
    match = "smooth.00.png: expected 60x40 pixels .*style.00.png, got 8x8; .*--image_size=0"
    with pytest.raises(ValueError, match=match):
        # whichever of the two pictures comes first
        list(source.iterate(0, 4))
    assert len(list(source.batches(0, 1, ("photo", "anime")))) == 1
    assert len(list(pictures_of(position_folders).batches(0, 4))) == 4  # resize allows any size


def test_errors_inside_the_data_set_are_value_errors(position_folders):
    source = pictures_of(position_folders, fit="crop", batch_size=1)
    order = [int(source.read_slot(slot, ("anime",))["anime"].shape[0]) for slot in range(2)]
    assert order == [8, 8]
    steps = source.iterate(0, 50)
    next(steps)
    for path in position_folders.smooth:
        write_picture(path, flat(0, (9, 9)))
    with pytest.raises(ValueError, match="got 9x9") as raised:
        list(steps)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 7), (2, 3), (7, 1), (50, 1)])
def test_steps_per_epoch(flat_folders, batch_size, steps):
    assert pictures_of(flat_folders, batch_size=batch_size).steps_per_epoch == steps


def test_a_batch_larger_than_the_data_set(flat_folders):
    (batch,) = pictures_of(flat_folders, batch_size=12).batches(0, 1, ("photo",))
    counts = np.bincount(batch["photo"].numpy()[:, 0, 0, 0])
    assert sorted(counts[10:15]) == [2, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "expected an image_size of at least 1"),
        ({"batch_size": 0}, "expected a batch_size of at least 1"),
        ({"seed": -1}, "expected a seed of at least 0"),
        ({"fit": "squeeze"}, "expected fit to be one of resize, crop, got 'squeeze'"),
    ],
)
def test_arguments_out_of_range(flat_folders, options, message):
    with pytest.raises(ValueError, match=message):
        pictures_of(flat_folders, **options)


def test_missing_streams(flat_folders):
    source = pictures_of(flat_folders)
    with pytest.raises(ValueError, match="expected different streams of photo, paired"):
        source.batches(0, 1, ("photo", "edges"))
    bare = pictures_of(DatasetFolders(flat_folders.train_photo, flat_folders.style, (), (), None))
    with pytest.raises(ValueError, match="expected smooth pictures, got a listing without"):
        bare.batches(0, 1)
    with pytest.raises(ValueError, match="expected paired pictures, got a listing without"):
        bare.batches(0, 1, ("photo", "paired"))
    with pytest.raises(ValueError, match="expected 7 smooth pictures, .* anime picture, got 1"):
        pictures_of(
            DatasetFolders(flat_folders.train_photo, flat_folders.style, (Path("a"),), (), None)
        )
