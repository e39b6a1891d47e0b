"""What is wrong with a study, in words: said of the option that gave the value, or of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from hpo.errors import OptionError, StudyFileError
from hpo.spec.study import StudySpec
from hpo.spec.synonyms import meant

OPTION_OF_KEY: Mapping[str, str] = {
    "study.trials": "--trials",
    "study.name": "--name",
    "study.seed": "--seed",
    "model.name": "--model",
    "data.source": "--data",
    "data.text": "--text-column",
    "data.label": "--label-column",
    "data.max_train_examples": "--max-train-examples",
    "tracking.keep": "--keep",
}


def error_at(
    key: str, place: str, overrides: Mapping[str, object], *, found: str, expected: str, hint: str
) -> StudyFileError | OptionError:
    """The error for a key of a study.

    Args:
        key: Dotted, as in `study.trials`.
        place: The study file, which is named where no option gave the key, a table around it or one within.
        overrides: The settings laid over the file, by dotted keys.
        found: As in `HpoError`, like the two that follow.
        expected: What should stand there.
        hint: What to do about it.
    """
    for option in overrides:
        below = key.startswith(f"{option}.")
        if below or key == option or key.startswith(f"{option}[") or option.startswith(f"{key}."):
            named = OPTION_OF_KEY.get(option, f"--set {option}")
            where = f"{named}: {key}" if below else named
            return OptionError(where, found=found, expected=expected, hint=hint)
    return StudyFileError(f"{place}: {key}", found=found, expected=expected, hint=hint)


def first_problem(
    error: ValidationError, place: str, overrides: Mapping[str, object]
) -> StudyFileError | OptionError:
    """The first of pydantic's findings as an error of ours; arguments as those of `error_at`."""
    problem = error.errors()[0]
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        words = _unknown_key(path)
    else:
        words = _wrong_value(path, problem["type"], problem["msg"], problem["input"])
    found, expected, hint = words
    return error_at(".".join(path), place, overrides, found=found, expected=expected, hint=hint)


def _unknown_key(path: Sequence[str]) -> tuple[str, str, str]:
    siblings = _known_keys(path[:-1])
    near = meant(path[-1], siblings)
    where = f"[{'.'.join(path[:-1])}]" if path[:-1] else "the study file"
    expected = f"a key of {where}: " + ", ".join(siblings)
    return "an unknown key", expected, f"Did you mean {near}?" if near else "Remove it."


def _wrong_value(path: Sequence[str], kind: str, message: str, value: Any) -> tuple[str, str, str]:
    """What was found, what was expected and what to do. kind, message, value: pydantic's."""
    found, last = repr(value), path[-1] if path else "the study"
    expected = message.removeprefix("Input should be ").removeprefix("Value error, ")
    match kind:
        case "missing":
            return "nothing", f"a {last}", f"Add {last} = …."
        case "model_type" | "dict_type":
            return found, "a table", f"Write [{'.'.join(path)}] and its keys below it."
        case "string_pattern_mismatch":
            return found, "a name without / : and line breaks", "Take another name."
        case "string_too_short":
            return found, "some text", f"Fill in {last}, or leave it out."
        case "literal_error":
            names = re.findall(r"'([^']+)'", expected)
            near = meant(str(value), names)
            hint = f"Did you mean {near}?" if near else "Write one of those names."
            return found, "one of " + ", ".join(names), hint
        case _ if kind.endswith("_type"):
            return found, expected, f"Write {last} as {expected.removeprefix('a valid ')}."
    return found, expected, "Correct the value."


def _known_keys(path: Sequence[str]) -> list[str]:
    model: type[BaseModel] = StudySpec
    for name in path:
        field = model.model_fields.get(name)
        if field is None or not isinstance(field.annotation, type):
            return []
        model = field.annotation
    return list(model.model_fields)
