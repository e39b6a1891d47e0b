"""Reading a study: a TOML file, the options laid over it, every key checked, one clear error."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hpo.documents import TooDeep, parse_toml
from hpo.errors import OptionError, StudyFileError, nearest_name
from hpo.spec.addresses import is_address, name_in, why_no_address
from hpo.spec.effects import idle, idle_keys, idle_searched, lacking_by_itself
from hpo.spec.locations import path_of
from hpo.spec.names import why_no_name
from hpo.spec.numbers import beyond_toml
from hpo.spec.options import drop_option, flat
from hpo.spec.overrides import overridden, sources_of, table_of
from hpo.spec.registries import data_format
from hpo.spec.space import Choice, SearchSpace, SpaceError, parse_dimension
from hpo.spec.study import DEMO, MAX_NAME_CHARACTERS, StudySection, StudySpec
from hpo.spec.study_errors import error_at, first_problem
from hpo.spec.training import OPTION_TABLES, SEARCHABLE_OPTIONS

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
        return path_of(str(known[study]), lambda reason: _no_study_file(str(known[study]), reason))
    # A name alone is one of studies/; a path has its suffix.
    beside = f"{study}.toml"
    is_there = any(path.name == beside for path in Path().glob("*.toml"))
    meant = beside if is_there else nearest_name(study, known)
    raise StudyFileError(
        study,
        found="no study of this name" + (f", but a file {beside}" if is_there else ""),
        expected="one of " + ", ".join(known) + ", or the path of a study file",
        hint=f"Write {meant} instead." if meant else "Write a name from that list.",
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

    A study with other data or another model than the file's gets a name of its own, so that the two are not
    mixed up, and nothing that the file says of its own.

    Args:
        path: Of the file.
        overrides: Dotted keys (`study.trials`) to values, as given on the command line.

    Raises:
        StudyFileError: The file is wrong, or has a setting that would do nothing.
        OptionError: The same of an override.
    """
    return study_of(_parse_toml(path), path, dict(overrides or {}))


def study_of(
    of_the_file: Mapping[str, Any], path: Path, overrides: Mapping[str, object]
) -> StudySpec:
    """The study of a file's document, or of an empty one; otherwise as `read_study`.

    Args:
        of_the_file: What the file says.
        path: Which errors name, and after which the study is named.
        overrides: As for `read_study`.
    """
    document = overridden(of_the_file, overrides)
    spec = _validated(document, str(path), overrides)
    _check_address(spec, str(path), overrides)
    name = spec.study.name or _short_name(path.stem)
    if "study.name" not in overrides and sources_of(document) != sources_of(of_the_file):
        name = _derived_name(spec, name)
    else:
        _check_name(spec.study.name or path.stem, spec, path, overrides)
    spec = spec.model_copy(update={"study": spec.study.model_copy(update={"name": name})})
    space = search_space(spec, place=str(path), overrides=overrides)
    if not space:
        spec = _once(spec, str(path), overrides)
    for lacking, why in lacking_by_itself(spec, space):
        set_for_nothing = [
            *(
                (key, repr(value))
                for section in type(spec).model_fields
                for key, value in idle_keys(section, getattr(spec, section), lacking)
            ),
            *((key, "a searched option") for key in idle_searched(space, lacking)),
        ]
        for key, found in set_for_nothing:
            raise error_at(key, str(path), overrides, **idle(found, lacking, why))
    _check_schedule(spec, space, str(path), overrides)
    return spec


def search_space(
    spec: StudySpec, place: str = "study", overrides: Mapping[str, object] | None = None
) -> SearchSpace:
    """The dimensions of the study's search space.

    Args:
        spec: The study.
        place: What errors name as the file.
        overrides: The settings laid over the file, of which errors are told where they lie in one.

    Raises:
        StudyFileError: An entry is wrong.
        OptionError: An override is.
    """
    space = {}
    for option, entry in spec.search.space.items():
        try:
            space[option] = parse_dimension(option, entry)
        except SpaceError as error:
            raise error_at(
                f"search.space.{error.key}",
                place,
                overrides or {},
                found=error.found,
                expected=error.expected,
                hint=error.hint,
            ) from error
    return space


def _once(spec: StudySpec, place: str, overrides: Mapping[str, object]) -> StudySpec:
    """A study that searches nothing, whose one trial is the baseline, whatever its file says of trials.

    Raises:
        OptionError: More are asked for.
    """
    if overrides.get("study.trials", 1) != 1:
        raise error_at(
            "study.trials",
            place,
            overrides,
            found=f"{spec.study.trials}, where nothing is searched",
            expected="1",
            hint="Search an option, or raise confirm.seeds to train with more seeds.",
        )
    return spec.model_copy(update={"study": spec.study.model_copy(update={"trials": 1})})


def _check_schedule(
    spec: StudySpec, space: SearchSpace, place: str, overrides: Mapping[str, object]
) -> None:
    """With folds the champion is trained without validation, which the schedule plateau waits for."""
    searched = space.get("schedule")
    values = searched.values if isinstance(searched, Choice) else (spec.training.schedule,)
    if spec.validation.folds and "plateau" in values:
        raise error_at(
            "training.schedule" if searched is None else "search.space.schedule",
            place,
            overrides,
            found=f"plateau, with validation.folds = {spec.validation.folds}",
            expected="a schedule that does not wait for validation scores, for with folds the champion "
            "is trained on all texts without them",
            hint="Take another schedule, or set validation.folds to 0.",
        )


def _parse_toml(path: Path) -> dict[str, Any]:
    try:
        document = parse_toml(path.read_text(encoding="utf-8-sig"))
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
    except TooDeep as error:
        raise StudyFileError(
            str(path),
            found=f"tables or arrays {error}",
            expected="a study file",
            hint="Name a study file that `hpo.run` reads.",
        ) from error
    except ValueError as error:  # more digits than Python reads
        raise _too_large(str(path)) from error
    large = beyond_toml(document, "")
    if large is not None:
        raise _too_large(f"{path}: {large}")
    return document


def _too_large(place: str) -> StudyFileError:
    return StudyFileError(
        place,
        found="a whole number of more than 64 bits",
        expected="a smaller one",
        hint="Correct the value.",
    )


def _validated(document: dict[str, Any], place: str, overrides: Mapping[str, object]) -> StudySpec:
    training = flat(table_of(document, "training"), OPTION_TABLES)
    space = table_of(table_of(document, "search"), "space")
    fixed = [option for option in SEARCHABLE_OPTIONS if option in training]
    for option in fixed:
        if option in space:
            raise error_at(
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
        raise first_problem(error, place, overrides) from error
    # Only the usual space, of a file that has none of its own, can still hold a fixed option.
    if not spec.search.space.keys().isdisjoint(fixed):
        remaining = {k: v for k, v in spec.search.space.items() if k not in fixed}
        spec = spec.model_copy(
            update={"search": spec.search.model_copy(update={"space": remaining})}
        )
    return spec


def _check_address(spec: StudySpec, place: str, overrides: Mapping[str, object]) -> None:
    """Raise what is to be said of an address that is not read, or must not be stored."""
    refused = why_no_address(spec.data.source) if is_address(spec.data.source) else None
    if refused is not None:
        raise error_at("data.source", place, overrides, **refused._asdict())


def check_new_name(name: str, place: str) -> None:
    """Raise OptionError where a study cannot be called so; place: what gave the name."""
    why = why_no_name(name)
    try:
        StudySection(name=name)
    except ValidationError:
        why = why or f"with / or :, a space before it, or over {MAX_NAME_CHARACTERS} characters"
    if why is not None:
        expected = "a name of letters, digits and other visible characters"
        raise OptionError(
            place, found=f"{name!r}, {why}", expected=expected, hint="Take another name."
        )


def _check_name(name: str, spec: StudySpec, path: Path, overrides: Mapping[str, object]) -> None:
    """Raise what is to be said of a name from which no path and no model's name can be made."""
    why = why_no_name(name)
    if why is None:
        return
    place = str(path) if spec.study.name else f"{path} (a study is named after its file)"
    raise error_at(
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
    path = Path(name_in(source) if is_address(source) else source)
    if path.name in ("", ".."):
        path = path.resolve()
    stem = path.stem if data_format(path) else path.name
    return re.sub(r"[^\w.-]+", "-", stem)[:100] or "study"


def study_toml(spec: StudySpec) -> str:
    """The study as a file with every default written out; read again, it is the same study."""
    import tomli_w

    document = spec.model_dump(mode="json", exclude_none=True)
    for option in spec.search.space:
        drop_option(document["training"], option)
    return tomli_w.dumps(document)
