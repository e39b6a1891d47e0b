"""Points put into a study to be tried next: each once, whatever is called how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, select

from hpo.documents import parse_json
from hpo.search.points import Point, in_words
from hpo.storage.optuna_rows import ENQUEUED, enqueue_trial
from hpo.storage.optuna_tables import TRIAL_SYSTEM_ATTRIBUTES, TRIALS
from hpo.storage.storage import Storage
from hpo.storage.tables import lock_study
from hpo.studies.progress import FINISHED


def enqueue(connection: Connection, study_id: int, points: Sequence[Point]) -> list[str]:
    """Put points into the study's queue, before all that a sampler would choose.

    A point that is in the queue already, or came out of it, is not put in again unless its trial failed:
    the command that put it there may be repeated to go on with the study.

    Args:
        connection: In a transaction that writes.
        study_id: Of the study.
        points: Checked against its space.

    Returns:
        What became of each, in a line for people.
    """
    lock_study(connection, study_id)
    return [_enqueue(connection, study_id, point) for point in points]


def tried_before(storage: Storage, study_id: int, points: Sequence[Point]) -> list[str]:
    """A line for each point that a finished trial has had by another way than the queue."""
    if not points:
        return []
    trials = storage.retry(
        lambda: storage.optuna.get_all_trials(study_id, deepcopy=False, states=FINISHED),
        "reading the trials",
    )
    lines = []
    for point in points:
        same = [
            each
            for each in trials
            if each.params == point and each.system_attrs.get(ENQUEUED) != point
        ]
        if same:
            value = "" if same[0].value is None else f", with value {same[0].value:.4f}"
            lines.append(f"Trial {same[0].number} has had {in_words(point)} already{value}.")
    return lines


def _enqueue(connection: Connection, study_id: int, point: Point) -> str:
    for number, state, known in _queue(connection, study_id):
        if known == point and state is not TrialState.FAIL:
            has = "waits" if state is TrialState.WAITING else f"is {state.name}"
            return f"Enqueued already: {in_words(point)} (trial {number} {has})."
    number = enqueue_trial(connection, study_id, point)
    return f"Enqueued as trial {number}: {in_words(point)}."


def _queue(connection: Connection, study_id: int) -> list[tuple[int, TrialState, dict[str, Any]]]:
    """All trials that were enqueued: number, state, and the values that they were to have."""
    attributes = TRIAL_SYSTEM_ATTRIBUTES
    rows = connection.execute(
        select(TRIALS.c.number, TRIALS.c.state, attributes.c.value_json)
        .join(attributes, attributes.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, attributes.c.key == ENQUEUED)
        .order_by(TRIALS.c.number)
    )
    return [(row.number, row.state, parse_json(row.value_json)) for row in rows]
