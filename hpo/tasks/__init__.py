"""What the texts are asked: how logits become a loss, probabilities and metrics, by name."""

from __future__ import annotations

from typing import Final

from hpo.spec.registry import Registry
from hpo.tasks.task import Task

TASKS: Final = Registry(
    "hpo.tasks",
    {
        "single_label": "hpo.tasks.single_label:SINGLE_LABEL",
        "single_label_sigmoid": "hpo.tasks.single_label:SINGLE_LABEL_SIGMOID",
        "multi_label": "hpo.tasks.multi_label:MULTI_LABEL",
        "regression": "hpo.tasks.regression:REGRESSION",
    },
)
"""All tasks by the names that saved classifiers keep."""


def task_named(name: str) -> Task:
    """The task of this name.

    Raises:
        KeyError: there is none.
    """
    task: Task = TASKS[name]
    return task
