"""Points of the search space that somebody asks for, `--enqueue '{"learning_rate": 3e-5}'`: read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hpo.documents import parse_json
from hpo.errors import OptionError
from hpo.search.distributions import Space, on_lattice
from hpo.spec.options import OptionValue, flat
from hpo.spec.space import Choice, Dimension, IntRange, resolve_dimension
from hpo.spec.study import StudySpec
from hpo.spec.study_file import search_space
from hpo.spec.synonyms import meant
from hpo.spec.training import OPTION_TABLES, SEARCHABLE_OPTIONS

Point = Mapping[str, OptionValue]
"""Values of some of the searched options; a sampler chooses the others."""

OPTION: Final = "--enqueue"
_EXAMPLE: Final = """Write e.g. `--enqueue '{"learning_rate": 3e-5}'`."""
_MOST_SHOWN: Final = 60  # characters of a wrong value


def read_points(
    texts: Sequence[str], spec: StudySpec, n_layer: int | None = None
) -> tuple[Point, ...]:
    """The points that are asked for, each checked against the study's space.

    Args:
        texts: JSON objects.
        spec: The study.
        n_layer: Blocks of the model; None as long as that is not known, when all else is checked.

    Raises:
        OptionError: One is none, or not of the space.
    """
    if texts and spec.search.sampler.name == "grid":
        raise OptionError(
            OPTION,
            found="a point for the sampler grid",
            expected="another sampler: a grid tries all of its points, each once",
            hint="Leave it out, or add --set search.sampler=tpe.",
        )
    space = search_space(spec)
    if n_layer is not None:
        space = {name: resolve_dimension(each, n_layer) for name, each in space.items()}
    return tuple(_checked(_parsed(text), space) for text in texts)


def in_words(point: Point) -> str:
    """A point for people: `epochs = 2, learning_rate = 3e-05`."""
    return ", ".join(f"{name} = {point[name]}" for name in sorted(point))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The keys and values of an object. Raises OptionError for a key that is there twice."""
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise OptionError(
                OPTION,
                found=f"{_shown(key)} twice",
                expected="each key once",
                hint="Give each point an --enqueue of its own.",
            )
        document[key] = value
    return document


def _parsed(text: str) -> dict[str, Any]:
    try:
        document = parse_json(text, _each_once)
    except ValueError as error:
        raise OptionError(
            OPTION, found=repr(_shown(text)), expected="a JSON object", hint=_EXAMPLE
        ) from error
    if not isinstance(document, dict) or not document:
        raise OptionError(
            OPTION,
            found=repr(_shown(text)),
            expected="a JSON object with at least one searched option",
            hint=_EXAMPLE,
        )
    return flat(document, OPTION_TABLES)


def _checked(document: Mapping[str, Any], space: Space) -> Point:
    """The point with each value as its dimension writes it."""
    return {name: _value(name, value, space) for name, value in document.items()}


def _value(name: str, value: object, space: Space) -> OptionValue:
    if name not in space:
        raise _not_searched(name, space)
    dimension = space[name]
    found = None
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        found = _of_dimension(value, dimension)
    elif isinstance(value, bool) and isinstance(dimension, Choice):
        found = next((each for each in dimension.values if each is value), None)
    if found is None:
        raise OptionError(
            f"{OPTION} {name}",
            found=_shown(json.dumps(value)),
            expected=_in_words(dimension),
            hint="Correct the value, or leave the key out to have it sampled.",
        )
    return found


def _of_dimension(value: float | str, dimension: Dimension) -> OptionValue | None:
    """The value of the dimension that equals it; None where none does."""
    if isinstance(dimension, Choice):
        same = (each for each in dimension.values if not isinstance(each, bool) and each == value)
        return next(same, None)
    if isinstance(value, str) or not value >= dimension.low:  # which no NaN is
        return None
    if dimension.high is not None and value > dimension.high:
        return None
    if isinstance(dimension, IntRange):
        on_step = value == int(value) and (int(value) - dimension.low) % dimension.step == 0
        return int(value) if on_step else None
    if dimension.step is None:
        return float(value)
    nearest = on_lattice(dimension, round((value - dimension.low) / dimension.step))
    return nearest if nearest == value else None


def _in_words(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return "one of " + ", ".join(json.dumps(value) for value in dimension.values)
    kind = "a whole number" if isinstance(dimension, IntRange) else "a number"
    high = "the model's layers" if dimension.high is None else dimension.high
    steps = "" if dimension.step in (None, 1) else f" in steps of {dimension.step}"
    return f"{kind} from {dimension.low} to {high}{steps}"


def _not_searched(name: str, space: Space) -> OptionError:
    searched = "one of " + ", ".join(space) if space else "no point, for nothing is searched"
    if name in SEARCHABLE_OPTIONS:
        return OptionError(
            f"{OPTION} {name}",
            found="an option that the study fixes",
            expected=searched,
            hint="Leave it out, or search it.",
        )
    near = meant(name, space)
    return OptionError(
        f"{OPTION} {name}",
        found="an unknown option",
        expected=searched,
        hint=f"Write {near} instead." if near else "Remove it.",
    )


def _shown(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
