"""Errors and warnings as a program's author reads them: arguments of the API in place of the commands' options."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hpo.errors import HpoError
from hpo.options import STUDY_OPTIONS
from hpo.spec.overrides import parse_setting

T = TypeVar("T")

ARGUMENTS: Final = {
    **{f"--{keyword.replace('_', '-')}": keyword for keyword in STUDY_OPTIONS},
    "--enqueue": "points",
    "--method": "method",
    "--output": "path",
    "--overwrite": "overwrite=True",
    "--promote": "promote=True",
    "--size": "size",
    "--storage": "storage",
    "--timeout": "timeout",
    "--tracking-uri": "tracking",
    "--workers": "workers",
}
"""Options that a message may name to arguments of `hpo.Study` and its methods."""

_WORD: Final = r"[^\s`,;)?]*[^\s`,;)?.]"
_SPOKEN_OF: Final = re.compile(
    rf"`(?P<line>--[^`]*)`|`[^`]*`|--set (?P<setting>{_WORD})|(?P<option>--[a-z]+(?:-[a-z]+)*)"
)


def in_python(text: str) -> str:
    """A message with arguments for options; commands in backquotes stay, for they are typed in a terminal.

    >>> in_python("Perhaps `--text-column 'my text' --set data.header=false`? Or use another --name.")
    'Perhaps `text_column="my text", settings={"data.header": False}`? Or use another name.'
    """
    return _SPOKEN_OF.sub(_reworded, text)


def speaks_python(cls: type[T]) -> type[T]:
    """Have all that a class offers raise errors in these words."""
    for name, member in vars(cls).copy().items():
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, property) and member.fget is not None:
            setattr(cls, name, property(speaking_python(member.fget), doc=member.__doc__))
        elif isinstance(member, classmethod):
            setattr(cls, name, classmethod(speaking_python(member.__func__)))
        elif callable(member):
            setattr(cls, name, speaking_python(member))
    return cls


def speaking_python(function: Callable[..., T]) -> Callable[..., T]:
    """Have a function raise errors in these words."""

    @functools.wraps(function)
    def speaking(*arguments: Any, **keywords: Any) -> T:
        try:
            return function(*arguments, **keywords)
        except HpoError as error:
            # What was found is somebody's own text.
            error.place, error.expected, error.hint = map(
                in_python, (error.place, error.expected, error.hint)
            )
            raise

    return speaking


def _reworded(match: re.Match[str]) -> str:
    try:
        if match["line"]:
            return f"`{_arguments(match['line'])}`"
        if match["setting"]:
            key, equals, _ = match["setting"].partition("=")
            return _settings([match["setting"]]) if equals else key
    except (KeyError, StopIteration, ValueError, HpoError):  # a backquote in somebody's name
        return match[0]
    return ARGUMENTS.get(match["option"], match["option"]) if match["option"] else match[0]


def _arguments(line: str) -> str:
    """A line of options as a call has them."""
    given, settings = [], []
    words = iter(shlex.split(line))
    for option in words:
        if option == "--set":
            settings.append(next(words))
        elif option == "--enqueue":
            given.append(f"points=[{next(words)}]")
        elif "=" in ARGUMENTS[option]:
            given.append(ARGUMENTS[option])
        else:
            value = next(words)
            is_number = value.isdecimal() and not option.endswith("-column")
            given.append(f"{ARGUMENTS[option]}={value if is_number else _quoted(value)}")
    return ", ".join(given + ([_settings(settings)] if settings else []))


def _settings(settings: list[str]) -> str:
    parsed = dict(map(parse_setting, settings))
    return "settings={" + ", ".join(f"{_quoted(k)}: {_quoted(v)}" for k, v in parsed.items()) + "}"


def _quoted(value: object) -> str:
    """As Python writes it, texts between double quotes."""
    if not isinstance(value, str):
        return repr(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
