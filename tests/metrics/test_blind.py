import json

import numpy as np
import pytest

from anime_tf.cli import app
from anime_tf.cli.evaluate import COMMAND
from anime_tf.io import pictures
from anime_tf.metrics.blind import count_votes

GRAYS = {"photos": 128, "old": 40, "new": 220}


@pytest.fixture
def folders(tmp_path):
    for name, gray in GRAYS.items():
        (tmp_path / name).mkdir()
        for i in range(6):
            picture_u8 = np.full((32, 48, 3), gray, np.uint8)
            pictures.write_picture(tmp_path / name / f"{i}.png", picture_u8)
    return tmp_path


def make_pairs(folders, key="key.json"):
    results = f"--results={folders / 'new'},{folders / 'old'}"
    places = [f"--photos={folders / 'photos'}", f"--blind={folders / 'pairs'}"]
    return app.run(COMMAND, [*places, results, f"--blind_key={folders / key}"])


def test_pairs_show_each_result_on_its_side(folders):
    assert make_pairs(folders) == app.EXIT_DONE
    key = json.loads((folders / "key.json").read_bytes())
    on_the_left = 0
    for pair in key["pairs"]:
        row = pictures.read_picture(folders / "pairs" / pair["pair"]).rgb_u8
        assert row[10, 10, 0] == GRAYS["photos"]
        left, right = row[10, row.shape[1] // 2, 0], row[10, -10, 0]
        for side, gray in (("left", left), ("right", right)):
            assert gray == GRAYS[pair[side].rsplit("/", 1)[-1]]
        on_the_left += left == GRAYS["new"]
    assert on_the_left == 3
    assert sorted(pair["photo"] for pair in key["pairs"]) == [f"{i}.png" for i in range(6)]
    shown = {path.name for path in (folders / "pairs").iterdir()}
    assert shown == {f"{i:03d}.png" for i in range(1, 7)} | {"votes.csv"}


def test_votes_are_counted_by_the_key(folders, capsys):
    make_pairs(folders)
    key = json.loads((folders / "key.json").read_bytes())
    wanted = ["new", "new", "new", "new", "old", "equal"]
    lines = ["pair,choice"]
    for pair, name in zip(key["pairs"], wanted, strict=True):
        sides = {pair[side].rsplit("/", 1)[-1]: side for side in ("left", "right")}
        lines.append(f"{pair['pair']},{sides.get(name, 'equal')}")
    votes = folders / "viewer.csv"
    votes.write_text("\n".join(lines))
    count = count_votes(folders / "key.json", votes)
    assert list(count.votes.values()) == [4, 1, 1]
    assert count.lost == (key["pairs"][4]["photo"],)
    capsys.readouterr()
    code = app.run(COMMAND, [f"--votes={votes}", f"--blind_key={folders / 'key.json'}"])
    assert code == app.EXIT_DONE and key["pairs"][4]["photo"] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda text: text.replace("001.png,left\n", ""), "001.png"),
        (lambda text: text.replace("002.png,left", "002.png,best"), "002.png (best)"),
        (lambda text: text + "007.png,left\n", "007.png"),
        (lambda text: text + "003.png,left\n", "003.png"),
        (lambda text: "left\n" * 6, "None"),
    ],
)
def test_wrong_votes_are_named(folders, change, named):
    make_pairs(folders)
    votes = folders / "pairs" / "votes.csv"
    votes.write_text(change(votes.read_text().replace(",\n", ",left\n")))
    with pytest.raises(ValueError) as caught:
        count_votes(folders / "key.json", votes)
    assert str(votes) in str(caught.value) and str(caught.value).endswith(named)


def test_a_key_among_the_pairs_is_refused(folders, capsys):
    assert make_pairs(folders, "pairs/key.json") == app.EXIT_NOTHING_DONE
    assert "outside" in capsys.readouterr().err
    assert not (folders / "pairs").exists()
