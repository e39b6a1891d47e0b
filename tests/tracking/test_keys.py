from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.outbox.records import RunRef
from hpo.tracking.keys import (
    TrialRunKey,
    parse_trial_run_key,
    study_run_key,
    trial_run_key,
)


@given(st.text(min_size=1), st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_key_of_an_attempt_is_read_as_it_was_written(
    study: str, number: int, attempt: int
) -> None:
    key = trial_run_key(study, "0f3a", number, attempt)
    found = parse_trial_run_key(RunRef(study, key).key)
    assert found is not None
    assert (found.study_uid, found.number, found.attempt) == ("0f3a", number, attempt)


def test_other_keys_are_no_trials() -> None:
    for key in (study_run_key("a", "u"), "", "trial:a:u:1", "trial:a:u:one:1"):
        assert parse_trial_run_key(key) is None


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        (TrialRunKey("a", "u", 4, 1), True),
        (TrialRunKey("a", "u", 4, 2), False),
        (TrialRunKey("a", "u", 4, 3), False),
        (TrialRunKey("a", "u", 5, 1), False),
        (TrialRunKey("a", "other", 4, 1), False),
    ],
)
def test_only_an_earlier_attempt_at_the_same_trial_comes_before(
    earlier: TrialRunKey, expected: bool
) -> None:
    assert earlier.comes_before(TrialRunKey("a", "u", 4, 2)) is expected
