"""The typed values of a study: defaults, types, directions."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hpo.spec.registries import METRICS, PRUNERS, SAMPLERS
from hpo.spec.study import (
    DataSection,
    StudySpec,
    TrackingSection,
    direction_of,
)
from hpo.spec.training import TrainingSection, TrialParams


def test_an_empty_study_is_whole() -> None:
    spec = StudySpec.model_validate({})
    assert (spec.data.source, spec.model.name, spec.study.trials) == ("demo", "demo", 50)
    assert set(spec.search.space) == {"learning_rate", "batch_size", "epochs", "freeze_depth"}


def test_only_log_loss_is_minimised() -> None:
    assert {m for m in METRICS if direction_of(m) == "minimize"} == {"log_loss", "rmse", "mae"}
    assert StudySpec.model_validate({"study": {"metric": "log_loss"}}).direction == "minimize"


@pytest.mark.parametrize("name", SAMPLERS.ours)
def test_a_sampler_is_a_name_or_a_table(name: str) -> None:
    short = StudySpec.model_validate({"search": {"sampler": name}}).search.sampler
    long = StudySpec.model_validate({"search": {"sampler": {"name": name, "seeds": 3}}})
    assert (short.name, short.options) == (name, {})
    assert (long.search.sampler.name, long.search.sampler.options) == (name, {"seeds": 3})


@pytest.mark.parametrize("name", PRUNERS.ours)
def test_a_pruner_is_a_name_or_a_table(name: str) -> None:
    short = StudySpec.model_validate({"search": {"pruner": name}}).search.pruner
    long = StudySpec.model_validate({"search": {"pruner": {"name": name, "wait": 3}}})
    assert (short.name, short.options) == (name, {})
    assert (long.search.pruner.name, long.search.pruner.options) == (name, {"wait": 3})


@pytest.mark.parametrize(
    ("keep", "models"), [("all", None), ("best", 1), ("top:1", 1), ("top:12", 12)]
)
def test_keep_says_how_many_models_stay(keep: str, models: int | None) -> None:
    assert TrackingSection(keep=keep).kept_models == models


@pytest.mark.parametrize("keep", ["", "none", "top", "top:", "top:0", "top:-1", "top:x", "all:2"])
def test_another_keep_is_refused(keep: str) -> None:
    with pytest.raises(ValidationError, match="all, best or top:K"):
        TrackingSection(keep=keep)


@pytest.mark.parametrize("model", [TrialParams, TrainingSection])
@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": "3"},
        {"epochs": 3.0},
        {"epochs": True},
        {"learning_rate": "1e-4"},
        {"learning_rate": float("nan")},
        {"max_grad_norm": float("inf")},
        {"dropout": 1.0},
        {"schedule": "Linear"},
        {"batch_sise": 8},
    ],
)
def test_nothing_is_bent_into_its_type(model: type[TrialParams], wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(wrong)


def test_values_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        StudySpec().study.trials = 3  # type: ignore[misc]


def test_a_study_goes_through_json_unchanged() -> None:
    document = {
        "study": {"name": "s", "metric": "mcc"},
        "search": {"sampler": {"name": "tpe", "group": True}, "space": {"momentum": [0.5, 0]}},
        "training": {"learning_rate": 1, "dropout": 0.1},
    }
    spec = StudySpec.model_validate(document)
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("label", [3, [], ["joy"], ["joy", 3], {"joy": 1}])
def test_label_columns_are_one_name_or_a_list_of_several(label: object) -> None:
    with pytest.raises(ValidationError, match="a column, or a list of two columns or more"):
        DataSection.model_validate({"label": label})


def test_a_list_of_label_columns_stays_one() -> None:
    assert DataSection.model_validate({"label": ["joy", "love"]}).label == ["joy", "love"]
