"""No option takes an empty value for its default: that is what a variable gives that is not set."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator

import pytest

from hpo.errors import OptionError
from hpo.spec.registries import COMMANDS


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser that a command makes for itself."""
    module = importlib.import_module(COMMANDS[command].__module__)
    found = list[argparse.ArgumentParser]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "command", lambda _main, parser: found.append(parser) or 0)
        module.main()
    return found[0]


def takers() -> Iterator[tuple[str, str, int]]:
    """Every command with each option that takes a value, and how many it takes."""
    for command in COMMANDS.ours:
        for action in parser_of(command)._actions:
            if action.nargs != 0:
                name = action.option_strings[-1] if action.option_strings else ""
                yield command, name, action.nargs if isinstance(action.nargs, int) else 1


@pytest.mark.parametrize("blank", ["", " ", "\t"])
@pytest.mark.parametrize(("command", "option", "values"), list(takers()))
def test_an_empty_value_is_refused_by_every_option_of_every_command(
    command: str, option: str, values: int, blank: str
) -> None:
    parser = parser_of(command)
    needed = [
        argument
        for action in parser._actions
        if action.required and action.option_strings and option not in action.option_strings
        for argument in (action.option_strings[-1], "it")
    ]
    positional = next((each for each in parser._actions if not each.option_strings), None)
    given = [option, *[blank] * values] if option else [blank]
    if option and positional is not None and positional.required:
        given = ["it", *given]
    with pytest.raises(OptionError) as refused:
        parser.parse_args([*needed, *given])
    named = option or (positional.metavar if positional is not None else "")
    assert str(named) in str(refused.value)
    assert refused.value.exit_code == 2
