"""Whether a study file asks for what its data can be asked: its metric, its head, its options for classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from hpo.errors import StudyFileError
from hpo.spec.effects import Need, idle, idle_searched, refuse_idle
from hpo.spec.ensemble_methods import FOR_ALL_TASKS, OF_ONE_CLASS
from hpo.spec.registries import METRICS
from hpo.spec.space import Choice
from hpo.spec.study import StudySpec
from hpo.spec.study_file import search_space
from hpo.tasks.scorer import metrics_for

_IN_WORDS: Final = {
    "single_label": "one label a text",
    "multi_label": "several labels a text",
    "regression": "a number a text",
}
PLAINEST_METRIC: Final = {
    "single_label": "accuracy",
    "multi_label": "f1_micro",
    "regression": "rmse",
}


def check_against_task(spec: StudySpec, task: str, label_names: Sequence[str]) -> None:
    """Hold a study file to what its labels turned out to be.

    Args:
        spec: The study.
        task: What its texts are asked: single_label, multi_label or regression.
        label_names: Of the data.

    Raises:
        StudyFileError: The metric or the ensemble is none of this task, the head none for these
            labels, or an option would do nothing.
    """
    _check_metric(spec, task)
    for lacking in lacking_in(task):
        why = f"the data have {_IN_WORDS[task]}"
        refuse_idle("training", spec.training, lacking, why)
        for key in idle_searched(search_space(spec), lacking):
            raise StudyFileError(key, **idle("a searched option", lacking, why))
    _check_head(spec, label_names)
    _check_ensemble(spec, task)


def _check_metric(spec: StudySpec, task: str) -> None:
    metric = spec.study.metric
    if task in METRICS[metric].tasks:
        return
    raise StudyFileError(
        "study.metric",
        found=f"{metric!r} for data with {_IN_WORDS[task]}",
        expected=f"one of {', '.join(metrics_for(task))}",
        hint=f'Write metric = "{PLAINEST_METRIC[task]}".',
    )


def _check_ensemble(spec: StudySpec, task: str) -> None:
    """Told before the trials, and not after them, when the ensemble is made."""
    method = spec.ensemble.method
    if method in OF_ONE_CLASS and task != "single_label":
        raise StudyFileError(
            "ensemble.method",
            found=f"{method!r} for data with {_IN_WORDS[task]}",
            expected="data with one label a text",
            hint=FOR_ALL_TASKS,
        )


def lacking_in(task: str) -> Iterator[Need]:
    """What options may need and data of a task do not have."""
    if task != "single_label":
        yield "data with one label a text"
    if task == "regression":
        yield "data with classes"


def _check_head(spec: StudySpec, label_names: Sequence[str]) -> None:
    searched = search_space(spec).get("head")
    heads = searched.values if isinstance(searched, Choice) else (spec.training.head,)
    if "sigmoid" in heads and len(label_names) > 2:
        raise StudyFileError(
            "training.head" if searched is None else "search.space.head",
            found=f"'sigmoid' for {len(label_names)} classes",
            expected="two classes, of which one logit tells the second from the first",
            hint='Write head = "softmax".'
            if searched is None
            else "Take it out of the list, or remove the key.",
        )
