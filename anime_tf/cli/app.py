"""The dispatcher of ``anime-tf VERB``: parsing, help, logging and exit codes.

Each verb is a module of this folder with a ``COMMAND``: a `Command`, or a `Group` of them.
Exit codes: 0 all done, 1 some inputs failed, 2 wrong command line or nothing done, 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging as python_logging
import os
import shutil
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext

from absl import flags, logging

from anime_tf import __version__
from anime_tf.cli.flags import Flags, UsageError, check_required, define, parse
from anime_tf.config import Config, Setting, did_you_mean
from anime_tf.errors import ReportError, command_line, error_line, first_line, printable
from anime_tf.io import native_stderr
from anime_tf.io.folders import count_unreadable
from anime_tf.io.locks import locked_output

EXIT_DONE = 0
EXIT_SOME_FAILED = 1
EXIT_NOTHING_DONE = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT

# Verb -> summary. It stands here so that `anime-tf --help` imports no verb.
VERBS: dict[str, str] = {
    "train": "train a style on your own pictures",
    "infer": "stylize pictures",
    "video": "stylize a video, with its sound",
    "bulk": "stylize a million pictures on one machine or a cluster",
    "export": "export a generator as SavedModel, TFLite or ONNX model",
    "web": "stylize pictures and clips on a local web page",
    "styles": "list, show, download and remove styles",
    "serving_client": "stylize pictures by TensorFlow Serving",
    "convert": "convert legacy weights to a .keras archive",
    "dataset": "build and check a style data set: frames, smooth, check",
    "evaluate": "measure style and content of results",
    "clean": "remove temporary files that killed commands left",
    "doctor": "report versions, engines, GPU and extras, and what to install",
    "completion": "print a script that completes commands in a shell",
}

_HELP_WORDS = frozenset({"-h", "-help", "--help", "--helpshort", "--helpfull"})


@dataclasses.dataclass(frozen=True)
class Command:
    """A verb, or a sub-command of a verb.

    Attributes:
        name: Name on the command line, without the verb of a sub-command.
        summary: One line of help.
        example: Arguments of example calls, one call a line.
        configs: Classes whose settings are its flags.
        main: Does the work and returns the exit code; None counts as 0. An error becomes one line
            on stderr and exit code 2. The value of a flag ``output`` is locked meanwhile.
        positional: Flags whose values may be given without their names, in order.
    """

    name: str
    summary: str
    example: str
    configs: Sequence[type[Config] | Flags]
    main: Callable[[flags.FlagValues], int | None]
    positional: Sequence[str] = ()

    @property
    def groups(self) -> list[Flags]:
        """Its flags by config class."""
        return [one if isinstance(one, Flags) else Flags(one) for one in self.configs]


@dataclasses.dataclass(frozen=True)
class Group:
    """A verb with sub-commands, in the order of the help."""

    name: str
    summary: str
    commands: tuple[Command, ...]


def load(verb: str) -> Command | Group:
    """Import a verb."""
    return importlib.import_module(f"anime_tf.cli.{verb}").COMMAND


def commands() -> Iterator[tuple[str, Command]]:
    """Import all verbs and yield each command after its words, such as ``dataset frames``."""
    for verb in VERBS:
        command = load(verb)
        if isinstance(command, Group):
            yield from ((f"{verb} {member.name}", member) for member in command.commands)
        else:
            yield verb, command


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``anime-tf`` with arguments, those of this process by default; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["--version"]:
        print(f"anime-tf {__version__}")
        return EXIT_DONE
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if arguments and arguments[0] in VERBS:
        return run(load(arguments[0]), arguments[1:])
    if arguments and not arguments[0].startswith("-") and os.path.exists(arguments[0]):
        verb = _verb_of_file(arguments[0])
        command = command_line(["anime-tf", verb, arguments[0]])
        complain(f"anime-tf: expected a command, got a file; run: {command}")
        return EXIT_NOTHING_DONE
    return _choose("anime-tf", "Photos to anime.", "infer photos anime", VERBS, arguments)


def run(command: Command | Group, argv: Sequence[str], program: str = "") -> int:
    """Run a verb with the arguments after it, under a name for help; return its exit code."""
    arguments = list(argv)
    program = program or _program(command.name)
    if isinstance(command, Group):
        members = {member.name: member for member in command.commands}
        if arguments and arguments[0] in members:
            return run(members[arguments[0]], arguments[1:], f"{program} {arguments[0]}")
        first = command.commands[0]
        example = f"{first.name} {first.example.splitlines()[0]}"
        summaries = {name: member.summary for name, member in members.items()}
        return _choose(program, command.summary, example, summaries, arguments)

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Pillow warns of cut EXIF blocks, which are common and harmless.
    warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
    values = flags.FlagValues()
    for group in command.groups:
        define(values, group)
    flags.DEFINE_bool(
        "debug", False, "Show debug logs, and errors with their traceback.", flag_values=values
    )
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if not _HELP_WORDS.isdisjoint(arguments[:end]):
        _print_help(_help(command, program))
        return EXIT_DONE
    try:
        parse(values, arguments, command.positional)
        check_required(values, command.groups)
        _start_logging(values.debug)
        output = values.output if "output" in values else None
        with locked_output(output) if output else nullcontext():
            return command.main(values) or EXIT_DONE
    except KeyboardInterrupt:
        complain(f"{program}: interrupted")
        return EXIT_INTERRUPTED
    except UsageError as error:
        example = (command.example.splitlines() or [""])[0]
        shown = f"example: {program} {example}; " if example else ""
        complain(f"{program}: {error} ({shown}{program} --help lists every flag)")
        return EXIT_NOTHING_DONE
    except Exception as error:  # the last resort: whatever happens is told in one line
        if values.debug:
            logging.exception("%s failed", program)
        line = error_line(error)
        if isinstance(error, MemoryError):
            line = f"out of memory: {first_line(error)}"
        elif not isinstance(error, (ValueError, OSError)):
            line = f"{type(error).__name__}: {first_line(error)}; please report this (see --debug)"
        for one in line.split("\n") if isinstance(error, ReportError) else [line]:
            complain(one if one.startswith(" ") else f"{program}: {one}")
        return EXIT_NOTHING_DONE


def complain(message: str) -> None:
    """Write a line to stderr."""
    print(printable(message.rstrip()), file=sys.stderr, flush=True)


def exit_code(failed: int, total: int) -> int:
    """Return the exit code of work on `total` inputs, of which some or all failed."""
    if failed == total:
        return EXIT_NOTHING_DONE
    return EXIT_SOME_FAILED if failed else EXIT_DONE


def exit_code_of(folders: Sequence[str | os.PathLike[str]]) -> int:
    """Return the exit code of work on folders of pictures, with a line if files were skipped."""
    count = count_unreadable(folders)
    if count:
        complain(f"{count} skipped {'file' if count == 1 else 'files'}, named above")
    return EXIT_SOME_FAILED if count else EXIT_DONE


def _verb_of_file(path: str) -> str:
    """Return the verb that stylizes a file, and its output."""
    from anime_tf.io.kinds import VIDEO_SUFFIXES

    return "video" if os.path.splitext(path)[1].lower() in VIDEO_SUFFIXES else "infer"


def import_tensorflow() -> None:
    """Import TensorFlow without its startup messages; see `native_stderr.import_tensorflow`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    native_stderr.import_tensorflow()


class _Terse(python_logging.Formatter):
    def formatMessage(self, record: python_logging.LogRecord) -> str:  # noqa: N802
        """Escape the message, but not a traceback behind it."""
        return printable(super().formatMessage(record))


def _not_from_tensorflow(record: python_logging.LogRecord) -> bool:
    """Filter out TensorFlow's INFO records, such as a line for every checkpoint."""
    tensorflows = f"{os.sep}tensorflow{os.sep}" in record.pathname
    return record.levelno > python_logging.INFO or not tensorflows


def _start_logging(debug: bool) -> None:
    """Send absl's logs to stderr: terse for users, with file and line for debugging."""
    # absl asks the process-wide flags where logs go, and complains while they are not parsed.
    if native_stderr.separate():
        logging.get_absl_handler().python_handler.setStream(sys.stderr)
    flags.FLAGS.mark_as_parsed()
    flags.FLAGS["logtostderr"].value = True
    logging.use_absl_handler()
    logging.set_verbosity(logging.DEBUG if debug else logging.INFO)
    terse = _Terse("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
    logging.get_absl_handler().setFormatter(logging.PythonFormatter() if debug else terse)
    if not debug:
        logging.get_absl_handler().addFilter(_not_from_tensorflow)


def _program(verb: str) -> str:
    """Return how this process was started, so that help and errors can be copied to the shell."""
    if os.path.basename(sys.argv[0]) == f"{verb}.py":
        return f"python {sys.argv[0]}"
    return f"anime-tf {verb}"


def _choose(
    program: str, summary: str, example: str, summaries: dict[str, str], arguments: list[str]
) -> int:
    """Print the help or an error of a command that only chooses another one."""
    if not _HELP_WORDS.isdisjoint(arguments[:1]):
        width = max(map(len, summaries))
        lines = [f"{program} {example}", "", summary, ""]
        lines += [f"  {name:{width}}  {about}" for name, about in summaries.items()]
        lines += ["", f"{program} NAME --help shows an example and every flag."]
        _print_help("\n".join(lines))
        return EXIT_DONE
    names = ", ".join(summaries)
    if not arguments:
        complain(f"{program}: expected a command, one of {names} ({program} --help)")
    else:
        remedy = did_you_mean(arguments[:1], summaries) or f"; expected one of {names}"
        complain(f"{program}: unknown command '{arguments[0]}'{remedy} ({program} --help)")
    return EXIT_NOTHING_DONE


def _print_help(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `... --help | head`; keep the interpreter from flushing again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _help(command: Command, program: str) -> str:
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    examples = command.example.strip().splitlines() or [""]
    lines = [f"{program} {example}".strip() for example in examples]
    lines += ["", *textwrap.wrap(command.summary, width), "", "Flags (--name=default):"]
    entries: list[tuple[str, str]] = []
    for group in command.groups:
        for name, one in group.settings.items():
            about = f"{group.note}{one.help}".replace("`", "")
            if one.choices:
                several = "Some of" if one.type is tuple else "One of"
                about += f" {several}: {', '.join(map(str, one.choices))}."
            if one.required:
                about += " (required)"
            entries.append((f"{name}={default_text(one)}", about))
    entries += [
        ("debug=false", "Show debug logs, and errors with their traceback."),
        ("flagfile=FILE", "Read more flags from a file, one a line."),
        ("help", "Show this text."),
    ]
    for name, about in entries:
        lines.append(f"  --{name}")
        lines += textwrap.wrap(about, width, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def default_text(one: Setting) -> str:
    """Return the default as one types it; nothing for a flag without one."""
    if one.required or one.default is None:
        return ""
    if isinstance(one.default, bool):
        return str(one.default).lower()
    if isinstance(one.default, tuple):
        return ",".join(map(str, one.default))
    return str(one.default)
