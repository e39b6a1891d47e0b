"""Options of tables: dotted names in study files, on the command line, in Optuna and in MLflow."""

from __future__ import annotations

import doctest
from typing import Any

import optuna
import pytest

from hpo.errors import OptionError, StudyFileError
from hpo.runtime.preparation import told_params, trial_params
from hpo.search.distributions import distributions, suggest
from hpo.spec import options
from hpo.spec.overrides import parse_setting
from hpo.spec.space import Choice, FloatRange
from hpo.spec.study import StudySpec
from hpo.spec.study_file import search_space, study_toml
from hpo.spec.training import TrialParams
from tests.spec.reading import read

SEARCHED = {"augment.delete": FloatRange(0.0, 0.3), "augment.variants": Choice((2, 4))}


def test_the_examples_are_true() -> None:
    failed, tried = doctest.testmod(options)
    assert tried
    assert not failed


@pytest.mark.parametrize(
    "space",
    [
        '"augment.delete" = {low=0, high=0.3}\n"augment.variants" = [2, 4]',
        "augment.delete = {low=0, high=0.3}\naugment.variants = [2, 4]",
        "[search.space.augment]\ndelete = {low=0, high=0.3}\nvariants = [2, 4]",
        "augment = { delete = {low=0, high=0.3}, variants = [2, 4] }",
    ],
)
def test_a_nested_option_is_searched_under_its_dotted_name(space: str) -> None:
    spec = read(f"[search.space]\n{space}")
    assert search_space(spec) == SEARCHED
    assert read(study_toml(spec)) == spec
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    "toml",
    [
        "[training.augment]\ndelete = 0.1",
        "[training]\naugment.delete = 0.1",
        "[training]\naugment = { delete = 0.1 }",
    ],
)
def test_a_nested_option_is_fixed_in_every_way_of_toml(toml: str) -> None:
    spec = read(toml)
    assert spec.training.augment.delete == 0.1
    assert read(study_toml(spec)) == spec
    assert read("", overrides=dict([parse_setting("training.augment.delete=0.1")])) == spec


def test_a_setting_searches_a_nested_option_or_moves_an_end_of_its_range() -> None:
    settings = [
        "search.space.augment.delete={low=0, high=0.3}",
        "search.space.augment.delete.high=0.5",
    ]
    space = search_space(read("", overrides=dict(map(parse_setting, settings))))
    assert space["augment.delete"] == FloatRange(0.0, 0.5)
    assert "learning_rate" in space


def test_a_nested_option_is_fixed_or_searched_and_not_both() -> None:
    toml = '[training.augment]\ndelete = 0.1\n[search.space]\n"augment.delete" = [0.1, 0.2]'
    with pytest.raises(
        StudyFileError, match=r"training\.augment\.delete: .*fixed here and searched"
    ):
        read(toml)


@pytest.mark.parametrize(
    ("toml", "place", "hint"),
    [
        ("[training.augment]\ndelet = 0.1", "training.augment.delet", "mean delete"),
        ("[training.augment]\ndelete = 1.5", "training.augment.delete", "Correct"),
        ("[training]\naugment = 0.1", "training.augment", r"\[training.augment\]"),
        ("[search.space]\naugment.delet = [0.1]", "search.space.augment.delet", "augment.delete"),
        ("[search.space]\naugment = [0.1]", "search.space.augment", "Write|Remove"),
    ],
)
def test_a_wrong_nested_option_is_told_by_its_dotted_name(toml: str, place: str, hint: str) -> None:
    with pytest.raises(StudyFileError, match=hint) as error:
        read(toml)
    assert error.value.place.endswith(f": {place}")


def test_a_wrong_nested_setting_is_told_as_one() -> None:
    with pytest.raises(OptionError, match=r"^--set training\.augment\.delet: .*mean delete"):
        read("", overrides={"training.augment.delet": 0.1})


def test_a_trial_has_what_is_searched_and_what_is_fixed() -> None:
    spec = read("[training.augment]\nswap = 0.2\n[search.space]\naugment.delete = [0.1, 0.3]")
    params = trial_params(spec, {"augment.delete": 0.3})
    assert (params.augment.delete, params.augment.swap, params.augment.variants) == (0.3, 0.2, 4)
    assert {
        k: v for k, v in told_params(spec, params, "single_label").items() if "augment" in k
    } == {
        "augment.delete": 0.3,
        "augment.swap": 0.2,
        "augment.replace": 0.0,
        "augment.insert": 0.0,
        "augment.characters": 0.0,
        "augment.variants": 4,
    }


def test_a_table_that_is_off_is_told_only_where_it_is_searched() -> None:
    fixed, searched = read(""), read("[search.space]\naugment.delete = [0.0, 0.1]")
    params = TrialParams()
    assert told_params(fixed, params, "single_label") == params.model_dump(exclude={"augment"})
    assert told_params(searched, params, "single_label")["augment.delete"] == 0.0


def test_optuna_knows_options_by_their_dotted_names_and_gives_booleans_back_as_such() -> None:
    space: dict[str, Any] = {**SEARCHED, "nesterov": Choice((True, False))}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    points = [suggest(study.ask(distributions(space)), space) for _ in range(20)]
    assert all(point.keys() == space.keys() for point in points)
    assert {point["nesterov"] for point in points} == {True, False}
    assert all(isinstance(point["nesterov"], bool) for point in points)


def test_what_does_nothing_in_a_task_is_not_told() -> None:
    spec, params = StudySpec(), TrialParams()
    told = {
        task: told_params(spec, params, task).keys()
        for task in ("single_label", "multi_label", "regression")
    }
    assert told["single_label"] - told["multi_label"] == {"head"}
    of_classes = {"class_weight", "focal_gamma", "label_smoothing"}
    assert told["multi_label"] - told["regression"] == of_classes
