# PYTHON_ARGCOMPLETE_OK
"""`hpo COMMAND` and `python -m hpo COMMAND`: the same commands as `python -m hpo.COMMAND`."""

from __future__ import annotations

import sys
from textwrap import fill

from hpo import __version__
from hpo.completion import command_typed, is_asked
from hpo.spec.registries import COMMANDS


def main() -> int:
    """Hand over to a command; without one, say which there are."""
    arguments = [command_typed(COMMANDS)] if is_asked() else sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        sys.argv = [f"hpo {arguments[0]}", *arguments[1:]]
        return int(COMMANDS[arguments[0]]())
    if arguments and arguments[0] not in ("-h", "--help", "--version"):
        return _unknown(arguments[0])
    from hpo.options import to_a_reader

    return to_a_reader(lambda: _tell(arguments))


def _tell(arguments: list[str]) -> int:
    """The version, or which commands there are: that is help where it was asked for."""
    if arguments[:1] == ["--version"]:
        lines = [f"hpo {__version__}"]
    else:
        lines = ["usage: hpo COMMAND [OPTIONS]", "", "commands:"]
        lines += [_line_of(name) for name in COMMANDS]
        lines += [
            "",
            "`hpo COMMAND --help` tells a command's options, `hpo --version` the version.",
        ]
    print("\n".join(lines), file=sys.stdout if arguments else sys.stderr)
    return 0 if arguments else 2


def _line_of(command: str) -> str:
    """A command with what it does, where that is long on several lines."""
    return fill(f"  {command:8} {_in_short(command)}", 79, subsequent_indent=" " * 11)


def _in_short(command: str) -> str:
    """What a command does: the first line of its function's docstring."""
    first = (COMMANDS[command].__doc__ or "").strip().partition("\n")[0]
    return first[:1].lower() + first[1:].removesuffix(".")


def _unknown(command: str) -> int:
    from hpo.errors import OptionError, nearest_name
    from hpo.options import say

    near = nearest_name(command, COMMANDS)
    error = OptionError(
        "hpo",
        found=repr(command),
        expected="a command: " + ", ".join(COMMANDS),
        hint=f"Did you mean {near}?" if near else "`hpo --help` tells what each does.",
    )
    say(f"error: {error}")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
