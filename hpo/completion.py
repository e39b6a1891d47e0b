"""What TAB offers in bash and zsh: a command's words, options and choices, found by argcomplete.

The shell runs the command with what was typed so far in the environment, and reads what it offers; nothing
of this is imported otherwise. A module that runs with `python -m` says so by PYTHON_ARGCOMPLETE_OK in its head.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any


def is_asked() -> bool:
    """Whether it is a shell that asks what could come next."""
    return "_ARGCOMPLETE" in os.environ


def command_typed(commands: Iterable[str]) -> str:
    """The command on a line that begins with `hpo`, which counts as a part of the program's name from here on.

    Where none is typed yet, the shell is answered with those that there are, and the process ends.
    """
    from argcomplete.lexers import split_line

    words = int(os.environ["_ARGCOMPLETE"])  # of the program's name: 3 where it is `python -m hpo`
    *_, typed, _ = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))
    if len(typed) <= words:
        parser = argparse.ArgumentParser()
        parser.add_argument("command", choices=list(commands))
        parser.add_argument("--version", action="store_true")
        complete(parser)
    os.environ["_ARGCOMPLETE"] = str(words + 1)
    return typed[words]


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell with what a command's line can go on with, and end the process."""
    from argcomplete import autocomplete

    autocomplete(parser)


def offering(action: argparse.Action, names: Callable[..., Iterable[str]]) -> None:
    """Have the shell offer names for an argument.

    Args:
        names: Called with keywords, `parsed_args` among them: what was typed so far.
    """
    vars(action)["completer"] = names


def study_files(**_: Any) -> Iterator[str]:
    """The studies that can be run: those in studies/ by name, and the study files of this folder."""
    from hpo.spec.study_file import known_studies

    yield from known_studies()
    yield from sorted(map(str, Path().glob("*.toml")))


def sources(prefix: str, **_: Any) -> Iterator[str]:
    """What data can be looked at: files, and the data of a study."""
    from argcomplete.completers import FilesCompleter

    yield from study_files()
    yield from FilesCompleter()(prefix)


def stored_studies(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The studies of the storage."""
    from hpo.spec.locations import Locations
    from hpo.storage.storage import registered_names

    storage = getattr(parsed_args, "storage", None)
    return registered_names(Locations.of(storage=storage).storage_url)


def study_keys(**_: Any) -> list[str]:
    """The keys of a study file, as `--set` takes them: `training.epochs=`."""
    from hpo.spec.reference import study_keys

    return [f"{key.section}.{key.name}=" for key in study_keys()]
