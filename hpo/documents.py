"""Documents that we read, JSON and TOML: with a bound on how deep they are nested, and held to a shape.

Python's own parsers give up at a depth that hangs on who called them, with an error that is no word
about the document; and what they do read may still be too deep for whoever goes through it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

DEEPEST: Final = 100
"""Levels of objects and arrays in one another: far more than anything that we read has."""

# What json.loads comes to: a file may have a document on each of its many lines.
_decode: Final = json.JSONDecoder().decode

# A dotted key nests as well, and tomllib takes the square of its length for it.
_LONG_KEY: Final = re.compile(
    rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{DEEPEST}}}"""
)


class TooDeep(ValueError):  # noqa: N818 - what was found, not a fault of ours
    """A document is nested deeper than `DEEPEST`."""

    def __init__(self) -> None:
        super().__init__(f"nested more than {DEEPEST} levels deep")


def parse_json(
    text: str | bytes, pairs: Callable[[list[tuple[str, Any]]], object] | None = None
) -> Any:
    """What a JSON document holds.

    Args:
        pairs: What becomes of an object's keys and values in their order, of which some may be twice;
            None: a dict, in which the last stands.

    Raises:
        ValueError: It is none. TooDeep: nor does one that deep count as one.
    """
    try:
        if pairs is None and isinstance(text, str):
            document = _decode(text)
        else:
            document = json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise TooDeep from None
    except ValueError as error:
        if type(error) is ValueError:  # Python's, with advice on its own settings
            raise ValueError("a whole number of thousands of digits") from None
        raise
    # Most documents are small, and counting brackets takes no time; a call for it would.
    counted: Any = text
    square, curly = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if counted.count(square) + counted.count(curly) > DEEPEST:
        _check_depth(document)
    return document


def typed(shape: TypeAdapter[T], document: object) -> T:
    """A document of ours as what it was written from; somebody may have edited it since.

    Args:
        shape: What it is to be. Keys that it does not know are passed over, unless it says otherwise.
        document: As `parse_json` gives it.

    Raises:
        ValueError: It is something else, told in a few words.
    """
    from pydantic import ValidationError

    try:
        # As JSON, which has no tuples: in strict mode they could not be lists.
        return shape.validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, fault["loc"])) or "it"
        said = "is missing" if fault["type"] == "missing" else fault["msg"]
        raise ValueError(f"{key}: {said}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """What a TOML document holds.

    Raises:
        tomllib.TOMLDecodeError: It is none.
        TooDeep: It may be one.
        ValueError: A number in it has more digits than Python reads.
    """
    if _LONG_KEY.search(text):
        raise TooDeep
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise TooDeep from None
    _check_depth(document)
    return document


def _check_depth(document: object) -> None:
    """Go through a document level by level, for a recursion would need the depth that it looks for."""
    level = _containers([document])
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _containers(_inside(outer))]
        if not level:
            return
    raise TooDeep


def _inside(container: Any) -> Collection[object]:
    return container.values() if isinstance(container, dict) else container


def _containers(values: Collection[object]) -> list[object]:
    return [value for value in values if isinstance(value, dict | list)]
