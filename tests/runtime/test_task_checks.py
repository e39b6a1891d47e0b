"""A study that asks its data for what they do not have is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.runtime.task_checks import check_against_task
from hpo.spec.ensemble import EnsembleSection
from hpo.spec.ensemble_methods import OF_ONE_CLASS, USUAL_SIZES
from hpo.spec.registries import METRICS
from hpo.spec.study import SearchSection, StudySection, StudySpec
from hpo.spec.training import TrainingSection

NAMES = {
    "single_label": ("no", "yes"),
    "multi_label": ("sports", "world", "science"),
    "regression": ("stars",),
}
PLAINEST = {"single_label": "accuracy", "multi_label": "f1_micro", "regression": "rmse"}


def check(task: str, *, metric: str | None = None, space: Any = None, **training: Any) -> None:
    spec = StudySpec(
        study=StudySection(name="reviews", metric=metric or PLAINEST[task]),
        search=SearchSection(space=space or {"epochs": [1, 2]}),
        training=TrainingSection(**training),
    )
    check_against_task(spec, task, NAMES[task])


@pytest.mark.parametrize("task", NAMES)
def test_just_the_metrics_of_the_task_are_taken(task: str) -> None:
    for metric in METRICS.ours:
        if task in METRICS[metric].tasks:
            check(task, metric=metric)
        else:
            with pytest.raises(StudyFileError, match=r"study\.metric: found") as caught:
                check(task, metric=metric)
            assert PLAINEST[task] in caught.value.hint
            assert "\n" not in str(caught.value)


def test_every_metric_is_of_a_task_that_there_is() -> None:
    assert {task for metric in METRICS.ours for task in METRICS[metric].tasks} == set(NAMES)


@pytest.mark.parametrize("option", ["class_weight", "focal_gamma", "label_smoothing"])
def test_what_is_of_classes_is_refused_for_numbers(option: str) -> None:
    value: Any = {"class_weight": "balanced"}.get(option, 0.5)
    check("single_label", **{option: value})
    check("multi_label", **{option: value})
    with pytest.raises(StudyFileError, match=rf"training\.{option}: .*data have a number a text"):
        check("regression", **{option: value})
    with pytest.raises(StudyFileError, match=rf"search\.space\.{option}: "):
        check("regression", space={option: [value]})


@pytest.mark.parametrize("method", list(USUAL_SIZES))
def test_an_ensemble_that_the_data_cannot_have_is_refused_before_the_trials(method: Any) -> None:
    for task, names in NAMES.items():
        spec = StudySpec(
            study=StudySection(name="reviews", metric=PLAINEST[task]),
            ensemble=EnsembleSection(method=method),
        )
        if task == "single_label" or method not in OF_ONE_CLASS:
            check_against_task(spec, task, names)
            continue
        with pytest.raises(StudyFileError, match=r"ensemble\.method: found") as caught:
            check_against_task(spec, task, names)
        assert "vote" in caught.value.hint


def test_one_logit_is_for_two_classes() -> None:
    check("single_label", head="sigmoid")
    check("single_label", space={"head": ["softmax", "sigmoid"]})
    spec = StudySpec(training=TrainingSection(head="sigmoid"))
    with pytest.raises(StudyFileError, match=r"training\.head: found 'sigmoid' for 3 classes"):
        check_against_task(spec, "single_label", ("a", "b", "c"))
    spec = StudySpec(search=SearchSection(space={"head": ["softmax", "sigmoid"]}))
    with pytest.raises(StudyFileError, match=r"search\.space\.head: found 'sigmoid'"):
        check_against_task(spec, "single_label", ("a", "b", "c"))


@pytest.mark.parametrize("task", ["multi_label", "regression"])
def test_a_head_is_chosen_for_one_label_a_text_alone(task: str) -> None:
    with pytest.raises(StudyFileError, match=r"training\.head: .*one label a text"):
        check(task, head="sigmoid")
