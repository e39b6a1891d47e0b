"""Every option can be searched in every way that its type allows, and in no other."""

from __future__ import annotations

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.spec.options import option_fields
from hpo.spec.registry import MemberOf
from hpo.spec.space import (
    Choice,
    FloatRange,
    IntRange,
    SpaceError,
    parse_dimension,
    resolve_dimension,
)
from hpo.spec.training import SEARCHABLE_OPTIONS, TrialParams

FIELDS = option_fields(TrialParams)


def of(*kinds: object) -> tuple[str, ...]:
    """The options of some types."""
    return tuple(name for name, field in FIELDS.items() if field.annotation in kinds)


def names_of(option: str) -> list[str]:
    """The names that an option may take."""
    marks = [mark for mark in FIELDS[option].metadata if isinstance(mark, MemberOf)]
    return list(marks[0].registry) if marks else list(get_args(FIELDS[option].annotation))


WHOLE, REAL, SWITCHES = of(int), of(float, float | None), of(bool)
NAMES = tuple(name for name in FIELDS if name not in (*WHOLE, *REAL, *SWITCHES))


def refusal(option: str, entry: object) -> SpaceError:
    with pytest.raises(SpaceError) as caught:
        parse_dimension(option, entry)
    assert all((caught.value.found, caught.value.expected, caught.value.hint))
    return caught.value


def test_options_of_every_kind_can_be_searched() -> None:
    assert {"epochs", "augment.variants"} <= set(WHOLE)
    assert {"learning_rate", "dropout", "augment.delete"} <= set(REAL)
    assert {"optimizer", "schedule", "unfreeze"} <= set(NAMES)
    assert set(SEARCHABLE_OPTIONS) == set(FIELDS)


@pytest.mark.parametrize("option", WHOLE)
def test_a_whole_number_is_searched_in_a_range(option: str) -> None:
    assert parse_dimension(option, {"low": 1, "high": 5}) == IntRange(1, 5)


@pytest.mark.parametrize("option", WHOLE)
def test_a_whole_number_is_searched_on_a_logarithm(option: str) -> None:
    entry = {"low": 1, "high": 64, "log": True}
    assert parse_dimension(option, entry) == IntRange(1, 64, log=True)


@pytest.mark.parametrize("option", WHOLE)
def test_a_whole_number_is_searched_in_steps(option: str) -> None:
    assert parse_dimension(option, {"low": 2, "high": 8, "step": 2}) == IntRange(2, 8, step=2)


@pytest.mark.parametrize("option", WHOLE)
def test_a_whole_number_is_searched_in_a_list(option: str) -> None:
    assert parse_dimension(option, [4, 1, 2]) == Choice((4, 1, 2))


@pytest.mark.parametrize("option", REAL)
def test_a_number_is_searched_in_a_range(option: str) -> None:
    assert parse_dimension(option, {"low": 0.25, "high": 0.5}) == FloatRange(0.25, 0.5)


@pytest.mark.parametrize("option", REAL)
def test_a_number_is_searched_on_a_logarithm(option: str) -> None:
    entry = {"low": 1e-6, "high": 1e-1, "log": True}
    assert parse_dimension(option, entry) == FloatRange(1e-6, 1e-1, log=True)


@pytest.mark.parametrize("option", REAL)
def test_a_number_is_searched_in_steps(option: str) -> None:
    entry = {"low": 0.25, "high": 0.75, "step": 0.25}
    assert parse_dimension(option, entry) == FloatRange(0.25, 0.75, step=0.25)


@pytest.mark.parametrize("option", REAL)
def test_a_number_is_searched_in_a_list(option: str) -> None:
    assert parse_dimension(option, [0.5, 0.25]) == Choice((0.5, 0.25))


@pytest.mark.parametrize("option", NAMES)
def test_a_name_is_searched_in_a_list_of_those_that_there_are(option: str) -> None:
    names = names_of(option)
    assert parse_dimension(option, names) == Choice(tuple(names))
    assert refusal(option, [names[0], "newest"]).key == f"{option}[1]"


@pytest.mark.parametrize("option", NAMES)
def test_a_name_has_no_range(option: str) -> None:
    assert "a list" in refusal(option, {"low": 0, "high": 1}).expected


@pytest.mark.parametrize("option", SWITCHES)
def test_what_is_on_or_off_is_searched_in_a_list_of_the_two(option: str) -> None:
    assert parse_dimension(option, [True, False]) == Choice((True, False))
    assert "true, false" in refusal(option, {"low": 0, "high": 1}).hint
    for wrong in (1, 0.0, "true"):
        assert refusal(option, [True, wrong]).expected == "true or false"


def test_an_option_of_a_table_has_a_dotted_name_in_what_is_told_of_it() -> None:
    error = refusal("augment.delet", [0.1])
    assert (error.key, error.hint) == ("augment.delet", "Write augment.delete instead.")
    assert refusal("augment.delete", {"low": 0.0, "high": 2}).key == "augment.delete.high"
    assert "cannot be searched" in refusal("augment.table", ["a.tsv"]).found


@pytest.mark.parametrize("option", SEARCHABLE_OPTIONS)
@pytest.mark.parametrize("entry", [3, 0.5, "linear", True, None])
def test_a_single_value_belongs_under_training(option: str, entry: object) -> None:
    assert "[training]" in refusal(option, entry).hint


def test_whole_ends_do_for_a_range_of_real_numbers() -> None:
    dimension = parse_dimension("weight_decay", {"low": 0, "high": 0.5})
    assert dimension == FloatRange(0.0, 0.5)
    assert isinstance(dimension, FloatRange)
    assert isinstance(dimension.low, float)


def test_the_number_of_layers_is_filled_in_once_it_is_known() -> None:
    dimension = parse_dimension("freeze_depth", {"low": 1, "high": "n_layer", "step": 2})
    assert dimension == IntRange(1, None, step=2)
    assert resolve_dimension(dimension, 12) == IntRange(1, 12, step=2)


@pytest.mark.parametrize("dimension", [IntRange(1, 3), FloatRange(0.0, 1.0), Choice((1, 2))])
def test_what_names_no_layers_stays_as_it_is(dimension: IntRange | FloatRange | Choice) -> None:
    assert resolve_dimension(dimension, 12) == dimension


@pytest.mark.parametrize("option", [*WHOLE[:2], *REAL])
def test_only_freeze_depth_goes_up_to_the_number_of_layers(option: str) -> None:
    low = 1 if option in WHOLE else 0.5
    assert refusal(option, {"low": low, "high": "n_layer"}).key == f"{option}.high"


def test_an_unknown_option_is_told_its_nearest_name() -> None:
    error = refusal("learning_rat", [1e-4])
    assert error.key == "learning_rat"
    assert "learning_rate" in error.hint


def test_an_unknown_key_of_a_range_is_told_its_nearest_name() -> None:
    error = refusal("epochs", {"low": 1, "hihg": 2})
    assert error.key == "epochs.hihg"
    assert "high" in error.hint


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"low": 1e-5}, "learning_rate"),
        ({"high": 1e-5}, "learning_rate"),
        ({}, "learning_rate"),
        ({"low": 1e-3, "high": 1e-5}, "learning_rate"),
        ({"low": 0, "high": 1e-3, "log": True}, "learning_rate.low"),
        ({"low": 0, "high": 1e-3}, "learning_rate.low"),
        ({"low": -1.0, "high": 1e-3, "log": True}, "learning_rate.low"),
        ({"low": 1e-5, "high": 11.0}, "learning_rate.high"),
        ({"low": "1e-5", "high": 1e-3}, "learning_rate.low"),
        ({"low": True, "high": 1e-3}, "learning_rate.low"),
        ({"low": math.nan, "high": 1e-3}, "learning_rate.low"),
        ({"low": 1e-5, "high": 1e-3, "log": "yes"}, "learning_rate.log"),
        ({"low": 1e-5, "high": 1e-3, "log": 1}, "learning_rate.log"),
        ({"low": 1e-5, "high": 1e-3, "step": 0}, "learning_rate.step"),
        ({"low": 1e-5, "high": 1e-3, "step": -1e-5}, "learning_rate.step"),
        ({"low": 1e-5, "high": 1e-3, "step": math.nan}, "learning_rate.step"),
        ({"low": 1e-5, "high": 1e-3, "step": math.inf}, "learning_rate.step"),
        ({"low": 1e-5, "high": 1e-3, "step": "1e-5"}, "learning_rate.step"),
        ({"low": 1e-5, "high": 1e-3, "log": True, "step": 1e-5}, "learning_rate"),
        ([], "learning_rate"),
        ([1e-4, 0.0], "learning_rate[1]"),
        ([1e-4, "fast"], "learning_rate[1]"),
        ([1e-4, True], "learning_rate[1]"),
        ([1e-4, [1e-5]], "learning_rate[1]"),
        ([1e-4, 1e-4], "learning_rate"),
        ([1, 1.0], "learning_rate"),
    ],
)
def test_a_wrong_entry_for_a_number_is_refused_where_it_is_wrong(entry: object, key: str) -> None:
    assert refusal("learning_rate", entry).key == key


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"low": 1.0, "high": 5}, "epochs.low"),
        ({"low": 1, "high": 5.5}, "epochs.high"),
        ({"low": 0, "high": 5}, "epochs.low"),
        ({"low": 1, "high": 1001}, "epochs.high"),
        ({"low": 1, "high": 5, "step": 0}, "epochs.step"),
        ({"low": 1, "high": 5, "step": 1.5}, "epochs.step"),
        ({"low": 1, "high": 5, "step": True}, "epochs.step"),
        ({"low": 1, "high": 5, "log": True, "step": 1}, "epochs"),
        ([1, 2.5], "epochs[1]"),
    ],
)
def test_a_wrong_entry_for_a_whole_number_is_refused_where_it_is_wrong(
    entry: object, key: str
) -> None:
    assert refusal("epochs", entry).key == key


def test_the_logarithm_of_nought_is_named_as_the_reason() -> None:
    for option in ("learning_rate", "weight_decay", "freeze_depth"):
        entry = {"low": 0, "high": 1 if option == "freeze_depth" else 0.5, "log": True}
        assert "logarithm" in refusal(option, entry).expected


def test_an_endless_range_is_refused() -> None:
    assert refusal("max_grad_norm", {"low": 0.1, "high": math.inf}).key == "max_grad_norm.high"


@given(low=st.floats(1e-9, 10, exclude_min=True), high=st.floats(1e-9, 10), log=st.booleans())
def test_a_range_is_taken_just_where_its_ends_are_in_order(
    low: float, high: float, log: bool
) -> None:
    entry = {"low": low, "high": high, "log": log}
    if low <= high:
        assert parse_dimension("learning_rate", entry) == FloatRange(low, high, log)
    else:
        assert "above" in refusal("learning_rate", entry).found


@given(st.lists(st.integers(-3, 70)))
def test_a_list_is_taken_just_where_each_value_may_stand_and_stands_once(
    values: list[int],
) -> None:
    if values and all(v >= 1 for v in values) and len(set(values)) == len(values):
        assert parse_dimension("batch_size", values) == Choice(tuple(values))
    else:
        refusal("batch_size", values)
