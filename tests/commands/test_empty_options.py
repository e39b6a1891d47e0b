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
    with pytest.raises(OptionError) as refused:
        parser_of(command).parse_args([*([option] if option else []), *[blank] * values])
    assert (option or ("SOURCE" if command == "data" else "STUDY")) in str(refused.value)
    assert refused.value.exit_code == 2
