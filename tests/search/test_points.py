"""Points that somebody asks for: taken where the space has them, refused in one line where it has not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import OptionError
from hpo.search.distributions import distributions
from hpo.search.points import in_words, read_points
from hpo.spec.study_file import search_space
from tests.storages import SpecFactory

SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},
    "weight_decay": {"low": 0.0, "high": 0.3, "step": 0.1},
    "batch_size": [8, 16, 32],
    "epochs": {"low": 1, "high": 7, "step": 2},
    "freeze_depth": {"low": 0, "high": "n_layer"},
    "augment.delete": [0.0, 0.1],
}


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ('{"learning_rate": 3e-5}', {"learning_rate": 3e-5}),
        ('{"weight_decay": 0.30000000000000004, "epochs": 3.0}', None),
        ('{"weight_decay": 0.3, "epochs": 3.0}', {"weight_decay": 0.3, "epochs": 3}),
        ('{"augment": {"delete": 0.1}}', {"augment.delete": 0.1}),
        ('{"augment.delete": 0}', {"augment.delete": 0.0}),
        ('{"freeze_depth": 4}', {"freeze_depth": 4}),
    ],
)
def test_a_point_of_the_space_is_taken(
    make_spec: SpecFactory, text: str, point: dict[str, object] | None
) -> None:
    spec = make_spec(space=SPACE)
    if point is None:
        with pytest.raises(OptionError):
            read_points([text], spec)
    else:
        assert read_points([text], spec, n_layer=4) == (point,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "--enqueue: found '{'; expected a JSON object."),
        ('{"a": 1, "a": 2}', "--enqueue: found a twice; expected each key once."),
        (
            "[1]",
            "--enqueue: found '[1]'; expected a JSON object with at least one searched option.",
        ),
        ("{}", "--enqueue: found '{}'; expected a JSON object with at least one searched option."),
        ('{"batch_size": 9}', "--enqueue batch_size: found 9; expected one of 8, 16, 32."),
        ('{"batch_size": "8"}', '--enqueue batch_size: found "8"; expected one of 8, 16, 32.'),
        ('{"batch_size": true}', "--enqueue batch_size: found true; expected one of 8, 16, 32."),
        (
            '{"epochs": 2}',
            "--enqueue epochs: found 2; expected a whole number from 1 to 7 in steps of 2.",
        ),
        ('{"epochs": null}', "--enqueue epochs: found null; expected a whole number from 1 to 7"),
        (
            '{"learning_rate": NaN}',
            "--enqueue learning_rate: found NaN; expected a number from 1e-05",
        ),
        ('{"learning_rate": 1e999}', "--enqueue learning_rate: found Infinity; expected a number"),
        ('{"learning_rate": {}}', "--enqueue learning_rate: found {}; expected a number"),
        (
            '{"weight_decay": 0.25}',
            "found 0.25; expected a number from 0.0 to 0.3 in steps of 0.1.",
        ),
        (
            '{"freeze_depth": 5}',
            "--enqueue freeze_depth: found 5; expected a whole number from 0 to 4.",
        ),
        (
            '{"dropout": 0.1}',
            "--enqueue dropout: found an option that the study fixes; expected one of",
        ),
        ('{"lr": 1e-5}', "--enqueue lr: found an unknown option; expected one of learning_rate, …"),
    ],
)
def test_what_is_no_point_of_the_space_is_told_with_what_is(
    make_spec: SpecFactory, text: str, says: str
) -> None:
    with pytest.raises(OptionError) as caught:
        read_points([text], make_spec(space=SPACE), n_layer=4)
    assert says.removesuffix("…") in str(caught.value)


def test_a_grid_takes_no_points(make_spec: SpecFactory) -> None:
    spec = make_spec(space={"batch_size": [8, 16]}, search__sampler="grid", study__trials=2)
    with pytest.raises(OptionError, match="a point for the sampler grid"):
        read_points(['{"batch_size": 8}'], spec)
    assert read_points([], spec) == ()


@given(value=st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)))
def test_whatever_is_taken_optuna_takes_too(make_spec: SpecFactory, value: object) -> None:
    spec = make_spec(space=SPACE)
    resolved = {**search_space(spec)}
    del resolved["freeze_depth"]
    for name, distribution in distributions(resolved).items():
        try:
            [point] = read_points([json.dumps({name: value})], spec)
        except OptionError:
            continue
        assert distribution._contains(distribution.to_internal_repr(point[name]))
        assert in_words(point) == f"{name} = {point[name]}"
