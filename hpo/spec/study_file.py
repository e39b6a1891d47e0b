"""Reading a study: a TOML file, the options laid over it, every key checked, one clear error."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hpo.errors import OptionError, StudyFileError, nearest_name
from hpo.spec.effects import idle, idle_keys, idle_searched, lacking_by_itself
from hpo.spec.locations import path_of
from hpo.spec.names import why_no_name
from hpo.spec.registries import data_format
from hpo.spec.space import SearchSpace, SpaceError, parse_dimension
from hpo.spec.study import DEFAULT_SPACE, DEMO, MAX_NAME_CHARACTERS, StudySpec
from hpo.spec.training import SEARCHABLE_OPTIONS

_PACKAGE = Path(__file__).resolve().parent.parent
STUDY_FOLDERS = (Path("studies"), _PACKAGE.parent / "studies", _PACKAGE / "study_files")


def find_study_file(study: str) -> Path:
    """The file that STUDY names: a path, or a file in `studies/` here or in the package."""
    if study.endswith(".toml") or "/" in study:
        path = path_of(study, lambda reason: _no_study_file(study, reason))
        if path.is_file():
            return path
        raise _no_study_file(study, "a folder" if path.is_dir() else "no such file")
    known = known_studies()
    if study in known:
        return known[study]
    near = nearest_name(study, known)
    raise StudyFileError(
        study,
        found="no study of this name",
        expected="one of " + ", ".join(known) + ", or the path of a study file",
        hint=f"Write {near} instead." if near else "Write a name from that list.",
    )


def known_studies() -> dict[str, Path]:
    """The study files that can be given by name alone, in the order of their names."""
    # Of one name in several folders, the nearest.
    folders = reversed(STUDY_FOLDERS)
    files = {path.stem: path for folder in folders for path in folder.glob("*.toml")}
    return dict(sorted(files.items()))


def _no_study_file(study: str, found: str) -> StudyFileError:
    return StudyFileError(
        study,
        found=found,
        expected="a study file (TOML)",
        hint="Name a file, or one of: " + ", ".join(known_studies()) + ".",
    )


def read_study(path: Path, overrides: Mapping[str, object] | None = None) -> StudySpec:
    """Read and check a study file with options laid over it.

    overrides: dotted keys (`study.trials`) to values, as given on the command line. A study with
    other data or another model than the file's gets a name of its own, so that the two are not
    mixed up, and nothing that the file says of its own. Raises StudyFileError, or OptionError where
    the fault lies in an override; also for a setting that would do nothing.
    """
    overrides = dict(overrides or {})
    document = _parse_toml(path)
    of_the_file = _sources(document)
    for key, value in overrides.items():
        _lay_over(document, key, value)
    _drop_what_was_said_of_others(document, of_the_file, overrides)
    spec = _validated(document, str(path), overrides)
    name = spec.study.name or _short_name(path.stem)
    if "study.name" not in overrides and _sources(document) != of_the_file:
        name = _derived_name(spec, name)
    else:
        _check_name(spec.study.name or path.stem, spec, path, overrides)
    spec = spec.model_copy(update={"study": spec.study.model_copy(update={"name": name})})
    space = search_space(spec, place=str(path), overrides=overrides)
    for lacking, why in lacking_by_itself(spec, space):
        set_for_nothing = [
            *((key, repr(value)) for key, value in idle_keys("data", spec.data, lacking)),
            *((key, repr(value)) for key, value in idle_keys("model", spec.model, lacking)),
            *((key, repr(value)) for key, value in idle_keys("training", spec.training, lacking)),
            *((key, "a searched option") for key in idle_searched(space, lacking)),
        ]
        for key, found in set_for_nothing:
            raise _error_at(key, str(path), overrides, **idle(found, lacking, why))
    return spec


def search_space(
    spec: StudySpec, place: str = "study", overrides: Mapping[str, object] | None = None
) -> SearchSpace:
    """The dimensions of the study's search space. Raises StudyFileError where an entry is wrong."""
    space = {}
    for option, entry in spec.search.space.items():
        try:
            space[option] = parse_dimension(option, entry)
        except SpaceError as error:
            raise _error_at(
                f"search.space.{error.key}",
                place,
                overrides or {},
                found=error.found,
                expected=error.expected,
                hint=error.hint,
            ) from error
    if not space:
        raise _error_at(
            "search.space",
            place,
            overrides or {},
            found="an empty table",
            expected="at least one option to search",
            hint="Add e.g. learning_rate = { low = 1e-6, high = 1e-3, log = true }.",
        )
    return space


def parse_setting(setting: str) -> tuple[str, object]:
    """Split `--set key=value`; the value is read as TOML, and as plain text where it is none."""
    key, equals, text = setting.partition("=")
    key, text = key.strip(), text.strip()
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", key):
        raise OptionError(
            "--set",
            found=repr(setting),
            expected="key=value with a dotted key",
            hint="Write e.g. --set training.epochs=2.",
        )
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return key, text
    return key, document["value"] if len(document) == 1 else text


def _parse_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise StudyFileError(
            str(path),
            found=f"a fault in its TOML ({error})",
            expected="valid TOML",
            hint="Correct that line.",
        ) from error
    except UnicodeDecodeError as error:
        raise StudyFileError(
            str(path),
            found=f"bytes that are not UTF-8 (at byte {error.start})",
            expected="a TOML text file",
            hint="Save it as UTF-8.",
        ) from error
    except OSError as error:
        raise StudyFileError(
            str(path),
            found=error.strerror or str(error),
            expected="a readable file",
            hint="Check its rights.",
        ) from error


def _lay_over(document: dict[str, Any], key: str, value: object) -> None:
    *tables, last = path = key.split(".")
    if path[:2] == ["search", "space"] and len(path) > 2:
        _spell_out_space(document)
    table = document
    for name in tables:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise OptionError(
                f"--set {key}",
                found=f"{name} = {inner!r} in the study file",
                expected="a table",
                hint=f"Set {name} as a whole.",
            )
        table = inner
    table[last] = deepcopy(value)
    # What the command line fixes leaves the file's search space, and the reverse.
    for option in _options_set(path, value, ["training"]):
        _table(_table(document, "search"), "space").pop(option, None)
    for option in _options_set(path, value, ["search", "space"]):
        _table(document, "training").pop(option, None)


def _drop_what_was_said_of_others(
    document: dict[str, Any], of_the_file: tuple[object, object], overrides: Mapping[str, object]
) -> None:
    """Leave out what the file says of its data and model where the options name others."""
    (data, model), now = of_the_file, _sources(document)
    theirs = [
        *(("data.config", "data.revision") if data != now[0] else ()),
        *(("model.revision",) if model != now[1] else ()),
        *(("study.description",) if of_the_file != now else ()),
    ]
    for key in theirs:
        section, _, name = key.partition(".")
        if key not in overrides and section not in overrides:
            _table(document, section).pop(name, None)


def _options_set(path: Sequence[str], value: object, table: Sequence[str]) -> list[str]:
    """The options of a table that a setting gives: one of them, or a table that holds them."""
    if path[: len(table)] != table[: len(path)]:
        return []
    if len(path) > len(table):
        return [path[len(table)]]
    for name in table[len(path) :]:
        value = value.get(name) if isinstance(value, dict) else None
    return list(value) if isinstance(value, dict) else []


def _spell_out_space(document: dict[str, Any]) -> None:
    """Write the usual space into a document that has none, so that something can be added to it."""
    search = document.setdefault("search", {})
    if isinstance(search, dict) and "space" not in search:
        fixed = _table(document, "training")
        search["space"] = {k: deepcopy(v) for k, v in DEFAULT_SPACE.items() if k not in fixed}


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A table of the document; an empty one where there is none, or something else of its name."""
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def _sources(document: dict[str, Any]) -> tuple[object, object]:
    """The data and the model that a document names."""
    data, model = _table(document, "data"), _table(document, "model")
    return data.get("source", DEMO), model.get("name", DEMO)


def _validated(document: dict[str, Any], place: str, overrides: Mapping[str, object]) -> StudySpec:
    training = _table(document, "training")
    space = _table(_table(document, "search"), "space")
    fixed = [option for option in SEARCHABLE_OPTIONS if option in training]
    for option in fixed:
        if option in space:
            raise _error_at(
                f"training.{option}",
                place,
                overrides,
                found="the option fixed here and searched in [search.space]",
                expected="one of the two",
                hint="Remove one of them.",
            )
    try:
        spec = StudySpec.model_validate(document)
    except ValidationError as error:
        raise _first_problem(error, document, place, overrides) from error
    # Only the usual space, of a file that has none of its own, can still hold a fixed option.
    if not spec.search.space.keys().isdisjoint(fixed):
        remaining = {k: v for k, v in spec.search.space.items() if k not in fixed}
        spec = spec.model_copy(
            update={"search": spec.search.model_copy(update={"space": remaining})}
        )
    return spec


def _first_problem(
    error: ValidationError, document: Mapping[str, Any], place: str, overrides: Mapping[str, object]
) -> StudyFileError | OptionError:
    problem = error.errors()[0]
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        siblings = _known_keys(path[:-1])
        near = nearest_name(path[-1], siblings)
        where = f"[{'.'.join(path[:-1])}]" if path[:-1] else "the study file"
        return _error_at(
            key,
            place,
            overrides,
            found="an unknown key",
            expected=f"a key of {where}: " + ", ".join(siblings),
            hint=f"Did you mean {near}?" if near else "Remove it.",
        )
    found = repr(problem["input"])
    expected = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    hint = "Correct the value."
    if problem["type"] == "missing":
        found, expected, hint = "nothing", f"a {path[-1]}", f"Add {path[-1]} = …."
    elif problem["type"] in ("model_type", "dict_type"):
        expected, hint = "a table", f"Write [{key}] and its keys below it."
    elif problem["type"] == "string_pattern_mismatch":
        expected, hint = "a name without / : and line breaks", "Take another name."
    elif problem["type"] == "string_too_short":
        expected, hint = "some text", f"Fill in {path[-1]}, or leave it out."
    elif problem["type"] == "literal_error":
        names = re.findall(r"'([^']+)'", expected)
        near = nearest_name(str(problem["input"]), names)
        expected = "one of " + ", ".join(names)
        hint = f"Did you mean {near}?" if near else "Write one of those names."
    elif problem["type"].endswith("_type"):
        hint = f"Write {path[-1]} as {expected.removeprefix('a valid ')}."
    return _error_at(key, place, overrides, found=found, expected=expected, hint=hint)


def _known_keys(path: Sequence[str]) -> list[str]:
    model: type[BaseModel] = StudySpec
    for name in path:
        field = model.model_fields.get(name)
        if field is None or not isinstance(field.annotation, type):
            return []
        model = field.annotation
    return list(model.model_fields)


def _error_at(
    key: str, place: str, overrides: Mapping[str, object], *, found: str, expected: str, hint: str
) -> StudyFileError | OptionError:
    for option in overrides:
        at_or_below = key == option or key.startswith((f"{option}.", f"{option}["))
        if at_or_below or option.startswith(f"{key}."):
            named = OPTION_OF_KEY.get(option, f"--set {option}")
            return OptionError(
                named if not key.startswith(f"{option}.") else f"{named}: {key}",
                found=found,
                expected=expected,
                hint=hint,
            )
    return StudyFileError(f"{place}: {key}", found=found, expected=expected, hint=hint)


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


def _check_name(name: str, spec: StudySpec, path: Path, overrides: Mapping[str, object]) -> None:
    """Raise what is to be said of a name from which no path and no model's name can be made."""
    why = why_no_name(name)
    if why is None:
        return
    place = str(path) if spec.study.name else f"{path} (a study is named after its file)"
    raise _error_at(
        "study.name",
        place,
        overrides,
        found=f"{name!r}, {why}",
        expected="a name of letters, digits and other visible characters",
        hint="Take another name." if spec.study.name else "Give it one: study.name, or --name.",
    )


def _derived_name(spec: StudySpec, file_name: str) -> str:
    parts = [_short_name(spec.data.source), _short_name(spec.model.name)]
    name = "-".join(parts)
    whole = f"{file_name}-{name}" if parts == [DEMO, DEMO] else name
    return whole[:MAX_NAME_CHARACTERS]


def _short_name(source: str) -> str:
    path = Path(source)
    if path.name in ("", ".."):
        path = path.resolve()
    stem = path.stem if data_format(path) else path.name
    return re.sub(r"[^\w.-]+", "-", stem)[:100] or "study"


def study_toml(spec: StudySpec) -> str:
    """The study as a file with every default written out; read again, it is the same study."""
    import tomli_w

    document = spec.model_dump(mode="json", exclude_none=True)
    for option in spec.search.space:
        document["training"].pop(option, None)
    return tomli_w.dumps(document)
