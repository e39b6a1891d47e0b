"""What only Optuna's insides know: its rows written as it writes them, and its private parts, for all of hpo.

Optuna commits each of its calls by itself. Ours stand in one transaction with the rows of our own tables,
so the rows are written by hand; tests/storage/test_optuna_rows.py compares them with Optuna's.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import Connection, Table, delete, func, insert, select, update
from sqlalchemy.orm import Session

from hpo.documents import parse_json
from hpo.storage.optuna_tables import (
    OPTUNA_METADATA,
    STUDIES,
    STUDY_DIRECTIONS,
    STUDY_SYSTEM_ATTRIBUTES,
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_SYSTEM_ATTRIBUTES,
    TRIAL_USER_ATTRIBUTES,
    TRIAL_VALUES,
    TRIALS,
)
from hpo.storage.tables import now_utc, upsert

ARTIFACTS: Final = "artifacts:"
"""How the keys of system attributes begin that name artifacts."""

ENQUEUED: Final = "fixed_params"
"""System attribute of an enqueued trial: the values that it is to have."""

_METRIC_NAMES: Final = "study:metric_names"
_NOTE_PIECE: Final = 2045  # characters in one attribute, as the dashboard cuts them


def create_study(connection: Connection, name: str, direction: StudyDirection) -> int:
    """Write what `optuna.create_study` writes.

    Returns:
        The id of the study.

    Raises:
        sqlalchemy.exc.IntegrityError: A study has that name.
    """
    result = connection.execute(insert(STUDIES).values(study_name=name))
    assert result.inserted_primary_key is not None
    study_id = int(result.inserted_primary_key[0])
    connection.execute(
        insert(STUDY_DIRECTIONS).values(study_id=study_id, direction=direction, objective=0)
    )
    return study_id


def delete_study(connection: Connection, study_id: int) -> None:
    """Delete a study with all its rows, as `optuna.delete_study` does; ours go with them (tables.py).

    Args:
        connection: In a transaction.
        study_id: Of the study.
    """
    trials = select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    for table in reversed(OPTUNA_METADATA.sorted_tables):
        if "trial_id" in table.c and table is not TRIALS:
            connection.execute(delete(table).where(table.c.trial_id.in_(trials)))
        elif "study_id" in table.c:
            connection.execute(delete(table).where(table.c.study_id == study_id))


def rename_study(connection: Connection, study_id: int, name: str) -> None:
    """Give a study another name, which Optuna has no call for."""
    row = STUDIES.c.study_id == study_id
    connection.execute(update(STUDIES).where(row).values(study_name=name))


def set_metric_name(connection: Connection, study_id: int, name: str) -> None:
    """Name the study's objective, as `Study.set_metric_names` does."""
    set_attribute(connection, STUDY_SYSTEM_ATTRIBUTES, study_id, _METRIC_NAMES, [name])


def start_waiting_trial(connection: Connection, study_id: int) -> tuple[int, int] | None:
    """Start the enqueued trial with the lowest number, as `Study.ask` does.

    Returns:
        Its id and number; None where no trial waits.
    """
    waiting = connection.execute(
        select(TRIALS.c.trial_id, TRIALS.c.number)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.WAITING)
        .order_by(TRIALS.c.number)
        .limit(1)
        .with_for_update()
    ).first()
    if waiting is None:
        return None
    connection.execute(
        update(TRIALS)
        .where(TRIALS.c.trial_id == waiting.trial_id)
        .values(state=TrialState.RUNNING, datetime_start=now_utc())
    )
    return int(waiting.trial_id), int(waiting.number)


def create_trial(connection: Connection, study_id: int) -> tuple[int, int]:
    """Create a trial that runs, as `Study.ask` does where none waits.

    The caller holds the study's row (`lock_study`), for the number is the count of the trials before it.

    Returns:
        Its id and number.
    """
    return _insert_trial(connection, study_id, TrialState.RUNNING, now_utc())


def enqueue_trial(
    connection: Connection,
    study_id: int,
    point: Mapping[str, object],
    attributes: Mapping[str, object] | None = None,
) -> int:
    """Create a trial that waits to be tried at a point, as `Study.enqueue_trial` does; see `create_trial`.

    Args:
        attributes: Its user attributes. Returns its number.
    """
    trial_id, number = _insert_trial(connection, study_id, TrialState.WAITING, None)
    set_attribute(connection, TRIAL_SYSTEM_ATTRIBUTES, trial_id, ENQUEUED, dict(point))
    for key, value in (attributes or {}).items():
        set_attribute(connection, TRIAL_USER_ATTRIBUTES, trial_id, key, value)
    return number


def report(connection: Connection, trial_id: int, step: int, value: float) -> None:
    """Write an intermediate value, in place of an earlier one of that step, as `Trial.report` does.

    Args:
        connection: In a transaction.
        trial_id: Of a trial that runs; the caller sees to that.
        step: 0 or more.
        value: NaN and infinities are kept.
    """
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    row = {
        "trial_id": trial_id,
        "step": step,
        "intermediate_value": stored,
        "intermediate_value_type": kind,
    }
    upsert(connection, TRIAL_INTERMEDIATE_VALUES, row, ("trial_id", "step"))


def forget_reports_after(connection: Connection, trial_id: int, step: int) -> None:
    """Delete a trial's intermediate values beyond a step, which Optuna has no call for."""
    table = TRIAL_INTERMEDIATE_VALUES
    connection.execute(delete(table).where(table.c.trial_id == trial_id, table.c.step > step))


def tell(connection: Connection, trial_id: int, state: TrialState, value: float | None) -> bool:
    """End a trial as `Study.tell` does; nothing is written where it does not run.

    The samplers that we build have nothing to do after a trial, so their `after_trial` is not called.

    Args:
        connection: In a transaction.
        trial_id: Of the trial, which is locked until the transaction ends.
        state: COMPLETE, PRUNED or FAIL.
        value: Of the objective; a pruned trial without one gets the last that it reported.

    Returns:
        Whether the trial was still RUNNING.
    """
    now = connection.execute(
        select(TRIALS.c.state).where(TRIALS.c.trial_id == trial_id).with_for_update()
    ).scalar_one_or_none()
    if now is not TrialState.RUNNING:
        return False
    if state is TrialState.PRUNED and value is None:
        value = _last_report(connection, trial_id)
    if value is not None:
        stored, kind = models.TrialValueModel.value_to_stored_repr(float(value))
        row = {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind}
        upsert(connection, TRIAL_VALUES, row, ("trial_id", "objective"))
    connection.execute(
        update(TRIALS)
        .where(TRIALS.c.trial_id == trial_id)
        .values(state=state, datetime_complete=now_utc())
    )
    return True


def set_attribute(
    connection: Connection, table: Table, owner_id: int, key: str, value: object
) -> None:
    """Set a user or system attribute of a trial or study, as `set_user_attr` does.

    Args:
        connection: In a transaction.
        table: One of the four tables of attributes, which says whose attribute it is.
        owner_id: Of the trial or study, as the table says.
        key: Of the attribute.
        value: Anything that JSON can say.
    """
    owner = "trial_id" if "trial_id" in table.c else "study_id"
    row = {owner: owner_id, "key": key, "value_json": json.dumps(value)}
    upsert(connection, table, row, (owner, "key"))


def attach_artifact(
    connection: Connection, table: Table, owner_id: int, filename: str, mimetype: str
) -> str:
    """Name a file as an artifact, as `optuna.artifacts.upload_artifact` does, also of a finished trial.

    Args:
        connection: In a transaction.
        table: Of system attributes, of trials or of studies.
        owner_id: Of the trial or study, as the table says.
        filename: Shown to people; an artifact of that name is replaced.
        mimetype: Such as `image/svg+xml`.

    Returns:
        The artifact's id, which names its file in the artifact store.
    """
    owner = table.c.trial_id if "trial_id" in table.c else table.c.study_id
    texts = connection.execute(
        select(table.c.value_json).where(
            owner == owner_id, table.c.key.startswith(ARTIFACTS, autoescape=True)
        )
    ).scalars()
    # Optuna keeps them as JSON text, which the attribute then wraps in JSON once more.
    shown = [parse_json(parse_json(text)) for text in texts]
    known = [meta["artifact_id"] for meta in shown if meta["filename"] == filename]
    identifier: str = known[0] if known else str(uuid.uuid4())
    meta = {
        "artifact_id": identifier,
        "filename": filename,
        "mimetype": mimetype,
        "encoding": None,
    }
    set_attribute(connection, table, owner_id, f"{ARTIFACTS}{identifier}", json.dumps(meta))
    return identifier


def read_note(connection: Connection, study_id: int, trial_id: int | None) -> str:
    """The note that the dashboard shows with a study, or with a trial of it; empty where there is none."""
    known = _note_attributes(connection, study_id, trial_id)
    prefix = f"{_note_scope(trial_id)}:note_str:"
    return "".join(known.get(f"{prefix}{index}", "") for index in range(len(known)))


def write_note(connection: Connection, study_id: int, trial_id: int | None, body: str) -> None:
    """Write a note as `optuna_dashboard.save_note` does: numbered, and cut into pieces.

    Args:
        connection: In a transaction.
        study_id: Of the study, whose attributes also hold the notes of its trials.
        trial_id: Of the trial that the note is about; None for the study's own.
        body: In Markdown.
    """
    known = _note_attributes(connection, study_id, trial_id)
    scope, table = _note_scope(trial_id), STUDY_SYSTEM_ATTRIBUTES
    version_key = f"{scope}:note_ver"
    set_attribute(connection, table, study_id, version_key, int(known.get(version_key, 0)) + 1)
    # Pieces of a longer note that was there before are emptied.
    for index in range(max(math.ceil(len(body) / _NOTE_PIECE), len(known) - 1)):
        piece = body[index * _NOTE_PIECE : (index + 1) * _NOTE_PIECE]
        set_attribute(connection, table, study_id, f"{scope}:note_str:{index}", piece)


def frozen_trial(connection: Connection, trial_id: int) -> FrozenTrial:
    """A trial as Optuna reads it from its rows, within a transaction of the caller's.

    Raises:
        sqlalchemy.exc.NoResultFound: There is no such trial.
    """
    build = RDBStorage._build_frozen_trial_from_trial_model
    with Session(bind=connection, join_transaction_mode="rollback_only") as session:
        model = session.get_one(models.TrialModel, trial_id)
        return build(cast(RDBStorage, None), model)


def cached_trial(trial: Trial) -> FrozenTrial:
    """The copy of itself that Optuna's trial shows to pruners; to be changed with what is written of it."""
    return trial._cached_frozen_trial


def trial_id_of(trial: FrozenTrial) -> int:
    """The id under which the storage has a trial."""
    return trial._trial_id


def not_found() -> KeyError:
    """What Optuna raises over a study or trial that is not there."""
    return KeyError(models.NOT_FOUND_MSG)


def is_not_found(error: Exception) -> bool:
    """Whether an error is Optuna's word for a study or trial that is not there."""
    return isinstance(error, KeyError) and error.args == (models.NOT_FOUND_MSG,)


def _insert_trial(
    connection: Connection, study_id: int, state: TrialState, started: datetime | None
) -> tuple[int, int]:
    number = connection.execute(
        select(func.count()).select_from(TRIALS).where(TRIALS.c.study_id == study_id)
    ).scalar_one()
    result = connection.execute(
        insert(TRIALS).values(study_id=study_id, number=number, state=state, datetime_start=started)
    )
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0]), number


def _last_report(connection: Connection, trial_id: int) -> float | None:
    model, table = models.TrialIntermediateValueModel, TRIAL_INTERMEDIATE_VALUES
    row = connection.execute(
        select(table.c.intermediate_value, table.c.intermediate_value_type)
        .where(table.c.trial_id == trial_id)
        .order_by(table.c.step.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    value = float(model.stored_repr_to_intermediate_value(*row))
    return None if math.isnan(value) else value


def _note_scope(trial_id: int | None) -> str:
    return "dashboard" if trial_id is None else f"dashboard:{trial_id}"


def _note_attributes(connection: Connection, study_id: int, trial_id: int | None) -> dict[str, Any]:
    table = STUDY_SYSTEM_ATTRIBUTES
    start = f"{_note_scope(trial_id)}:note_"
    rows = connection.execute(
        select(table.c.key, table.c.value_json).where(
            table.c.study_id == study_id, table.c.key.startswith(start, autoescape=True)
        )
    )
    return {row.key: parse_json(row.value_json) for row in rows}
