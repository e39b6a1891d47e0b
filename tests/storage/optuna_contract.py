"""What Optuna writes and what we write for the same: a table of operations done both ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.study import Study
from optuna.trial import TrialState
from sqlalchemy import Connection

from hpo.storage import optuna_rows
from hpo.storage.optuna_tables import (
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    TRIAL_SYSTEM_ATTRIBUTES,
    TRIAL_USER_ATTRIBUTES,
)

DRAWING = "drawing.svg"


LONG_NOTE, SHORT_NOTE = "Ein Wort für § 5. " * 300, "kurz"

Theirs = Callable[[Study, Path], None]


Ours = Callable[[Connection, int], None]


CONTRACT: dict[str, tuple[Theirs, Ours]] = {}


def ours_and(theirs: Theirs) -> Callable[[Ours], Ours]:
    """Note what Optuna does and what we do to the same end, both with a study that is there."""

    def note(ours: Ours) -> Ours:
        CONTRACT[theirs.__name__.removeprefix("optunas_")] = (theirs, ours)
        return ours

    return note


def running(connection: Connection, study_id: int) -> int:
    return optuna_rows.create_trial(connection, study_id)[0]


def optunas_study(study: Study, folder: Path) -> None: ...


@ours_and(optunas_study)
def _(connection: Connection, study_id: int) -> None: ...


def optunas_metric_names(study: Study, folder: Path) -> None:
    study.set_metric_names(["accuracy"])


@ours_and(optunas_metric_names)
def _(connection: Connection, study_id: int) -> None:
    optuna_rows.set_metric_name(connection, study_id, "accuracy")


def optunas_ask(study: Study, folder: Path) -> None:
    study.ask()
    study.ask()


@ours_and(optunas_ask)
def _(connection: Connection, study_id: int) -> None:
    assert optuna_rows.start_waiting_trial(connection, study_id) is None
    assert optuna_rows.create_trial(connection, study_id)[1] == 0
    assert optuna_rows.create_trial(connection, study_id)[1] == 1


def optunas_enqueue(study: Study, folder: Path) -> None:
    study.ask()
    study.enqueue_trial({"learning_rate": 3e-5, "batch_size": 16})
    study.enqueue_trial({"optimizer": "sgd"})


@ours_and(optunas_enqueue)
def _(connection: Connection, study_id: int) -> None:
    running(connection, study_id)
    points = ({"learning_rate": 3e-5, "batch_size": 16}, {"optimizer": "sgd"})
    assert [optuna_rows.enqueue_trial(connection, study_id, each) for each in points] == [1, 2]


REPORTS = {1: 0.5, 2: math.nan, 3: math.inf, 4: -math.inf}


def optunas_report(study: Study, folder: Path) -> None:
    trial = study.ask()
    for step, value in REPORTS.items():
        trial.report(value, step)


@ours_and(optunas_report)
def _(connection: Connection, study_id: int) -> None:
    trial_id = running(connection, study_id)
    for step, value in REPORTS.items():
        optuna_rows.report(connection, trial_id, step, value)
    optuna_rows.report(connection, trial_id, 9, 1.0)
    optuna_rows.forget_reports_after(connection, trial_id, 8)


def optunas_complete(study: Study, folder: Path) -> None:
    study.tell(study.ask(), 0.75)
    study.tell(study.ask(), math.inf)


@ours_and(optunas_complete)
def _(connection: Connection, study_id: int) -> None:
    for value in (0.75, math.inf):
        trial_id = running(connection, study_id)
        assert optuna_rows.tell(connection, trial_id, TrialState.COMPLETE, value)
        assert not optuna_rows.tell(connection, trial_id, TrialState.COMPLETE, 0.5)


def optunas_pruned(study: Study, folder: Path) -> None:
    for value in (0.25, math.nan):
        trial = study.ask()
        trial.report(0.5, 1)
        trial.report(value, 2)
        study.tell(trial, state=TrialState.PRUNED)
    study.tell(study.ask(), state=TrialState.PRUNED)


@ours_and(optunas_pruned)
def _(connection: Connection, study_id: int) -> None:
    for value in (0.25, math.nan):
        trial_id = running(connection, study_id)
        optuna_rows.report(connection, trial_id, 1, 0.5)
        optuna_rows.report(connection, trial_id, 2, value)
        optuna_rows.tell(connection, trial_id, TrialState.PRUNED, None)
    optuna_rows.tell(connection, running(connection, study_id), TrialState.PRUNED, None)


def optunas_fail(study: Study, folder: Path) -> None:
    study.tell(study.ask(), state=TrialState.FAIL)


@ours_and(optunas_fail)
def _(connection: Connection, study_id: int) -> None:
    optuna_rows.tell(connection, running(connection, study_id), TrialState.FAIL, None)


VALUES: tuple[Any, ...] = ("für", {"a": [1, 2.5, None, True]}, math.inf)


def optunas_attributes(study: Study, folder: Path) -> None:
    trial = study.ask()
    for number, value in enumerate(VALUES):
        study.set_user_attr(f"key {number}", value)
        trial.set_user_attr(f"key {number}", value)
        trial.storage.set_study_system_attr(study._study_id, f"key {number}", value)
        trial.storage.set_trial_system_attr(trial._trial_id, f"key {number}", value)


@ours_and(optunas_attributes)
def _(connection: Connection, study_id: int) -> None:
    trial_id = running(connection, study_id)
    for number, value in enumerate(VALUES):
        for table, owner_id in (
            (STUDY_USER_ATTRIBUTES, study_id),
            (TRIAL_USER_ATTRIBUTES, trial_id),
            (STUDY_SYSTEM_ATTRIBUTES, study_id),
            (TRIAL_SYSTEM_ATTRIBUTES, trial_id),
        ):
            optuna_rows.set_attribute(connection, table, owner_id, f"key {number}", value)


def optunas_attribute_set_again(study: Study, folder: Path) -> None:
    trial = study.ask()
    for value in VALUES:
        trial.set_user_attr("key", value)
        trial.report(0.25, 1)
    trial.report(0.5, 1)


@ours_and(optunas_attribute_set_again)
def _(connection: Connection, study_id: int) -> None:
    trial_id = running(connection, study_id)
    for value in VALUES:
        optuna_rows.set_attribute(connection, TRIAL_USER_ATTRIBUTES, trial_id, "key", value)
    # A value of the same step replaces the one before; Optuna drops it, and we go on from a checkpoint.
    optuna_rows.report(connection, trial_id, 1, 0.5)
    optuna_rows.report(connection, trial_id, 1, 0.25)


def optunas_artifacts(study: Study, folder: Path) -> None:
    store, trial = FileSystemArtifactStore(folder), study.ask()
    (folder / DRAWING).write_text("<svg/>")
    upload_artifact(artifact_store=store, file_path=str(folder / DRAWING), study_or_trial=study)
    upload_artifact(artifact_store=store, file_path=str(folder / DRAWING), study_or_trial=trial)


@ours_and(optunas_artifacts)
def _(connection: Connection, study_id: int) -> None:
    trial_id = running(connection, study_id)
    for table, owner_id in (
        (STUDY_SYSTEM_ATTRIBUTES, study_id),
        (TRIAL_SYSTEM_ATTRIBUTES, trial_id),
    ):
        first, again = (
            optuna_rows.attach_artifact(connection, table, owner_id, DRAWING, "image/svg+xml")
            for _ in range(2)
        )
        assert first == again


def optunas_notes(study: Study, folder: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    trial = study.ask()
    for body in (LONG_NOTE, SHORT_NOTE):
        dashboard.save_note(study, body)
        dashboard.save_note(trial, body)


@ours_and(optunas_notes)
def _(connection: Connection, study_id: int) -> None:
    trial_id = running(connection, study_id)
    for body in (LONG_NOTE, SHORT_NOTE):
        for about in (None, trial_id):
            optuna_rows.write_note(connection, study_id, about, body)
            assert optuna_rows.read_note(connection, study_id, about) == body
