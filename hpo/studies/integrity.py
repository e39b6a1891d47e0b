"""Whether what a storage keeps of a study is whole: looked through once, when a process opens it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, select

from hpo.documents import parse_json
from hpo.search.grid import GRID_SLOT
from hpo.storage.optuna_rows import ARTIFACTS, trial_id_of
from hpo.storage.optuna_tables import (
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    TRIAL_SYSTEM_ATTRIBUTES,
    TRIALS,
)
from hpo.storage.seals import TRIAL_SEAL, UNREADABLE, Damaged, damage, seal_trial
from hpo.storage.storage import Storage
from hpo.storage.tables import FREE, HELD, HPO_CLAIMS, OVER

_NUMBERS: Final = ("claim_id", "trial_id", "attempt", "deaths", "beat", "pid")
_FILE: Final = {"artifact_id", "filename"}
_TEXTS: Final = ("status", "token", "machine", "process_started")


def check_study(storage: Storage, study_id: int, name: str, direction: str | None = None) -> None:
    """Read all that the storage keeps of a study: its trials with their seals, claims, attributes.

    Args:
        direction: Minimize or maximize, as its study file has it, where that is known.

    Raises:
        StorageError: Something of it is damaged, KeyError (Optuna's) where the study was deleted.
    """

    def look() -> None:
        try:
            with storage.read() as connection:
                _check_numbers(connection, study_id)
                _check_attributes(connection, study_id)
                claims = _sound_claims(connection, study_id)
            directions = storage.optuna.get_study_directions(study_id)
            if direction and [each.name.lower() for each in directions] != [direction]:
                raise Damaged(f"a direction other than {direction}")
            # Optuna's cache keeps what is read here, so that the sampler need not read it again.
            trials = storage.optuna.get_all_trials(study_id, deepcopy=False)
            _compare_slots(claims, trials)
        except KeyError:
            raise
        except UNREADABLE as error:
            raise damage(storage.redacted, f"study {name}", error) from error

    storage.retry(look, "looking through the study")


def seal_finished(storage: Storage, study_id: int) -> None:
    """Seal the finished trials that have no seal: of a version without seals, or ended by other means."""

    seals = TRIAL_SYSTEM_ATTRIBUTES
    query = (
        select(TRIALS.c.trial_id)
        .join(
            seals,
            (seals.c.trial_id == TRIALS.c.trial_id) & (seals.c.key == TRIAL_SEAL),
            isouter=True,
        )
        .where(TRIALS.c.study_id == study_id, seals.c.trial_id.is_(None))
        .where(TRIALS.c.state.in_([state for state in TrialState if state.is_finished()]))
    )

    def seal() -> None:
        with storage.read() as connection:
            unsealed = list(connection.execute(query).scalars())
        if unsealed:
            with storage.write() as connection:
                for trial_id in unsealed:
                    seal_trial(connection, trial_id)

    storage.retry(seal, "sealing trials")


def _check_numbers(connection: Connection, study_id: int) -> None:
    """Numbers count the trials, and seeds follow from them; states that are none cannot be read."""
    query = select(TRIALS.c.number, TRIALS.c.state).where(TRIALS.c.study_id == study_id)
    numbers = [row.number for row in connection.execute(query.order_by(TRIALS.c.number))]
    for expected, number in enumerate(numbers):
        if number != expected:
            raise Damaged(f"no trial {expected} among {len(numbers)}, but a trial {number}")


def _check_attributes(connection: Connection, study_id: int) -> None:
    for table in (STUDY_USER_ATTRIBUTES, STUDY_SYSTEM_ATTRIBUTES):
        query = select(table.c.key, table.c.value_json).where(table.c.study_id == study_id)
        for key, text in connection.execute(query):
            value = parse_json(text)
            if key.startswith(ARTIFACTS) and not parse_json(value).keys() >= _FILE:
                raise Damaged(f"{key} names no file")


def _sound_claims(connection: Connection, study_id: int) -> Sequence[Any]:
    names = (*_NUMBERS, *_TEXTS, "grid_slot")
    rows: Sequence[Any] = connection.execute(
        select(*(HPO_CLAIMS.c[name] for name in names), TRIALS.c.study_id, TRIALS.c.state)
        .join(TRIALS, TRIALS.c.trial_id == HPO_CLAIMS.c.trial_id, isouter=True)
        .where(HPO_CLAIMS.c.study_id == study_id)
    ).all()
    for row in rows:
        values = row._mapping
        sound = (
            all(isinstance(values[name], int) for name in _NUMBERS)
            and all(isinstance(values[name], str) for name in _TEXTS)
            and row.study_id == study_id
            and row.status in (HELD, FREE, OVER)
            # A trial that too many workers died over is the only one that as many attempts ended.
            and 0 <= row.deaths < row.attempt + (row.status == OVER)
            and (row.status != OVER or row.state.is_finished())
        )
        if not sound:
            raise Damaged(f"claim {row.claim_id} does not fit its trial {row.trial_id}")
    return rows


def _compare_slots(claims: Sequence[Any], trials: list[FrozenTrial]) -> None:
    """A trial's point of the grid stands with its claim and with itself."""
    slots = {trial_id_of(trial): trial.system_attrs.get(GRID_SLOT) for trial in trials}
    for row in claims:
        if row.trial_id in slots and row.grid_slot != slots[row.trial_id]:
            raise Damaged(f"slot {row.grid_slot} of the grid, {slots[row.trial_id]} with its trial")
