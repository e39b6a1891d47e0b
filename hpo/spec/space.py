"""The search space: what each searched option may be, checked against its own type and bounds."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from hpo.errors import nearest_name
from hpo.spec.numbers import LARGEST_WHOLE, steps_within
from hpo.spec.options import OptionValue, option_fields
from hpo.spec.synonyms import meant
from hpo.spec.training import SEARCHABLE_OPTIONS, TrainingSection, TrialParams

N_LAYER = "n_layer"


class SpaceError(ValueError):
    """A wrong entry of the search space; `key` is relative to `search.space`."""

    def __init__(self, key: str, found: str, expected: str, hint: str) -> None:
        super().__init__(key, found, expected, hint)
        self.key, self.found, self.expected, self.hint = key, found, expected, hint


@dataclass(frozen=True)
class IntRange:
    """Whole numbers low..high, both included; `high` None stands for the model's layers."""

    low: int
    high: int | None
    log: bool = False
    step: int = 1


@dataclass(frozen=True)
class FloatRange:
    """Real numbers low..high; with `step`, only low, low + step, …."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


@dataclass(frozen=True)
class Choice:
    """One of the listed values, without order."""

    values: tuple[OptionValue, ...]


Dimension = IntRange | FloatRange | Choice
SearchSpace = Mapping[str, Dimension]

_FIELDS = option_fields(TrialParams)
_RANGE_KEYS = ("low", "high", "log", "step")


def parse_dimension(option: str, entry: object) -> Dimension:
    """Turn one entry of `[search.space]` into a dimension.

    Args:
        entry: A list (categorical), or a table with low, high and perhaps log or step.

    Raises:
        SpaceError: The option is unknown or the entry does not fit it.
    """
    if option in option_fields(TrainingSection) and option not in SEARCHABLE_OPTIONS:
        raise SpaceError(
            option,
            "an option that cannot be searched",
            "one of " + ", ".join(SEARCHABLE_OPTIONS),
            f"Remove it, or fix it: {option} = … under [training].",
        )
    if option not in SEARCHABLE_OPTIONS:
        near = meant(option, SEARCHABLE_OPTIONS)
        raise SpaceError(
            option,
            "an unknown option",
            "one of " + ", ".join(SEARCHABLE_OPTIONS),
            f"Write {near} instead." if near else "Remove it.",
        )
    if isinstance(entry, list):
        return _choice(option, entry)
    if isinstance(entry, dict):
        return _range(option, entry)
    raise SpaceError(
        option,
        repr(entry),
        "a list of values or a table with low and high",
        f"To fix the option, write {option} = {entry!r} under [training] instead.",
    )


def resolve_dimension(dimension: Dimension, n_layer: int) -> Dimension:
    """The dimension with `high = "n_layer"` replaced by the model's number of layers."""
    if isinstance(dimension, IntRange) and dimension.high is None:
        return IntRange(dimension.low, n_layer, dimension.log, dimension.step)
    return dimension


def _choice(option: str, values: list[object]) -> Choice:
    if not values:
        raise SpaceError(option, "an empty list", "at least one value", "List the values to try.")
    checked = tuple(
        _checked_value(option, f"{option}[{index}]", value) for index, value in enumerate(values)
    )
    if len(set(checked)) < len(checked):
        raise SpaceError(option, repr(values), "each value once", "Remove the repeated value.")
    return Choice(checked)


def _range(option: str, entry: dict[str, Any]) -> Dimension:
    for key in entry:
        if key not in _RANGE_KEYS:
            near = nearest_name(key, _RANGE_KEYS)
            raise SpaceError(
                f"{option}.{key}",
                "an unknown key",
                "low, high, log or step",
                f"Write {near} instead." if near else "Remove it.",
            )
    for key in ("low", "high"):
        if key not in entry:
            raise SpaceError(option, f"no {key}", "both low and high", f"Add {key} = ….")
    log = entry.get("log", False)
    if not isinstance(log, bool):
        raise SpaceError(f"{option}.log", repr(log), "true or false", "Write log = true.")
    kind = _FIELDS[option].annotation
    if kind is int:
        return _int_range(option, entry, log)
    if kind in (float, float | None):
        return _float_range(option, entry, log)
    raise SpaceError(
        option,
        "a range",
        "a list, for the option is not a number",
        f"Write {option} = [true, false]." if kind is bool else f'Write {option} = ["…", "…"].',
    )


def _int_range(option: str, entry: dict[str, Any], log: bool) -> IntRange:
    low = _checked_value(option, f"{option}.low", entry["low"])
    if entry["high"] == N_LAYER and option == "freeze_depth":
        high = None
    else:
        high = _checked_value(option, f"{option}.high", entry["high"])
    step = entry.get("step", 1)
    if isinstance(step, bool) or not isinstance(step, int) or not 1 <= step <= LARGEST_WHOLE:
        bound = (
            f"from 1 to {LARGEST_WHOLE}" if isinstance(step, int) and step > 1 else "of 1 or more"
        )
        raise SpaceError(f"{option}.step", repr(step), f"a whole number {bound}", "Correct step.")
    _check_bounds(option, low, high, log, step if "step" in entry else None)
    return IntRange(int(low), None if high is None else int(high), log, step)


def _float_range(option: str, entry: dict[str, Any], log: bool) -> FloatRange:
    low = _checked_value(option, f"{option}.low", entry["low"], exclusive_bounds=not log)
    high = _checked_value(option, f"{option}.high", entry["high"])
    step = entry.get("step")
    if step is not None and not _is_positive(step):
        raise SpaceError(
            f"{option}.step", repr(step), "a number above 0", "Correct or remove step."
        )
    _check_bounds(option, low, high, log, step)
    return FloatRange(float(low), float(high), log, None if step is None else float(step))


def _is_positive(step: object) -> bool:
    if isinstance(step, bool) or not isinstance(step, int | float):
        return False
    return 0 < step <= sys.float_info.max


def _check_bounds(
    option: str, low: OptionValue, high: OptionValue | None, log: bool, step: float | None
) -> None:
    if high is not None and float(low) > float(high):
        raise SpaceError(
            option, f"low = {low} above high = {high}", "low at or below high", "Swap the two."
        )
    if log and float(low) <= 0:
        raise SpaceError(
            f"{option}.low",
            f"{low} with log = true",
            "a number above 0, for a logarithm is taken",
            "Raise low or remove log.",
        )
    if log and step is not None:
        raise SpaceError(option, "log and step together", "one of the two", "Remove one of them.")
    if (
        step is not None
        and high is not None
        and steps_within(float(low), float(high), step) >= LARGEST_WHOLE
    ):
        raise SpaceError(
            f"{option}.step",
            f"{step!r}, of which more than {LARGEST_WHOLE} lie between low and high",
            "fewer steps",
            "Raise step, or leave it out.",
        )


def _checked_value(
    option: str, key: str, value: object, *, exclusive_bounds: bool = True
) -> OptionValue:
    """The value if the option may take it; raises SpaceError otherwise.

    exclusive_bounds: False lets a range begin at a bound that the option itself excludes, so that
    the caller can say why (a logarithm of 0).
    """
    field = _FIELDS[option]
    is_bool = isinstance(value, bool)
    if is_bool != (field.annotation is bool) or not isinstance(value, int | float | str):
        raise SpaceError(key, repr(value), _kind_in_words(option), "Correct the value.")
    kind: Any = field.annotation
    if field.metadata:
        kind = Annotated[kind, *field.metadata]
    adapter: TypeAdapter[OptionValue] = TypeAdapter(
        kind, config=ConfigDict(strict=True, allow_inf_nan=False)
    )
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["type"] == "greater_than" and value == 0 and not exclusive_bounds:
            return value
        raise SpaceError(
            key, repr(value), _lower_first(problem["msg"]), "Correct the value."
        ) from error


def _kind_in_words(option: str) -> str:
    kind = _FIELDS[option].annotation
    if kind is bool:
        return "true or false"
    if kind is int:
        return "a whole number"
    if kind in (float, float | None):
        return "a number"
    return "a name in quotes"


def _lower_first(message: str) -> str:
    return message.removeprefix("Input should be ").strip()
