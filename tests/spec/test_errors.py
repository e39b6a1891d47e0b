"""The family of errors."""

from __future__ import annotations

import pickle

import pytest

from hpo.errors import (
    DataError,
    HpoError,
    ModelError,
    OptionError,
    StorageError,
    StudyFailedError,
    StudyFileError,
    TrackingError,
    nearest_name,
)

FAMILY = (
    DataError,
    ModelError,
    OptionError,
    StorageError,
    StudyFailedError,
    StudyFileError,
    TrackingError,
)


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_says_where_what_was_found_what_was_expected_and_how_to_mend_it(
    kind: type[HpoError],
) -> None:
    error = kind("a.csv, line 3", found="no label", expected="a label", hint="Fill it in.")
    assert str(error) == "a.csv, line 3: found no label; expected a label. Fill it in."


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_travels_between_processes(kind: type[HpoError]) -> None:
    error = kind("place", found="found", expected="expected", hint="hint")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)


def test_what_is_wrong_beforehand_exits_2_and_what_goes_wrong_on_the_way_exits_1() -> None:
    assert {kind.exit_code for kind in FAMILY if kind is not StudyFailedError} == {2}
    assert StudyFailedError.exit_code == 1


@pytest.mark.parametrize(
    ("typed", "near"), [("acuracy", "accuracy"), ("f1macro", "f1_macro"), ("zzz", None), ("", None)]
)
def test_a_mistyped_name_is_told_the_nearest_one(typed: str, near: str | None) -> None:
    assert nearest_name(typed, ["accuracy", "f1_macro", "mcc"]) == near
