"""The verb ``completion``: prints a script that completes verbs, flags and values in a shell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anime_tf.cli import app
from anime_tf.config import Config, setting

if TYPE_CHECKING:
    from absl import flags

    from anime_tf.config import Setting

_BASH = """\
# Completion of anime-tf for {shell}, made by: anime-tf completion {shell}
{start}_anime_tf() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} flag= prefix= verb= words= word
    # bash breaks --flag=value into three words, zsh does not.
    if [[ $current == --*=* ]]; then
        flag=${{current%%=*}} prefix=$flag= current=${{current#*=}}
    elif [[ $current == = ]]; then
        flag=${{COMP_WORDS[COMP_CWORD-1]}} current=
    elif [[ ${{COMP_WORDS[COMP_CWORD-1]}} == = ]]; then
        flag=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$verb $word" in
{verbs}
        esac
    done
    COMPREPLY=()
    if [[ -n $flag ]]; then
        case "$verb $flag" in
{values}
        esac
        COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$current"))
        COMPREPLY+=($(compgen -f -P "$prefix" -- "$current"))
        return
    fi
    case "$verb" in
{flags}
    esac
    [[ $current == -* || $words != -* ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))
    [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}}
complete -o default -F _anime_tf anime-tf
"""
_ZSH_START = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n"


@dataclass(frozen=True)
class CompletionConfig(Config):
    """Settings of the completion script.

    Attributes:
        shell: Shell that reads the script.
    """

    shell: str = setting(choices=("bash", "zsh", "fish"))


def script(shell: str) -> str:
    """Return the completion script of a shell: bash, zsh or fish."""
    if shell == "fish":
        return "\n".join(_fish_lines()) + "\n"
    verbs, values, flag_lines = [], [], [_case("", app.VERBS)]
    for verb in app.VERBS:
        verbs.append(f'" {verb}") verb={verb};;')
        command = app.load(verb)
        if isinstance(command, app.Group):
            names = [member.name for member in command.commands]
            flag_lines.append(_case(verb, names))
            verbs += [f'"{verb} {name}") verb="{verb} {name}";;' for name in names]
    for path, command in app.commands():
        found = _flags(command)
        flag_lines.append(_case(path, (name + "=" * _takes_value(o) for name, o in found.items())))
        choices = {name: words for name, one in found.items() if (words := _words(name, one))}
        values += [_case(f"{path} {name}", words) for name, words in choices.items()]
    parts = {"verbs": verbs, "values": values, "flags": flag_lines}
    indented = {name: "\n".join(f"        {one}" for one in lines) for name, lines in parts.items()}
    return _BASH.format(shell=shell, start=_ZSH_START * (shell == "zsh"), **indented)


def _case(pattern: str, words: Iterator[str] | dict[str, str] | list[str]) -> str:
    return f'"{pattern}") words="{" ".join(words)}";;'


def _flags(command: app.Command) -> dict[str, Setting | None]:
    """Return --flag -> setting; None for flags that every verb has."""
    found: dict[str, Setting | None] = {
        f"--{name}": one for group in command.groups for name, one in group.settings.items()
    }
    return {**found, "--debug": None, "--help": None}


def _takes_value(one: Setting | None) -> bool:
    return one is not None and one.type is not bool


def _words(flag: str, one: Setting | None) -> list[str]:
    """Return the values of a flag that can be listed."""
    if flag == "--weights":
        from anime_tf.styles.registry import list_styles

        return [style.name for style in list_styles()]
    return [] if one is None else [str(choice) for choice in one.choices]


def _fish_lines() -> Iterator[str]:
    yield "# Completion of anime-tf for fish, made by: anime-tf completion fish"
    for verb, summary in app.VERBS.items():
        yield f"complete -c anime-tf -n __fish_use_subcommand -f -a {verb} -d {_quoted(summary)}"
        command = app.load(verb)
        for member in command.commands if isinstance(command, app.Group) else ():
            yield (
                f"complete -c anime-tf -n '{_seen(verb)}' -f -a {member.name} "
                f"-d {_quoted(member.summary)}"
            )
    for path, command in app.commands():
        condition = "; and ".join(_seen(word) for word in path.split())
        for name, one in _flags(command).items():
            line = f"complete -c anime-tf -n '{condition}' -l {name[2:]}"
            words = _words(name, one)
            if words:
                line += f" -r -a {_quoted(' '.join(words))}"
            elif _takes_value(one):
                line += " -r"
            if one is not None and one.help:
                line += f" -d {_quoted(one.help.partition('. ')[0].rstrip('.'))}"
            yield line


def _seen(word: str) -> str:
    return f"__fish_seen_subcommand_from {word}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def main(values: flags.FlagValues) -> None:
    """Print the script."""
    print(script(values.shell), end="", flush=True)


COMMAND = app.Command(
    name="completion",
    summary="Print a script that completes verbs, flags and values in a shell.",
    example="bash > ~/.local/share/bash-completion/completions/anime-tf\n"
    "fish > ~/.config/fish/completions/anime-tf.fish\n"
    "zsh > ~/.anime-tf.zsh && echo 'source ~/.anime-tf.zsh' >> ~/.zshrc",
    configs=(CompletionConfig,),
    main=main,
    positional=("shell",),
)
