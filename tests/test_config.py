"""Settings that check themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from anime_tf.config import Config, did_you_mean, setting, settings


def even(value):
    value = int(value)
    if value % 2:
        raise ValueError("expected an even number")
    return value


@dataclass(frozen=True)
class Base(Config):
    """Some settings.

    Attributes:
        path: A file.
        ratio: A number, whose text goes on
            in a second line.
    """

    path: str = setting()
    ratio: float = setting(0.5, minimum=0, below=1)


@dataclass(frozen=True)
class More(Base):
    """More settings.

    Attributes:
        count: A count.
        words: Words.
        size: A size.
        secret: Without a flag.
        free: A number without limits.
        whole: An integer without limits.
    """

    FLAG_PREFIX: ClassVar[str] = "more_"

    count: int | None = setting(None, minimum=1, maximum=9, flag="n")
    words: tuple[str, ...] = setting(("a",), choices=("a", "bee"))
    size: int = setting(2, convert=even)
    secret: bool = setting(False, flag=False)
    free: float = setting(0.0, flag=False)
    whole: int = setting(0, flag=False)


def test_settings_are_described_by_their_fields_and_docstrings():
    found = settings(More)
    assert list(found) == ["path", "ratio", "count", "words", "size", "secret", "free", "whole"]
    assert found["path"].required
    assert found["ratio"].help == "A number, whose text goes on in a second line."
    assert [one.flag for one in found.values()] == [
        "more_path",
        "more_ratio",
        "n",
        "more_words",
        "more_size",
        *("", "", ""),
    ]
    assert (found["count"].type, found["count"].optional) == (int, True)
    assert found["count"].expected == "an integer from 1 to 9"
    assert found["ratio"].expected == "a number of at least 0 and below 1"


def test_values_are_converted():
    config = More(Path("a"), np.float32(0.25), np.int64(3), ["bee"], "4")
    assert config == More(Path("a"), 0.25, 3, ("bee",), 4)
    assert [type(value) for value in (config.ratio, config.count)] == [float, int]
    assert config.replace(count=None).count is None
    assert config.flag_values() == {
        "more_path": Path("a"),
        "more_ratio": 0.25,
        "n": 3,
        "more_words": ("bee",),
        "more_size": 4,
    }


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ratio", float("nan"), "ratio: expected a number of at least 0 and below 1, got nan"),
        ("free", float("nan"), "free: expected a number, got nan"),
        ("free", -float("inf"), "free: expected a number, got -inf"),
        ("free", 10**400, "free: expected a number, got 1000"),
        ("free", True, "free: expected a number, got True"),
        ("whole", 1.5, "whole: expected an integer, got 1.5"),
        ("whole", 2**63, "whole: expected an integer, got 9223372036854775808"),
        ("path", 5, "path: expected a string, got 5"),
        ("ratio", 1.0, "ratio: expected a number of at least 0 and below 1, got 1.0"),
        ("ratio", float("nan"), "ratio: expected a number"),
        ("ratio", True, "ratio: expected a number"),
        ("ratio", "0.5", "ratio: expected a number"),
        ("count", 10, "count: expected an integer from 1 to 9, got 10"),
        ("count", True, "count: expected an integer"),
        ("count", 1.5, "count: expected an integer"),
        ("words", ("a", "be"), "expected different ones of a, bee; did you mean bee?, got"),
        ("words", ("a", "a"), "words: expected different ones of a, bee, got"),
        ("words", (), "words: expected different ones of"),
        ("size", 3, "size: expected an even number, got 3"),
        ("secret", 1, "secret: expected true or false, got 1"),
        ("path", None, "path: expected a string, got None"),
    ],
)
def test_wrong_values(name, value, words):
    with pytest.raises(ValueError, match=words.replace("?", r"\?")):
        More("a").replace(**{name: value})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ratio", "0.25", 0.25),
        ("count", "3", 3),
        ("words", "bee, a", ("bee", "a")),
        ("size", "4", 4),
        ("secret", "True", True),
        ("secret", "0", False),
    ],
)
def test_texts_are_parsed(name, text, value):
    assert settings(More)[name].parse(text) == value


def test_mappings():
    assert Base.from_dict({"path": "a"}) == Base("a")
    with pytest.raises(ValueError, match="settings of Base, got ratoi; did you mean ratio?"):
        Base.from_dict({"path": "a", "ratoi": 1})
    assert did_you_mean(["x"], ["ratio"]) == ""
