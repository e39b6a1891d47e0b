"""What confirms a study: a study beside it in the storage, whose trials are trainings with new seeds.

So claims, leases, checkpoints and MLflow's runs are a search's. Its name is one that no study file can
have, its file is the study's own, its budget all that is queued in it. It chooses nothing and prunes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from optuna.study import StudyDirection
from optuna.trial import BaseTrial, FrozenTrial
from sqlalchemy import Connection, insert, select, update

from hpo.documents import parse_json
from hpo.search.points import Point
from hpo.spec.confirm import ConfirmedOn
from hpo.spec.names import confirmation_name
from hpo.spec.study import DEMO, PrunerChoice, SamplerChoice, StudySpec
from hpo.storage.optuna_rows import create_study, delete_study, enqueue_trial
from hpo.storage.optuna_tables import TRIAL_USER_ATTRIBUTES, TRIALS
from hpo.storage.seals import sealed_spec
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_STUDIES, lock_study, now_utc
from hpo.studies.confirmation_rows import (
    confirmation_row,
    confirms,
    note_confirmed,
    row_of_that_name,
)
from hpo.studies.reading import known_reading
from hpo.studies.studies import OpenStudy

CONFIRMS: Final = "confirms_trial"
REPETITION: Final = "repetition"
CONFIRMED_ON: Final = "confirmed_on"
SCORED_AT: Final = "scored_at"
_KEYS: Final = (CONFIRMS, REPETITION, CONFIRMED_ON)


class RunKey(NamedTuple):
    """What a training confirms: a trial's number, the repetition, from 0, and on which validation texts."""

    trial: int
    repetition: int
    on: ConfirmedOn


@dataclass(frozen=True)
class ConfirmationRun:
    """A training that is wanted: of a trial's point, with which of the new seeds, and how it is scored.

    Attributes:
        scored_at: The index of the evaluation that counts, the trial's best, over folds of each;
            empty: its own best.
    """

    key: RunKey
    point: Point
    scored_at: tuple[int, ...]

    def as_attributes(self) -> dict[str, object]:
        """For `run_key` and `scored_at`."""
        trial, repetition, on = self.key
        known: dict[str, object] = {CONFIRMS: trial, REPETITION: repetition, CONFIRMED_ON: on}
        return known | {SCORED_AT: list(self.scored_at)} if self.scored_at else known


def want_runs(study: OpenStudy, runs: Sequence[ConfirmationRun]) -> None:
    """Queue trainings that confirm a study, each once, whoever asks how often.

    Args:
        study: The one to be confirmed.
        runs: In the order in which they are to be trained.

    Raises:
        StudyGoneError: The study was deleted.
        StorageError: The database stays away.
    """

    def write() -> None:
        with study.storage.write() as connection:
            if not lock_study(connection, study.study_id, study.uid, study.name):
                raise study.gone()
            study_id, uid = _registered(connection, study)
            known = _queued(connection, study_id)
            for run in runs:
                if run.key not in known:
                    enqueue_trial(connection, study_id, run.point, run.as_attributes())
                    known.add(run.key)
            _set_budget(connection, study, study_id, uid, len(known))

    study.storage.retry(write, "queueing the confirmation")


def trained_runs(trials: Sequence[FrozenTrial]) -> Mapping[RunKey, FrozenTrial]:
    """The trainings of a confirmation that are over, by what they confirm."""
    return {run_key(trial): trial for trial in trials if trial.state.is_finished()}


def run_key(trial: BaseTrial) -> RunKey:
    """What a training of a confirmation confirms."""
    return _key(trial.user_attrs)


def scored_at(trial: BaseTrial) -> tuple[int, ...]:
    """The index of the evaluation that counts in a training of a confirmation, as `ConfirmationRun` has it."""
    found = trial.user_attrs.get(SCORED_AT, ())
    # An earlier release queued a number alone.
    return (found,) if isinstance(found, int) else tuple(found)


def confirmed_on(spec: StudySpec, split_off: Sequence[str]) -> ConfirmedOn:
    """On which validation texts a study's best are confirmed.

    Given ones may be of another distribution than the training texts, which are then no match for them;
    nor are training texts of which only some lengths are left.

    Args:
        spec: The study.
        split_off: The splits that its data lacked.
    """
    if spec.validation.folds or spec.cleaning.bounds_lengths:
        return "same"
    if spec.confirm.validation != "auto":
        return spec.confirm.validation
    return "new" if "validation" in split_off or spec.data.source == DEMO else "same"


def study_confirmed_on(study: OpenStudy) -> ConfirmedOn:
    """The same of a study whose data may not be at hand."""
    reading = known_reading(study.storage, study.study_id)
    return confirmed_on(study.spec, () if reading is None else reading.split_off)


def description_of(name: str) -> str:
    """What describes the confirmation of the study of this name."""
    return f"Confirmation of {name}: its best trials, trained again with new seeds."


def _registered(connection: Connection, study: OpenStudy) -> tuple[int, str]:
    row = row_of_that_name(connection, study.name)
    if row is not None:
        if confirms(connection, row[0], study.uid):
            return row
        # Of a study of this name that was deleted in the dashboard, which knows nothing of it.
        delete_study(connection, row[0])
    direction = StudyDirection[study.spec.direction.upper()]
    study_id = create_study(connection, confirmation_name(study.name), direction)
    uid = uuid.uuid4().hex
    connection.execute(
        insert(HPO_STUDIES).values(
            study_id=study_id, uid=uid, spec_json="", trials=0, priority=0, created_utc=now_utc()
        )
    )
    note_confirmed(connection, study_id, study.uid)
    return study_id, uid


def _set_budget(
    connection: Connection, study: OpenStudy, study_id: int, uid: str, runs: int
) -> None:
    name = confirmation_name(study.name)
    text = _spec(study.spec, runs).model_dump_json()
    sealed = sealed_spec(text, uid=uid, name=name, trials=runs)
    connection.execute(
        update(HPO_STUDIES)
        .where(HPO_STUDIES.c.study_id == study_id)
        .values(spec_json=sealed, trials=runs)
    )


def _spec(spec: StudySpec, runs: int) -> StudySpec:
    told = {"trials": runs, "description": description_of(spec.name)}
    return spec.model_copy(
        update={
            "study": spec.study.model_copy(update=told),
            "search": spec.search.model_copy(
                update={
                    "sampler": SamplerChoice(name="random"),
                    "pruner": PrunerChoice(name="none"),
                }
            ),
        }
    )


def _queued(connection: Connection, study_id: int) -> set[RunKey]:
    """All trainings that were ever queued."""
    attributes = TRIAL_USER_ATTRIBUTES
    rows = connection.execute(
        select(TRIALS.c.trial_id, attributes.c.key, attributes.c.value_json)
        .join(attributes, attributes.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, attributes.c.key.in_(_KEYS))
    )
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row.trial_id, {})[row.key] = parse_json(row.value_json)
    return {_key(each) for each in found.values()}


def _key(attributes: Mapping[str, Any]) -> RunKey:
    # One that an earlier release queued does not say on which.
    return RunKey(
        attributes[CONFIRMS], attributes[REPETITION], attributes.get(CONFIRMED_ON, "same")
    )


def confirmation_trials(study: OpenStudy) -> list[FrozenTrial]:
    """All trainings that confirm a study, in whatever state; none where it has not begun.

    Raises:
        StorageError: The database stays away, or one is damaged.
    """
    return _confirming(study.storage, study.name, study.uid)


def confirmation_trials_of(storage: Storage, study_id: int, name: str) -> list[FrozenTrial]:
    """The same of a study that is looked at alone, and not opened for work."""
    query = select(HPO_STUDIES.c.uid).where(HPO_STUDIES.c.study_id == study_id)

    def read() -> str | None:
        with storage.read() as connection:
            return connection.execute(query).scalar()

    uid = storage.retry(read, "reading the study")
    return [] if uid is None else _confirming(storage, name, uid)


def _confirming(storage: Storage, name: str, uid: str) -> list[FrozenTrial]:
    def read() -> list[FrozenTrial]:
        with storage.read() as connection:
            row = confirmation_row(connection, name, uid)
        if row is None:
            return []
        try:
            return storage.optuna.get_all_trials(row[0], deepcopy=False)
        except KeyError:  # deleted since
            return []

    return storage.retry(read, "reading the confirmation")
