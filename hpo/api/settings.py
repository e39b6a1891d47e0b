"""What a program says of a study in keywords, as settings laid over a study file or over none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from hpo.errors import OptionError, nearest_name
from hpo.options import STUDY_OPTIONS
from hpo.spec.numbers import beyond_toml

if TYPE_CHECKING:
    from hpo.spec.study import StudySpec

_KEYS: Final = {**STUDY_OPTIONS, "metric": "study.metric", "space": "search.space"}
_UNNAMED: Final = Path("study")
"""What messages call a study without a file."""


class Settings(TypedDict, total=False):
    """Keywords that say what is searched, on what; each is an option of `hpo.run`, or a key of a study file.

    Attributes:
        model: Hub id or directory of a GPT-2 model.
        space: The searched options, as in `[search.space]`: a list of values, or a mapping with `low`,
            `high`, `log`, `step`.
        settings: Any other keys by their dotted names: `{"training.epochs": 2}`.
    """

    model: str | Path
    space: Mapping[str, object]
    name: str
    metric: str
    trials: int
    seed: int
    text_column: str | list[str]
    label_column: str | list[str]
    max_train_examples: int
    keep: str
    settings: Mapping[str, object]


def spec_of(file: str | None, data: str | Path | None, given: Settings) -> StudySpec:
    """The study that a file and keywords describe.

    Args:
        file: A study file, by name or path; None: the keywords say it all.
        data: Where the data are; None: where the file says.
        given: The keywords, of which those that are None say nothing.

    Raises:
        StudyFileError: The file is wrong.
        OptionError: A keyword is.
    """
    from hpo.spec.study_file import find_study_file, read_study, study_of

    overrides = _overrides({**given} if data is None else {**given, "data": data})
    if file is None:
        return study_of({}, _UNNAMED, overrides)
    return read_study(find_study_file(file), overrides)


def _overrides(given: Mapping[str, Any]) -> dict[str, object]:
    named = {key: value for key, value in given.items() if value is not None}
    overrides = {str(key): _plain(value) for key, value in named.pop("settings", {}).items()}
    for keyword, value in named.items():
        if keyword not in _KEYS:
            near = nearest_name(keyword, [*_KEYS, "settings"])
            raise OptionError(
                keyword,
                found="an unknown keyword",
                expected="one of " + ", ".join([*_KEYS, "settings"]),
                hint=f"Did you mean {near}?" if near else "Give other keys in settings.",
            )
        overrides[_KEYS[keyword]] = _plain(value)
    for key, value in overrides.items():
        large = beyond_toml(value, key)
        if large is not None:
            raise OptionError(
                large,
                found="a whole number of more than 64 bits",
                expected="a smaller one",
                hint="Correct the value.",
            )
    return overrides


def _plain(value: object) -> object:
    """A value as a study file would give it: no tuples, numpy's numbers or paths."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple | range):
        return [_plain(each) for each in value]
    item = getattr(value, "item", None)  # of a numpy scalar
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value
