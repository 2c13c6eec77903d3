"""The command line that all verbs share."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from absl import logging

import anime_tf
from anime_tf.cli import app
from anime_tf.cli.flags import UsageError, check_quotes, make_config
from anime_tf.config import Config, setting
from anime_tf.inference.config import check_pitch
from anime_tf.io.pictures import encode_picture

REPOSITORY = Path(anime_tf.__file__).parents[1]


@dataclass(frozen=True)
class WorkConfig(Config):
    """Settings.

    Attributes:
        input: File to read.
        output: File to write.
        strength: Amount of it.
        engine: Runtime.
        compare: Side by side.
        screentone: Dots.
        names: Names, in two
            lines.
    """

    input: str = setting()
    output: str = setting()
    strength: float = setting(1.0, minimum=0, maximum=1)
    engine: str = setting("auto", choices=("auto", "keras"))
    compare: bool = setting(False)
    screentone: int = setting(0, convert=check_pitch)
    names: tuple[str, ...] = setting((), repeated=True)


def command(main, name="work") -> app.Command:
    example = "--input=a --output=b\n--compare"
    return app.Command(name, "Does the work.", example, [WorkConfig], main, ("input", "output"))


def refuse(values):
    raise AssertionError("main must not run")


GOOD = ["--input=a", "--output=b"]


def test_flags_reach_main_and_its_code_comes_back():
    seen = []

    def main(values):
        seen.append((values.input, values.strength, values.engine, values.compare))
        return 1

    code = app.run(command(main), [*GOOD, "--strength=0.25", "--compare", "--engine=keras"])
    assert code == 1
    assert seen == [("a", 0.25, "keras", True)]
    assert app.run(command(lambda values: None), GOOD) == 0


def test_a_second_run_starts_from_the_defaults():
    seen = []
    app.run(command(lambda values: seen.append(values.strength)), [*GOOD, "--strength=0.5"])
    app.run(command(lambda values: seen.append(values.strength)), GOOD)
    assert seen == [0.5, 1.0]


def test_help_shows_the_example_first_then_every_flag_with_its_default(capsys):
    assert app.run(command(refuse), ["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "anime-tf work --input=a --output=b"
    assert lines[1] == "anime-tf work --compare"
    text = "\n".join(lines)
    for flag in ("--input=\n", "--strength=1.0\n", "--engine=auto\n", "--compare=false\n"):
        assert f"  {flag}" in text
    assert "File to read. (required)" in text
    assert "Names, in two lines." in text
    assert "One of: auto, keras." in text
    assert "--flagfile=FILE" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--inptu=a"], ["unknown flag --inptu", "did you mean --input?"]),
        (["--photo=a"], ["unknown flag --photo", "did you mean --input?"]),
        ([*GOOD, "--strength=much"], ["--strength=much"]),
        ([*GOOD, "--strength=2"], ["--strength=2: expected a number from 0 to 1"]),
        (
            [*GOOD, "--engine=kera"],
            ["--engine=kera: expected one of auto, keras", "did you mean keras?"],
        ),
        ([], ["--input and --output are required"]),
        (["--input=a"], ["--output is required", "--output=VALUE"]),
        (["--output=b", "--input"], ["--input needs a value, as in --input=VALUE"]),
        (["--input", "--output=b"], ["--input needs a value, as in --input=VALUE"]),
        ([*GOOD, "--strength", "--compare"], ["--strength needs a value, as in --strength=1.0"]),
        ([*GOOD, "-engine", "--", "a"], ["--engine needs a value, as in --engine=keras"]),
        (["--screentone", "--input=a"], ["--screentone needs a value, as in --screentone=5"]),
        ([*GOOD, "--strength=0,5"], ["expected a number from 0 to 1; write 0.5"]),
        ([*GOOD, "--strength=2,5"], ["--strength=2,5: expected a number from 0 to 1 (example"]),
        ([*GOOD, "--screentone=5,5"], ["--screentone=5,5: expected 0 for none, or at least"]),
        ([*GOOD, "c.jpg"], ["unexpected argument 'c.jpg'", "--name=value"]),
        (["My", "Photos", "b"], ["put names with spaces", 'such as "*.jpg", in double quotes']),
        (["a", "b", "#", "all", "of", "them"], ["leave out the # and what follows it"]),
        (["a", "#", "all"], ["leave out the # and what follows it"]),
        (["a", "b", "#all"], ["leave out the # and what follows it"]),
        (["a", "b", "\\"], ["write the command in one line"]),
        ([], ["example: anime-tf work --input=a --output=b"]),
        ([*GOOD, "--flagfile=missing.txt"], ["--flagfile", "missing.txt"]),
        ([*GOOD, "--nocompare=1"], ["--nocompare=1"]),
    ],
)
def test_a_wrong_command_line_is_one_line_on_stderr_and_exit_2(arguments, words, capsys):
    assert app.run(command(refuse), arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    for word in [*words, "anime-tf work --help"]:
        assert word in err


def test_names_with_spaces_that_the_shell_split(tmp_path, monkeypatch, capsys):
    (tmp_path / "My Photos").mkdir()
    (tmp_path / "me.jpg").touch()
    monkeypatch.chdir(tmp_path)
    for words in (["My", "Photos"], ["My", "Photos", "out"], ["'My", "Photos'"], ["'me.jpg'", "b"]):
        assert app.run(command(refuse), words) == 2
        name = "me.jpg" if "'me.jpg'" in words else "My Photos"
        expected = f'anime-tf work: put this name in double quotes: "{name}" ('
        assert capsys.readouterr().err.startswith(expected)
    seen = []
    main = command(lambda values: seen.append((values.input, values.output)))
    assert app.run(main, ["My Photos", "My Paintings"]) == 0
    assert app.run(main, ["me.jpg", "#1.jpg"]) == 0
    assert seen == [("My Photos", "My Paintings"), ("me.jpg", "#1.jpg")]


def test_a_backslash_before_the_closing_quote():
    """The Command Prompt makes one argument of "C:\\My Photos\\" anime."""
    with pytest.raises(UsageError, match='got a quote within C:.My Photos" anime; a backslash'):
        check_quotes(['C:\\My Photos" anime'])
    with pytest.raises(UsageError, match="remove that backslash"):
        check_quotes(["photos", '--output=C:\\Anime"'])
    check_quotes(["C:\\My Photos\\", "--output=C:\\Anime"])


def test_arguments_without_names_and_repeated_flags():
    seen = []

    def main(values):
        seen.append(make_config(values, WorkConfig))

    assert app.run(command(main), ["a", "--names=x", "b", "--names=y,z"]) == 0
    assert app.run(command(main), ["--input=a", "b"]) == 0
    assert [(config.input, config.output) for config in seen] == [("a", "b")] * 2
    assert [config.names for config in seen] == [("x", "y", "z"), ()]


def test_flagfile(tmp_path, capsys):
    file = tmp_path / "flags.txt"
    file.write_text("# a comment\n--input=from file\n--output=b\n")
    seen = []
    code = app.run(command(lambda values: seen.append(values.input)), [f"--flagfile={file}"])
    assert (code, seen) == (0, ["from file"])
    file.write_text("--input\n--output=b\n")
    assert app.run(command(refuse), [f"--flagfile={file}"]) == 2
    assert "--input needs a value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("x.png: not a picture"), "anime-tf work: x.png: not a picture"),
        (FileNotFoundError("no x.png"), "anime-tf work: no x.png"),
        (PermissionError(13, "Permission denied", "/x"), "anime-tf work: /x: permission denied"),
    ],
)
def test_errors_of_a_verb(error, line, capsys):
    def main(values):
        raise error

    assert app.run(command(main), GOOD) == 2
    assert capsys.readouterr().err.splitlines() == [line]
    assert app.run(command(main), [*GOOD, "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_other_errors_are_one_line_and_no_traceback(capsys):
    def main(values):
        raise KeyError("a fault of the program")

    assert app.run(command(main), GOOD) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("KeyError: 'a fault of the program'; please report this (see --debug)")
    assert app.run(command(main), [*GOOD, "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_two_processes_cannot_write_one_output(tmp_path, capsys):
    @dataclass(frozen=True)
    class Output(Config):
        output: str = setting()

    def main(values):
        return app.run(app.Command("infer", "", "", (Output,), lambda _: 0), arguments)

    arguments = [f"--output={tmp_path / 'new' / 'out.png'}"]
    assert app.run(app.Command("infer", "", "", (Output,), main), arguments) == 2
    told = capsys.readouterr().err
    assert f"out.png: process {os.getpid()} writes here; wait until it ends" in told
    assert app.run(app.Command("infer", "", "", (Output,), lambda _: 0), arguments) == 0


def test_interrupt(capsys):
    def main(values):
        raise KeyboardInterrupt

    assert app.run(command(main), GOOD) == 130
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_group(capsys):
    seen = []
    first = command(lambda values: seen.append(values.input), "first")
    group = app.Group("tools", "Tools.", (first, command(refuse, "second")))
    assert app.run(group, ["first", *GOOD]) == 0
    assert seen == ["a"]
    assert app.run(group, ["--help"]) == 0
    assert "  second  Does the work." in capsys.readouterr().out
    assert app.run(group, ["first", "--help"]) == 0
    assert capsys.readouterr().out.startswith("anime-tf tools first --input=a --output=b\n")
    assert app.run(group, ["secnod"]) == 2
    assert "did you mean second?" in capsys.readouterr().err
    assert app.run(group, []) == 2
    assert "first, second" in capsys.readouterr().err


def test_console_script_lists_the_verbs(capsys):
    assert app.main(["help"]) == 0
    assert "  infer " in capsys.readouterr().out
    assert app.main(["help", "infer"]) == 0
    assert capsys.readouterr().out.startswith("anime-tf infer photos anime\n")
    assert app.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in app.VERBS)
    assert app.main(["--version"]) == 0
    assert anime_tf.__version__ in capsys.readouterr().out
    assert app.main(["infre"]) == 2
    assert "did you mean infer?" in capsys.readouterr().err
    assert app.main([]) == 2


def test_a_file_in_place_of_a_verb(tmp_path, capsys):
    for name, verb in (("me.jpg", "infer"), ("clip.MP4", "video")):
        path = tmp_path / name
        path.touch()
        assert app.main([str(path)]) == 2
        assert f"run: anime-tf {verb} {path}" in capsys.readouterr().err
    path = tmp_path / "my photo.jpg"
    path.touch()
    assert app.main([str(path)]) == 2
    quoted = f'"{path}"' if os.name == "nt" else f"'{path}'"
    assert f"run: anime-tf infer {quoted}" in capsys.readouterr().err


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_importing_the_package_is_light_and_sets_nothing():
    done = python(
        "import os, sys, anime_tf, anime_tf.cli.app\n"
        "heavy = {'tensorflow', 'keras', 'cv2', 'numpy'} & set(sys.modules)\n"
        "print(heavy or '-', os.environ.get('TF_CPP_MIN_LOG_LEVEL'))"
    )
    assert done.stdout == "- None\n", done.stderr


def test_importing_tensorflow_is_silent_and_all_public_names_load():
    done = python(
        "import gc, anime_tf\n"
        "from anime_tf.cli import app; app.import_tensorflow(); print('tensorflow loaded')\n"
        "print(all(getattr(anime_tf, name) is not None for name in anime_tf.__all__))\n"
        "print('collects garbage' if gc.isenabled() else 'paused for good')"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["tensorflow loaded", "True", "collects garbage"]


def test_a_missing_package_is_one_line():
    done = subprocess.run(
        [sys.executable, "-S", "infer.py", "a.jpg"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "the package absl is not installed" in line
    assert "make demo" in line
    assert ".venv/bin/python" in line
    assert "pip install -r requirements.txt" in line


def test_messages_of_a_failing_import_are_shown(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'why it fails')\n1 / 0\n")
    done = python("from anime_tf.cli import app; app.import_tensorflow()", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "why it fails" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_logs_go_to_stderr_with_their_level_and_nothing_else(capsys):
    def main(values):
        logging.info("three pictures")
        logging.debug("a detail")
        logging.warning("a doubt")

    assert app.run(command(main), GOOD) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["INFO three pictures", "WARNING a doubt"]
    assert app.run(command(main), [*GOOD, "--debug"]) == 0
    assert "a detail" in capsys.readouterr().err


MESSAGES = """
import os, sys
from anime_tf.cli import app
from anime_tf.io.pictures import read_picture

def main(values):
    for name in values.names:
        try:
            read_picture(name)
        except ValueError as error:
            app.complain(str(error))
    os.write(2, b"of another library\\n")

from anime_tf.config import Config, setting
from dataclasses import dataclass

@dataclass(frozen=True)
class Names(Config):
    names: tuple[str, ...] = setting(())

sys.exit(app.run(app.Command("infer", "", "", (Names,), main), sys.argv[1:]))
"""


def test_messages_of_c_libraries_are_told_with_their_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    jpeg, png = (bytearray(encode_picture(noise, suffix)) for suffix in (".jpg", ".png"))
    jpeg[4000:4400:37] = bytes(len(range(4000, 4400, 37)))
    png[500] ^= 255
    (tmp_path / "a\nb.jpg").write_bytes(jpeg)
    (tmp_path / "c.png").write_bytes(png)
    script = tmp_path / "script.py"
    script.write_text(MESSAGES)
    done = subprocess.run(
        [sys.executable, str(script), f"--names={tmp_path}/a\nb.jpg,{tmp_path}/c.png"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    warned, broken, other = done.stderr.splitlines()
    assert f"{tmp_path}/a\\nb.jpg: its decoder reports: Corrupt JPEG data" in warned
    assert broken.startswith(f"{tmp_path}/c.png: broken PNG picture, ")
    assert other == "of another library"


def test_names_cannot_forge_lines(capsys):
    name = "a\n12:00:00 INFO all done\x1b[31m\u202e\udcff"
    assert app.main(["infer", name, "out.png"]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and "\x1b" not in shown
    assert (
        "a\\n12:00:00 INFO all done\\x1b[31m\\u202e\\udcff: no file or folder matches this pattern"
        in shown
    )
