"""Frozen dataclasses of settings that check themselves and describe their command-line flags.

A setting has one home: a field made by `setting`. Its type, default and limits are checked on
construction; `cli.flags` makes a flag of it, whose help is the field's entry in the class's
``Attributes:`` section.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import inspect
import numbers
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, ClassVar, TypeVar

_ConfigT = TypeVar("_ConfigT", bound="Config")

_ENTRY = re.compile(r"^    (\w+): (.*(?:\n {6,}.*)*)", re.MULTILINE)
_WIDEST = {int: 2**63 - 1, float: sys.float_info.max}  # integers fit TensorFlow's
_NUMBERS = (int, float, Fraction)
_TRUE, _FALSE = ("true", "t", "1", "yes"), ("false", "f", "0", "no")


@dataclasses.dataclass(frozen=True)
class Setting:
    """A field of a `Config`.

    Attributes:
        name: Name of the field.
        type: Type of its value, without None: bool, int, float, str, or tuple.
        optional: Whether None is a value.
        default: Default value; `dataclasses.MISSING` for a required setting.
        help: Entry in the ``Attributes:`` section.
        choices: All allowed values; empty for no such limit.
        minimum: Smallest allowed number.
        maximum: Largest allowed number.
        below: Number that the value must stay below.
        convert: Converts a value or a text; raises ValueError with ``expected ...``.
        flag: Name of its flag; empty for none.
        repeated: Whether the flag may be given several times, once per item of a tuple.
        fixed: Whether a resumed training must keep the value.
    """

    name: str
    type: type
    optional: bool
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    below: float | None = None
    convert: Callable[[Any], Any] | None = None
    flag: str = ""
    repeated: bool = False
    fixed: bool = False

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is dataclasses.MISSING

    @property
    def expected(self) -> str:
        """The allowed values in words."""
        if self.choices:
            several = "different ones of" if self.type is tuple else "one of"
            return f"{several} {', '.join(map(str, self.choices))}"
        names = {int: "an integer", float: "a number", bool: "true or false", tuple: "a list"}
        text = names.get(self.type, "a string")
        limits = (
            ("of at least", self.minimum),
            ("below", self.below),
            ("of at most", self.maximum),
        )
        if self.minimum is not None and self.maximum is not None:
            limits = ((f"from {self.minimum:g} to", self.maximum),)  # type: ignore[assignment]
        bounds = [f"{word} {limit:g}" for word, limit in limits if limit is not None]
        return " ".join([text, " and ".join(bounds)]).rstrip()

    @property
    def example(self) -> str:
        """A value as text: one of the choices, the default, a number within the limits."""
        if self.choices:
            return str(next((one for one in self.choices if one != self.default), self.choices[0]))
        if isinstance(self.default, (str, int, float)) and self.default:
            return str(self.default)
        if self.type in _NUMBERS:
            texts = ("5", "0.5", f"{self.minimum or 0:g}")
            return next(filter(self._accepts, texts), "VALUE")
        return "VALUE"

    def check(self, value: Any) -> Any:
        """Return a valid value, converted to the setting's type.

        Raises:
            ValueError: ``expected ...`` for a value that is not allowed.
        """
        if value is None and self.optional:
            return None
        if self.convert is not None:
            return self.convert(value)
        number = {int: numbers.Integral, float: numbers.Real}.get(self.type)
        if number is not None:
            widest = _WIDEST[self.type]
            low = -widest if self.minimum is None else self.minimum
            high = widest if self.maximum is None else self.maximum
            bad = isinstance(value, bool) or not isinstance(value, number)
            with contextlib.suppress(OverflowError):  # of an integer that no float holds
                value = value if bad else self.type(value)
            bad = bad or not low <= value <= min(high, widest)  # NaN is in no range
            bad = bad or (self.below is not None and value >= self.below)
        else:
            if self.type is tuple and isinstance(value, list):
                value = tuple(value)
            bad = not isinstance(value, (str, os.PathLike) if self.type is str else self.type)
        if bad:
            raise ValueError(f"expected {self.expected}")
        if self.choices:
            unknown = [
                x for x in (value if self.type is tuple else [value]) if x not in self.choices
            ]
            if unknown or value == () or (self.type is tuple and len(set(value)) < len(value)):
                raise ValueError(f"expected {self.expected}{did_you_mean(unknown, self.choices)}")
        return value

    def parse(self, text: str) -> Any:
        """Return the value that a text stands for.

        Raises:
            ValueError: ``expected ...`` for a text that is not allowed.
        """
        try:
            return self._parse(text)
        except ValueError as error:
            other = text.replace(",", ".")  # a decimal comma
            if other == text or self.type not in _NUMBERS or not self._accepts(other):
                raise
            raise ValueError(f"{error}; write {other}") from None

    def _accepts(self, text: str) -> bool:
        with contextlib.suppress(ValueError):
            self._parse(text)
            return True
        return False

    def _parse(self, text: str) -> Any:
        value: Any = text
        if self.convert is None:
            try:
                if self.type is bool:
                    value = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}[
                        text.lower()
                    ]
                elif self.type in (int, float):
                    value = self.type(text)
                elif self.type is tuple:
                    value = tuple(word.strip() for word in text.split(",") if word.strip())
            except (ValueError, KeyError):
                raise ValueError(f"expected {self.expected}") from None
        return self.check(value)


class Config:
    """Base class of frozen dataclasses of settings.

    Attributes:
        FLAG_PREFIX: Prefix of the names of its flags.

    Raises:
        ValueError: ``NAME: expected ..., got ...`` on construction.
    """

    FLAG_PREFIX: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, one in settings(type(self)).items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, one.check(value))
            except ValueError as error:
                raise ValueError(f"{name}: {error}, got {value!r}") from None

    @classmethod
    def from_dict(cls: type[_ConfigT], values: Mapping[str, Any]) -> _ConfigT:
        """Make a config from a mapping, for example of a JSON file.

        Raises:
            ValueError: An unknown key, or a value that is not allowed.
        """
        unknown = sorted(set(values) - set(settings(cls)))
        if unknown:
            raise ValueError(
                f"expected settings of {cls.__name__}, got {', '.join(unknown)}"
                f"{did_you_mean(unknown, settings(cls))}"
            )
        return cls(**values)

    def flag_values(self) -> dict[str, Any]:
        """Return name of the flag -> value, without those that are None."""
        pairs = [(one.flag, getattr(self, name)) for name, one in settings(type(self)).items()]
        return {flag: value for flag, value in pairs if flag and value is not None}

    def replace(self: _ConfigT, **changes: Any) -> _ConfigT:
        """Return a copy with other values, checked like a new config."""
        values = {name: getattr(self, name) for name in settings(type(self))}
        return self.from_dict({**values, **changes})


def setting(default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """Make a field of a `Config`.

    Args:
        default: Default value; a setting without one is required.
        **limits: `choices`, `minimum`, `maximum`, `below`, `convert`, `repeated` and `fixed` of
            `Setting`; `flag` is a name other than the field's, or False for no flag.
    """
    return dataclasses.field(default=default, metadata=limits)


def settings(config: type[Config]) -> dict[str, Setting]:
    """Return the settings of a class by name, in the order of its fields."""
    if config not in _SETTINGS:
        _SETTINGS[config] = _collect(config)
    return _SETTINGS[config]


_SETTINGS: dict[type[Config], dict[str, Setting]] = {}


def _collect(config: type[Config]) -> dict[str, Setting]:
    hints = typing.get_type_hints(config)
    help_texts: dict[str, str] = {}
    for base in reversed(config.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        entries = text.partition("\nAttributes:\n")[2].partition("\n\n")[0]
        help_texts |= {name: " ".join(words.split()) for name, words in _ENTRY.findall(entries)}
    made = {}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        kinds = _without_none(hints[field.name])
        limits = dict(field.metadata)
        flag = limits.pop("flag", True)
        made[field.name] = Setting(
            field.name,
            type=kinds[0],
            optional=len(kinds) < len(_members(hints[field.name])),
            default=field.default,
            help=help_texts.get(field.name, ""),
            flag=flag if isinstance(flag, str) else (config.FLAG_PREFIX + field.name) * flag,
            **limits,
        )
    return made


def did_you_mean(words: Any, choices: Any) -> str:
    """Return ``; did you mean X?`` for the first word with a similar choice, else nothing."""
    for word in words:
        near = difflib.get_close_matches(str(word), [str(choice) for choice in choices], n=1)
        if near:
            return f"; did you mean {near[0]}?"
    return ""


def _members(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return list(typing.get_args(hint))
    return [hint]


def _without_none(hint: Any) -> list[type]:
    members = [member for member in _members(hint) if member is not type(None)]
    return [typing.get_origin(member) or member for member in members]
