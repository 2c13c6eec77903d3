import pytest

from anime_tf.errors import (
    command_line,
    counted,
    first_line,
    import_optional,
    keras_download_reason,
    tensorflow_reason,
)
from anime_tf.io.closeable import Closeable


def test_counted():
    told = [counted(number, "picture") for number in (0, 1, 2)]
    assert told == ["0 pictures", "1 picture", "2 pictures"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [("one\ntwo\nthree", "one"), ("\n  one\ntwo", "one"), ("", "KeyboardInterrupt")],
)
def test_first_line(message, expected):
    assert first_line(KeyboardInterrupt(message)) == expected


def test_commands_are_quoted_for_their_shell():
    words = ["anime-tf", "infer", "My Photos", "$x"]
    assert command_line(words, windows=False) == "anime-tf infer 'My Photos' '$x'"
    assert command_line(words, windows=True) == 'anime-tf infer "My Photos" $x'


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "URL fetch failure on https://a.b/c.h5: None -- [Errno -2] Name or service not known",
            "https://a.b/c.h5: name or service not known",
        ),
        ("URL fetch failure on https://a.b/c.h5: 404 -- Not Found", "https://a.b/c.h5: not found"),
        ("Incomplete or corrupted file\nmore", "Incomplete or corrupted file"),
    ],
)
def test_why_keras_failed_to_download(message, expected):
    assert keras_download_reason(Exception(message)) == expected


def test_a_package_that_is_not_there():
    assert import_optional("json", "no matter", "none").dumps([1]) == "[1]"
    expected = (
        r"^videos need Nowhere, which cannot be imported \(No module named 'no_such_module'\); "
        "pip install nowhere$"
    )
    with pytest.raises(ValueError, match=expected):
        import_optional("no_such_module", "videos need Nowhere", "nowhere")


def test_closing_happens_on_errors_too():
    class Thing(Closeable):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    thing = Thing()
    with pytest.raises(KeyError), thing as inside:
        assert inside is thing
        raise KeyError
    assert thing.closed == 1


def test_tensorflow_gives_its_reason():
    message = "{{function_node a}} /tmp/.x.tmp/part; No space left on device [Op:SaveV2]"
    assert tensorflow_reason(OSError(message)) == "No space left on device"
    assert tensorflow_reason(OSError("something else")) == "something else"
