"""Values of a config.json and what each may be: looked at before anything is built of them."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from hpo.errors import ModelError


@dataclass(frozen=True)
class Kind:
    """What a value may be.

    Attributes:
        expected: In words, for messages.
        fits: Whether a value is one.
    """

    expected: str
    fits: Callable[[Any], bool]


def whole(least: int, most: int) -> Kind:
    """A whole number between bounds, both of them included."""
    return Kind(
        f"a whole number from {least} to {most}",
        lambda value: type(value) is int and least <= value <= most,
    )


def number(least: float, most: float) -> Kind:
    """A number between bounds, both of them included."""
    return Kind(
        f"a number from {least} to {most}",
        lambda value: type(value) in (int, float) and least <= value <= most,
    )


def probability() -> Kind:
    """A number from 0 to below 1, for at 1 nothing would be left."""
    return Kind(
        "a number of 0 or more and less than 1",
        lambda value: type(value) in (int, float) and 0 <= value < 1,
    )


def flag() -> Kind:
    """True or false."""
    return Kind("true or false", lambda value: type(value) is bool)


def one_of(names: Collection[str]) -> Kind:
    """One of some names."""
    return Kind(f"one of {', '.join(names)}", lambda value: type(value) is str and value in names)


def or_null(kind: Kind) -> Kind:
    """Another kind, or nothing."""
    return Kind(f"{kind.expected}, or null", lambda value: value is None or kind.fits(value))


def check_config(document: Mapping[str, Any], kinds: Mapping[str, Kind], model: str) -> None:
    """Look at the values that a config.json has; what it leaves out has its default.

    Args:
        document: What the file holds.
        kinds: By key.
        model: The model's name, for messages.

    Raises:
        ModelError: One is not what it may be.
    """
    for key in kinds.keys() & document.keys():
        if not kinds[key].fits(document[key]):
            raise ModelError(
                f"model {model}, config.json, {key}",
                found=reprlib.repr(document[key]),
                expected=kinds[key].expected,
                hint="Correct it, or save the model again with save_pretrained.",
            )
