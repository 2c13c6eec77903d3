"""The console script ``anime-tf VERB ...``, and what every verb shares.

A verb is a module with a ``COMMAND`` (a `Command`, or a `Group` of them for a verb such as
``dataset``) and two lines at its end::

    if __name__ == "__main__":
        sys.exit(app.run(COMMAND))

`run` parses the flags into a `flags.FlagValues` of the verb's own, answers ``--help`` without
importing TensorFlow, and turns errors into one line on stderr and an exit code: 0 all done, 1 some
inputs failed, 2 wrong command line or nothing could be done, 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import importlib
import logging as python_logging
import os
import re
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import flags, logging

from anime_tf.io import native_stderr

EXIT_DONE = 0
EXIT_SOME_FAILED = 1
EXIT_NOTHING_DONE = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT

# Verb -> (module, summary). The summary stands here so that `anime-tf --help` imports no verb.
VERBS: dict[str, tuple[str, str]] = {
    "train": ("anime_tf.cli.train", "train a style on your own pictures"),
    "infer": ("anime_tf.cli.infer", "stylise pictures"),
    "video": ("anime_tf.cli.video", "stylise a film, its sound kept"),
    "export": ("anime_tf.cli.export", "export a generator as SavedModel and TFLite"),
    "web": ("anime_tf.cli.web", "stylise pictures and clips on a page in the browser"),
    "serving_client": ("anime_tf.cli.serving_client", "stylise pictures by a server"),
    "convert": ("anime_tf.cli.convert", "convert legacy weights to a .keras archive"),
    "dataset": ("anime_tf.cli.dataset", "build a style data set: frames, smooth, paint, check"),
    "evaluate": ("anime_tf.cli.evaluate", "measure style, content and look of results"),
}

_HELP_WORDS = frozenset({"-h", "-help", "--help", "--helpshort", "--helpfull"})
_REQUIRED_MESSAGE = "must have a value other than None"  # absl's validator of required flags


@dataclasses.dataclass(frozen=True)
class Command:
    """A verb, or a sub-command of one.

    Attributes:
        name: What the user types, without the verb it belongs to ("infer", "smooth").
        summary: One line that says what it does.
        example: The flags of an example call without the program's name, one call a line.
        define_flags: Defines the flags in the `flags.FlagValues` given (as `flag_values=`); mark
            those that must be given with absl's `required=True`.
        main: Does the work; returns the exit code, None meaning 0. A ValueError or OSError out of
            it becomes one line on stderr and exit code 2.
        needs_tensorflow: Import TensorFlow, without its chatter, before `main` runs.
    """

    name: str
    summary: str
    example: str
    define_flags: Callable[[flags.FlagValues], None]
    main: Callable[[flags.FlagValues], int | None]
    needs_tensorflow: bool = False


@dataclasses.dataclass(frozen=True)
class Group:
    """A verb with sub-commands, each with flags of its own.

    Attributes:
        name: What the user types ("dataset").
        summary: One line that says what it does.
        commands: The sub-commands, in the order in which help lists them.
    """

    name: str
    summary: str
    commands: tuple[Command, ...]


class UsageError(ValueError):
    """A command line that cannot be understood: reported with a pointer to ``--help``, exit 2."""


def run(command: Command | Group, argv: Sequence[str] | None = None) -> int:
    """Runs a verb with the given arguments and returns its exit code.

    Args:
        command: The verb.
        argv: Arguments without the program's name; those of this process when None.

    Returns:
        0 all done, 1 some inputs failed, 2 wrong command line or nothing could be done, 130
        interrupted. Nothing is raised for errors that a user can make.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return _run(command, arguments, _program(command.name))


def main(argv: Sequence[str] | None = None) -> int:
    """The console script ``anime-tf``: finds the verb and runs it; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in VERBS:
        module = importlib.import_module(VERBS[arguments[0]][0])
        return _run(module.COMMAND, arguments[1:], f"anime-tf {arguments[0]}")
    summaries = {verb: summary for verb, (_, summary) in VERBS.items()}
    if arguments and arguments[0] == "--version":
        from anime_tf import __version__

        print(f"anime-tf {__version__}")
        return EXIT_DONE
    example = "infer --input=photos --output=anime"
    return _choose("anime-tf", "Photos to anime.", example, summaries, arguments)


def complain(message: str) -> None:
    """Writes a line to stderr at once."""
    print(message, file=sys.stderr, flush=True)


def import_tensorflow() -> None:
    """Imports TensorFlow without its chatter; see `quiet.import_tensorflow`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    native_stderr.import_tensorflow()


def _run(command: Command | Group, arguments: list[str], program: str) -> int:
    if isinstance(command, Group):
        members = {member.name: member for member in command.commands}
        if arguments and arguments[0] in members:
            chosen = members[arguments[0]]
            return _run(chosen, arguments[1:], f"{program} {chosen.name}")
        first = command.commands[0]
        return _choose(
            program,
            command.summary,
            f"{first.name} {first.example.splitlines()[0]}",
            {name: member.summary for name, member in members.items()},
            arguments,
        )

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    values = flags.FlagValues()
    command.define_flags(values)
    flags.DEFINE_bool(
        "debug", False, "Show debug logs, and errors with their traceback.", flag_values=values
    )
    if not _HELP_WORDS.isdisjoint(_before_dashes(arguments)):
        _print_help(_help(command, values, program))
        return EXIT_DONE
    try:
        _parse(values, arguments)
    except (flags.Error, ValueError) as error:
        complain(f"{program}: {error} ({program} --help lists every flag)")
        return EXIT_NOTHING_DONE

    debug = bool(values["debug"].value)
    _start_logging(debug)
    try:
        if command.needs_tensorflow:
            import_tensorflow()
        code = command.main(values)
    except KeyboardInterrupt:
        complain(f"{program}: interrupted")
        return EXIT_INTERRUPTED
    except UsageError as error:
        complain(f"{program}: {error} ({program} --help lists every flag)")
        return EXIT_NOTHING_DONE
    except (ValueError, OSError) as error:
        if debug:
            logging.exception("%s failed", program)
        complain(f"{program}: {error_line(error)}")
        return EXIT_NOTHING_DONE
    return EXIT_DONE if code is None else code


def _worth_telling(record: python_logging.LogRecord) -> bool:
    """Leaves out TensorFlow's notes about itself, a line for every checkpoint among them."""
    tensorflows = f"{os.sep}tensorflow{os.sep}" in record.pathname
    return record.levelno > python_logging.INFO or not tensorflows


def _start_logging(debug: bool) -> None:
    """Sends absl's logs to stderr: terse for users, with file and line for debugging."""
    # absl asks the process-wide flags where logs go, and complains while they are not parsed.
    flags.FLAGS.mark_as_parsed()
    flags.FLAGS["logtostderr"].value = True
    logging.use_absl_handler()
    logging.set_verbosity(logging.DEBUG if debug else logging.INFO)
    terse = python_logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
    logging.get_absl_handler().setFormatter(logging.PythonFormatter() if debug else terse)
    if not debug:
        logging.get_absl_handler().addFilter(_worth_telling)


def error_line(error: BaseException) -> str:
    """What went wrong, for a user: an OSError of the system as ``PATH: reason``."""
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror[0].lower() + error.strerror[1:]
        return reason if error.filename is None else f"{os.fsdecode(error.filename)}: {reason}"
    return str(error) or type(error).__name__


def _parse(values: flags.FlagValues, arguments: list[str]) -> None:
    """Parses strictly, and words absl's errors so that each names the flag and the remedy."""
    values.set_gnu_getopt(True)  # a stray word must not hide the flags after it
    try:
        rest = values(["", *arguments])[1:]
    except flags.UnrecognizedFlagError as error:
        near = _nearest(error.flagname, values)
        raise UsageError(
            f"unknown flag --{error.flagname}" + (f"; did you mean --{near}?" if near else "")
        ) from None
    except flags.CantOpenFlagFileError as error:
        raise UsageError(f"cannot read the file of --flagfile: {error}") from None
    except flags.IllegalFlagValueError as error:
        missing = [f"--{name}" for name in values if _is_required(values[name])]
        if missing and _REQUIRED_MESSAGE in str(error):
            what = " and ".join(missing) + (" is" if len(missing) == 1 else " are")
            raise UsageError(f"{what} required, as in {missing[0]}=VALUE") from None
        raise UsageError(_value_error(values, str(error))) from None
    except flags.Error as error:
        missing_value = re.fullmatch(r"Missing value for flag (\S+)", str(error))
        if missing_value:
            name = missing_value[1]
            raise UsageError(f"{name} needs a value, as in {name}=VALUE") from None
        raise
    if rest:
        raise UsageError(
            f"unexpected argument '{rest[0]}'; write flags as --name=value, and put quotes around "
            "a pattern such as '*.jpg'"
        )


def _value_error(values: flags.FlagValues, message: str) -> str:
    """Words of absl for a bad value, with the nearest choice of an enum added."""
    message = " ".join(message.split())
    flag_and_value = re.match(r"flag --([^=\s]+)=([^:]*): ", message)
    if flag_and_value and flag_and_value[1] in values:
        parser: Any = values[flag_and_value[1]].parser
        choices = getattr(parser, "enum_values", None)
        near = _nearest(flag_and_value[2], choices) if choices else None
        if near:
            message += f"; did you mean {near}?"
    return message


def _is_required(flag: flags.Flag) -> bool:
    """Whether absl still waits for a value of a flag defined with `required=True`."""
    return flag.value is None and any(_REQUIRED_MESSAGE in v.message for v in flag.validators)


def _nearest(word: str, words: Iterable[str]) -> str | None:
    matches = difflib.get_close_matches(word, list(words), n=1)
    return matches[0] if matches else None


def _before_dashes(arguments: list[str]) -> list[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _program(verb: str) -> str:
    """How this process was called, so that help and errors can be copied to the shell."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None and spec.name == "anime_tf.__main__":
        return f"python -m anime_tf {verb}"
    if os.path.basename(sys.argv[0]) == f"{verb}.py":
        return f"python {sys.argv[0]}"
    return f"anime-tf {verb}"


def _choose(
    program: str, summary: str, example: str, summaries: dict[str, str], arguments: list[str]
) -> int:
    """Help or an error of a command that only chooses another one; returns the exit code."""
    if not _HELP_WORDS.isdisjoint(arguments[:1]):
        width = max(map(len, summaries))
        lines = [f"{program} {example}", "", summary, ""]
        lines += [f"  {name:{width}}  {what}" for name, what in summaries.items()]
        lines += ["", f"{program} NAME --help shows an example and every flag."]
        _print_help("\n".join(lines))
        return EXIT_DONE
    names = ", ".join(summaries)
    if arguments:
        near = _nearest(arguments[0], summaries)
        remedy = f"did you mean {near}?" if near else f"expected one of {names}"
        complain(f"{program}: unknown command '{arguments[0]}'; {remedy} ({program} --help)")
    else:
        complain(f"{program}: say which command: {names} ({program} --help)")
    return EXIT_NOTHING_DONE


def _print_help(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `... --help | head`; keep the interpreter from flushing again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _help(command: Command, values: flags.FlagValues, program: str) -> str:
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    lines = [f"{program} {example}" for example in command.example.strip().splitlines()]
    lines += ["", command.summary, "", "Flags (--name=default):"]
    for name in values:
        flag = values[name]
        if flag.short_name == name:
            continue
        about = " ".join((flag.help or "").split())
        choices = getattr(flag.parser, "enum_values", None)
        if choices:  # absl has put them in front, where they hide what the flag is about
            about = about.removeprefix(f"<{'|'.join(choices)}>: ")
            about += f" One of: {', '.join(choices)}."
        if _is_required(flag):
            about += " (required)"
        lines.append(f"  --{name}={_default(flag)}")
        lines += textwrap.wrap(about, width, initial_indent="      ", subsequent_indent="      ")
    lines.append("  --flagfile=FILE")
    lines.append("      Read more flags from a file, one a line.")
    lines.append("  --help")
    lines.append("      Show this text.")
    return "\n".join(lines)


def _default(flag: flags.Flag) -> str:
    """The default as one would type it; nothing for a flag without one."""
    default = flag.default
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, enum.Enum):
        return default.name.lower()
    if isinstance(default, (list, tuple)):
        return ",".join(map(str, default))
    return str(default)
