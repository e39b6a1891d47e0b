"""Whatever stands where a number is expected: a value within its bounds, or one line that says what is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpo.errors import HpoError, OptionError
from hpo.search.distributions import count_of, distributions, values_of
from hpo.search.grid import LARGEST_GRID, grid_values
from hpo.spec.numbers import (
    LARGEST_BYTES,
    LARGEST_WHOLE,
    LONGEST_SECONDS,
    SMALLEST_WHOLE,
    parse_duration,
    parse_size,
    steps_within,
    whole_number,
)
from hpo.spec.overrides import parse_setting
from hpo.spec.space import FloatRange, IntRange, SpaceError, parse_dimension
from hpo.studies.studies import check_plan
from tests.spec.reading import read

DIGITS = st.builds(
    lambda digit, count: digit * count, st.sampled_from("019"), st.integers(1, 6000)
) | st.from_regex(r"[0-9]{1,25}", fullmatch=True)
NUMBER_TEXTS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "-", "+", "--", " ", "0x", "."]),
        DIGITS,
        st.sampled_from(
            ["", ".5", "e9", "e400", "e-320", "_0", "h", "m", "s", "kB", "TB", "xB", " "]
        ),
    ),
)
TEXTS = NUMBER_TEXTS | st.text(max_size=30)

WHOLE: dict[str, tuple[Callable[[str], int], int, int]] = {
    "--priority": (whole_number("--priority"), SMALLEST_WHOLE, LARGEST_WHOLE),
    "--threads": (whole_number("--threads", least=1, most=4096), 1, 4096),
    "--seed": (whole_number("--seed", most=2**32 - 1), SMALLEST_WHOLE, 2**32 - 1),
}


def told_in_a_line(error: HpoError) -> None:
    assert error.exit_code == 2
    assert all((error.place, error.found, error.expected, error.hint))
    assert len(str(error).splitlines()) == 1


@given(TEXTS, st.sampled_from(sorted(WHOLE)))
@example("9" * 5000, "--threads")
@example("-" + "9" * 5000, "--priority")
def test_an_option_takes_a_whole_number_within_its_bounds_or_says_so(
    text: str, option: str
) -> None:
    parse, least, most = WHOLE[option]
    try:
        assert least <= parse(text) <= most
    except OptionError as error:
        told_in_a_line(error)


@given(TEXTS)
@example("9999999h")
@example("999999h")
@example("9" * 5000 + "s")
def test_a_duration_is_one_that_a_timer_can_wait_for(text: str) -> None:
    try:
        assert 0 < parse_duration(text, "--timeout") <= LONGEST_SECONDS
    except OptionError as error:
        told_in_a_line(error)


@given(TEXTS)
@example("9" * 5000 + "TB")
@example("9." + "9" * 5000 + "TB")
def test_a_size_is_one_that_a_disk_can_have(text: str) -> None:
    try:
        assert 0 <= parse_size(text, "HPO_CACHE_LIMIT") <= LARGEST_BYTES
    except OptionError as error:
        told_in_a_line(error)


KEYS = (
    "study.trials",
    "study.seed",
    "tracking.keep",
    "data.max_length",
    "data.max_train_examples",
    "data.test_fraction",
    "training.batch_size",
    "training.epochs",
    "training.max_grad_norm",
    "training.early_stopping",
    "search.sampler.n_startup_trials",
    "search.space.dropout.high",
    "search.space.batch_size",
)


@settings(deadline=None)
@given(NUMBER_TEXTS, st.sampled_from(KEYS), st.booleans())
@example("9" * 5000, "study.trials", True)
@example("0x" + "f" * 5000, "study.seed", False)
@example("'top:" + "9" * 5000 + "'", "tracking.keep", False)
def test_any_number_in_a_study_is_taken_or_refused_in_a_line(
    text: str, key: str, in_the_file: bool
) -> None:
    try:
        spec = (
            read(f"{key} = {text}")
            if in_the_file
            else read("", dict([parse_setting(f"{key}={text}")]))
        )
        check_plan(spec)
    except HpoError as error:
        told_in_a_line(error)


NUMBERS = st.floats() | st.integers() | st.sampled_from([5e-324, 1e308, 10**400, -(10**400)])


@settings(deadline=None)
@given(
    st.sampled_from(["dropout", "max_grad_norm", "learning_rate", "batch_size", "epochs"]),
    NUMBERS,
    NUMBERS,
    NUMBERS,
)
@example("dropout", 0.0, 0.5, 1e-320)
@example("dropout", 0.0, 0.5, 1e-12)
@example("max_grad_norm", 0.0, 1e308, 1e-3)
@example("batch_size", 1, 10**12, 1)
def test_a_range_is_counted_before_it_is_listed(
    option: str, low: float, high: float, step: float
) -> None:
    try:
        dimension = parse_dimension(option, {"low": low, "high": high, "step": step})
    except SpaceError:
        return
    assert isinstance(dimension, IntRange | FloatRange)
    assert 1 <= count_of(option, dimension) <= LARGEST_WHOLE
    distributions({option: dimension})
    try:
        values = grid_values({option: dimension})[option]
    except HpoError as error:
        told_in_a_line(error)
        assert count_of(option, dimension) > LARGEST_GRID
    else:
        assert len(values) == count_of(option, dimension)


@given(st.integers(0, 1000), st.integers(1, 999))
def test_the_steps_are_those_of_decimal_numbers(count: int, thousandths: int) -> None:
    step = thousandths / 1000
    assert steps_within(0.0, count * thousandths / 1000, step) == count
    dimension = FloatRange(0.0, count * thousandths / 1000, step=step)
    values = values_of("it", dimension)
    assert values[-1] == count * thousandths / 1000
    assert len(values) == count + 1


def test_a_number_of_two_to_the_power_of_63_is_beyond_what_toml_holds() -> None:
    assert parse_setting(f"a={2**63 - 1}") == ("a", 2**63 - 1)
    with pytest.raises(OptionError, match="more than 64 bits"):
        parse_setting(f"a=[1, {{ b = {2**63} }}]")
