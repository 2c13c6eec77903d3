"""Completion scripts, asked by the shells that are installed."""

import shutil
import subprocess

import pytest

from anime_tf.cli import app
from anime_tf.cli.completion import script

ASKED = {
    "anime-tf in": "infer",
    "anime-tf dataset fr": "frames",
    "anime-tf infer --comp": "--compare",
    "anime-tf dataset frames --scen": "--scenes",
    "anime-tf infer --engine=open": "openvino",
}
BASH = """
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _anime_tf; echo "${COMPREPLY[@]}"; }
ask anime-tf in; ask anime-tf dataset fr; ask anime-tf infer --comp
ask anime-tf dataset frames --scen; ask anime-tf infer --engine = open
ask anime-tf infer --engine=open
"""


def ask(shell: str, code: str, folder) -> list[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [shell, "-c", code], capture_output=True, text=True, check=False, cwd=folder
    )
    assert not done.stderr
    return [line.rstrip("/ ") for line in done.stdout.splitlines()]


def test_bash(tmp_path):
    answers = ask("bash", script("bash") + BASH, tmp_path)
    assert answers == [*ASKED.values(), "--engine=openvino"]


def test_fish(tmp_path):
    lines = [f"complete -C '{line}'" for line in ASKED]
    answers = ask("fish", script("fish") + "\n".join(lines), tmp_path)
    assert [answer.partition("\t")[0].rpartition("=")[2] for answer in answers] == [*ASKED.values()]


def test_zsh_can_read_its_script(tmp_path):
    assert ask("zsh", script("zsh") + "echo ${_comps[anime-tf]}", tmp_path) == [
        "_bash_complete -o default -F _anime_tf"
    ]


def test_every_command_and_flag_is_there(capsys):
    assert app.main(["completion", "bash"]) == 0
    text = capsys.readouterr().out
    for path, command in app.commands():
        (line,) = (one for one in text.splitlines() if one.strip().startswith(f'"{path}") words='))
        for group in command.groups:
            assert all(f"--{name}" in line for name in group.settings)
