"""Samplers and pruners by name: their options in a study file, checked before Optuna sees them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from optuna.exceptions import ExperimentalWarning

from hpo.errors import StudyFileError, nearest_name

T = TypeVar("T")

# Candidates, trials or steps: none has use for more, and some are kept in memory.
LARGEST_OPTION: Final = 1_000_000
# The annotations of Optuna's constructors that a study file can express, and what they take.
_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "int": ((int,), "a whole number"),
    "int | None": ((int,), "a whole number"),
    "str | int": ((int, str), "a whole number"),
    "float": ((float, int), "a number"),
    "float | None": ((float, int), "a number"),
    "bool": ((bool,), "true or false"),
    "bool | None": ((bool,), "true or false"),
    "str": ((str,), "a name in quotes"),
}


def accepted_options(cls: Callable[..., object], ours: Collection[str] = ()) -> dict[str, str]:
    """Names of the constructor's options that a study file may set, with their annotations.

    Args:
        ours: Those left out, which this project sets itself or Optuna has deprecated.
    """
    accepted = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        annotation = parameter.annotation
        kind = annotation.__name__ if isinstance(annotation, type) else str(annotation)
        if kind in _KINDS and name not in ours:
            accepted[name] = kind
    return accepted


def checked_options(
    accepted: Mapping[str, str], options: Mapping[str, object], *, kind: str, name: str
) -> dict[str, Any]:
    """The options of a sampler or pruner, each known and of the right type.

    Args:
        kind: `sampler` or `pruner`; the place of an error is `search.<kind>.<option>`.

    Raises:
        StudyFileError: The study file asks for something impossible.
    """
    for option, value in options.items():
        place = f"search.{kind}.{option}"
        if option not in accepted:
            near = nearest_name(option, accepted)
            listed = ", ".join(sorted(accepted)) if accepted else "no options at all"
            raise StudyFileError(
                place,
                found="an unknown option",
                expected=f"one of the options of {name}: {listed}",
                hint=f"Did you mean {near}?" if near else "Remove it.",
            )
        types, words = _KINDS[accepted[option]]
        # A bool is an int to Python, but not to people.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise StudyFileError(
                place, found=repr(value), expected=words, hint="Correct the value."
            )
        if isinstance(value, int) and abs(value) > LARGEST_OPTION:
            raise StudyFileError(
                place,
                found=str(value),
                expected=f"{LARGEST_OPTION} at most",
                hint="Correct the value, or remove it for the default.",
            )
    return dict(options)


def check_at_least(least: int, value: int | None, place: str) -> None:
    """Raise StudyFileError where a value is given and below the least."""
    if value is not None and value < least:
        raise StudyFileError(
            place,
            found=str(value),
            expected=f"{least} or more",
            hint="Correct the value, or remove it for the default.",
        )


def built(make: Callable[[], T], *, kind: str, name: str) -> T:
    """Call a constructor, with Optuna's objections to a value turned into a StudyFileError."""
    try:
        with quietly():
            return make()
    except (ValueError, TypeError) as error:
        raise StudyFileError(
            f"search.{kind}",
            found=f"options that {name} refuses ({' '.join(str(error).split())})",
            expected=f"values that the {kind} {name} can work with",
            hint="Correct the value, or remove it for the default.",
        ) from error


@contextmanager
def quietly() -> Iterator[None]:
    """Spare people the warnings of Optuna, which calls half of its plugins experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
