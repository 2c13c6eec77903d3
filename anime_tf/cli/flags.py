"""Absl flags generated from the settings of `Config` classes, and configs made from flags."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from absl import flags

from anime_tf.config import Config, Setting, did_you_mean, settings

_ConfigT = TypeVar("_ConfigT", bound=Config)


# flags of other tools -> ours
_SYNONYMS = {
    **dict.fromkeys(("style", "model", "model_path", "checkpoint", "ckpt", "w"), "weights"),
    **dict.fromkeys(("i", "in", "src", "source", "photo", "image", "test_dir"), "input"),
    **dict.fromkeys(("o", "out", "dst", "dest", "target", "save_dir", "result_dir"), "output"),
    **dict.fromkeys(("size", "resize", "max_size", "long_side"), "max_side"),
    **dict.fromkeys(("backend", "runtime", "device", "provider"), "engine"),
    **dict.fromkeys(("alpha", "intensity", "amount"), "strength"),
    **dict.fromkeys(("dataset", "data", "data_dir"), "dataset_dir"),
    **dict.fromkeys(("logdir", "log_dir", "output_dir"), "run_dir"),
    **dict.fromkeys(("epoch", "num_epochs"), "epochs"),
    **dict.fromkeys(("format",), "formats"),
}


class UsageError(Exception):
    """A wrong command line: reported with a pointer to ``--help``; exit code 2."""


class Flags(NamedTuple):
    """Some settings of a config class as flags.

    Attributes:
        config: The class.
        names: The settings; None for all that have flags.
        note: Text in front of their help.
    """

    config: type[Config]
    names: Sequence[str] | None = None
    note: str = ""

    @property
    def settings(self) -> dict[str, Setting]:
        """Name of the flag -> setting."""
        return {
            one.flag: one
            for name, one in settings(self.config).items()
            if one.flag and (self.names is None or name in self.names)
        }


class _Parser(flags.ArgumentParser):
    """Parse a value as its `Setting` says; errors name the flag."""

    def __init__(self, name: str, one: Setting) -> None:
        self.name, self.setting = name, one

    def parse(self, argument: Any) -> Any:
        if not isinstance(argument, str):
            return argument
        try:
            return self.setting.parse(argument)
        except ValueError as error:
            # Not a ValueError, which absl would reword.
            raise UsageError(f"--{self.name}={argument}: {error}") from None


class _Flag(flags.Flag):
    """A flag that knows whether the command line gives it by its name."""

    is_named = False


class _RepeatedFlag(_Flag):
    """A flag that may be given several times; its value is a tuple."""

    def parse(self, argument: Any) -> None:
        before: tuple[Any, ...] = (self.value or ()) if self.present else ()
        super().parse(argument)
        self.value = (*before, *(self.value or ()))


def define(values: flags.FlagValues, group: Flags) -> None:
    """Define a flag for each setting of a group."""
    for name, one in group.settings.items():
        flags.DEFINE_flag(
            (_RepeatedFlag if one.repeated else _Flag)(
                _Parser(name, one),
                None,
                name,
                None if one.required else one.default,
                f"{group.note}{one.help}",
                boolean=one.type is bool,
            ),
            values,
        )


def parse(values: flags.FlagValues, arguments: Sequence[str], positional: Sequence[str]) -> None:
    """Parse a command line.

    Args:
        values: The flags.
        arguments: The command line without the program's name.
        positional: Names of the flags that take the arguments without a name, in order.

    Raises:
        UsageError: A wrong command line.
    """
    if os.name == "nt":
        check_quotes(arguments)
    values.set_gnu_getopt(True)  # an argument without a name must not hide the flags after it
    try:
        arguments = values.read_flags_from_files(list(arguments))
        _check_values(values, arguments)
        words = values(["", *arguments])[1:]
    except flags.UnrecognizedFlagError as error:
        name = error.flagname
        words = [word for word in (_SYNONYMS.get(name), name) if word is not None]
        near = did_you_mean(words, values).replace("mean ", "mean --")
        raise UsageError(f"unknown flag --{error.flagname}{near}") from None
    except flags.CantOpenFlagFileError as error:
        raise UsageError(f"cannot read the file of --flagfile: {error}") from None
    except (flags.Error, ValueError) as error:
        raise UsageError(str(error)) from None
    _check_words(words)
    free = [name for name in positional if not values[name].present]
    for name in positional:
        cast("_Flag", values[name]).is_named = name not in free
    for name, word in zip(free, words, strict=False):
        values[name].parse(word)
    if free and isinstance(values[free[-1]], _RepeatedFlag):  # takes all further arguments
        values[free[-1]].value = tuple(words[len(free) - 1 :]) or None
        return
    if len(words) > len(free):
        if any(word.startswith("#") for word in words):
            raise UsageError(_COMMENT)
        raise UsageError(
            f"unexpected argument '{words[len(free)]}'; put names with spaces, and patterns such "
            'as "*.jpg", in double quotes, and write flags as --name=value'
        )


def _check_values(values: flags.FlagValues, arguments: Sequence[str]) -> None:
    """Raise UsageError for a flag whose value is missing, so that the next flag would be it."""
    left = iter(arguments)
    for argument in left:
        name = argument.removeprefix("-").removeprefix("-")
        if argument == "--":
            return
        if not argument.startswith("-") or name not in values or values[name].boolean:
            continue
        if next(left, "--").startswith("--"):
            parser = values[name].parser
            example = parser.setting.example if isinstance(parser, _Parser) else "VALUE"
            raise UsageError(f"--{name} needs a value, as in --{name}={example}")


_COMMENT = "got a comment as arguments; leave out the # and what follows it"


def _check_words(words: Sequence[str]) -> None:
    """Raise UsageError for arguments that the shell should have treated differently."""
    if "#" in words and not os.path.lexists("#"):
        raise UsageError(_COMMENT)
    if "\\" in words:
        raise UsageError(
            "got a single backslash, which ends a line only in other shells; write the command in "
            "one line"
        )
    for i, word in enumerate(words):
        if os.path.lexists(word):
            continue
        for end in range(len(words), i, -1):
            # The Command Prompt of Windows does not know single quotes.
            name = " ".join(words[i:end]).strip("'")
            if os.path.lexists(name):
                raise UsageError(f'put this name in double quotes: "{name}"')


def check_quotes(arguments: Sequence[str]) -> None:
    """Raise UsageError for a quote within an argument, which no name on Windows contains."""
    for argument in arguments:
        if '"' in argument:
            raise UsageError(
                f"got a quote within {argument}; a backslash before the closing quote cancels it, "
                "so remove that backslash"
            )


def is_named(values: flags.FlagValues, name: str) -> bool:
    """Tell whether the command line gives a flag by its name, not by its position."""
    return cast("_Flag", values[name]).is_named


def check_required(values: flags.FlagValues, groups: Iterable[Flags]) -> None:
    """Check that all required flags have a value; see `check_given`."""
    required = [name for group in groups for name, one in group.settings.items() if one.required]
    check_given(required, {name: values[name].value for name in required})


def check_given(names: Iterable[str], found: Mapping[str, Any]) -> None:
    """Check that flags have values.

    Raises:
        UsageError: Names all flags without a value.
    """
    missing = [f"--{name}" for name in names if found.get(name) in (None, "")]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise UsageError(f"{' and '.join(missing)} {verb} required, as in {missing[0]}=VALUE")


def given(values: flags.FlagValues, group: Flags) -> dict[str, Any]:
    """Return the settings of a group that the command line gives: field name -> value."""
    return {
        one.name: values[name].value for name, one in group.settings.items() if values[name].present
    }


def make_config(values: flags.FlagValues, config: type[_ConfigT], **others: Any) -> _ConfigT:
    """Make a config from its flags.

    Args:
        values: The flags.
        config: The class.
        **others: Settings that take the place of flags.

    Raises:
        ValueError: Settings that contradict each other.
    """
    found = {one.name: values[name].value for name, one in Flags(config).settings.items()}
    return config(**{**found, **others})
