"""Optuna's storage with an eye on the seals: no trial is handed out that is not what was written.

Optuna's cache, samplers, pruners and our leaderboard all read through here, each finished trial once a
process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Engine, Select, select
from sqlalchemy.exc import NoResultFound

from hpo.redaction import redacted
from hpo.storage.inspected_storage import InspectedStorage
from hpo.storage.optuna_rows import is_not_found, not_found, trial_id_of
from hpo.storage.optuna_tables import STUDIES, TRIALS
from hpo.storage.seals import SEALS, UNREADABLE, Damaged, check_trial, damage, digest, read_trial
from hpo.storage.tables import HPO_STUDIES

T = TypeVar("T")

READ_ONLY: Final = "hpo_read_only"
"""An execution option of transactions that only read: on SQLite they keep no writer out."""

_PARENTS: Final = (
    ":parent:"  # in the key under which a genetic sampler notes a generation's parents
)


@contextmanager
def one_state(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads, and sees the database as it was at its first statement."""
    with engine.connect() as connection:
        options: dict[str, Any] = {READ_ONLY: True}
        if connection.dialect.name == "postgresql":  # where each statement sees a state of its own
            options["isolation_level"] = "REPEATABLE READ"
        connection = connection.execution_options(**options)
        with connection.begin():
            yield connection


class SealedStorage(InspectedStorage):
    """Optuna's storage; what it reads is checked against its seals.

    Raises:
        StorageError: It is damaged.
    """

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        logging.getLogger(RDBStorage.__module__).addFilter(_is_news)
        self._known: dict[int, _Named] = {}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        trial = self._readable(lambda: super(SealedStorage, self).get_trial(trial_id), "a trial")
        if not SEALS & trial.system_attrs.keys():
            return trial
        query = _NAMED.join(TRIALS, TRIALS.c.study_id == STUDIES.c.study_id)
        return self._checked(self._look_up(query.where(TRIALS.c.trial_id == trial_id)), trial)

    def inspect_trials(
        self, study_id: int, read: Callable[[], list[FrozenTrial]]
    ) -> list[FrozenTrial]:
        trials = self._readable(read, "a trial")
        return [
            self._checked(self._named(study_id), trial)
            if SEALS & trial.system_attrs.keys()
            else trial
            for trial in trials
        ]

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._readable(
            lambda: super(SealedStorage, self).get_study_directions(study_id),
            f"direction of study {self._named(study_id).name}",
        )

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        if _PARENTS in key:
            seal = digest(self._named(study_id, anew=True).uid, key, value)
            value = {"value": value, "seal": seal}
        super().set_study_system_attr(study_id, key, value)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        study = self._named(study_id, anew=True)

        def unsealed(key: str, value: Any) -> Any:
            if _PARENTS not in key or isinstance(value, list):
                return value
            if value["seal"] != digest(study.uid, key, value["value"]):
                raise Damaged(f"{key} is not what was sealed")
            return value["value"]

        def read() -> dict[str, Any]:
            stored = super(SealedStorage, self).get_study_system_attrs(study_id)
            return {key: unsealed(key, value) for key, value in stored.items()}

        return self._readable(read, f"attributes of study {study.name}")

    def _checked(self, study: _Named, trial: FrozenTrial) -> FrozenTrial:
        """The trial, where it is what was sealed, or has nothing to do with us."""
        if study.uid is None:
            return trial
        try:
            check_trial(study.uid, trial)
        except UNREADABLE:
            # Optuna reads the parts of a trial one by one, and under PostgreSQL some may be newer; and
            # a study may have been deleted and another got its id. In one state all of it fits.
            with one_state(self.engine) as connection:
                try:
                    return read_trial(connection, trial_id_of(trial))
                except NoResultFound as gone:
                    raise not_found() from gone
        return trial

    def _readable(self, read: Callable[[], T], what: str) -> T:
        try:
            return read()
        except UNREADABLE as error:
            if is_not_found(error):
                raise
            place = redacted(self.engine.url.render_as_string(hide_password=False))
            raise damage(place, what, error) from error

    def _named(self, study_id: int, *, anew: bool = False) -> _Named:
        known = None if anew else self._known.get(study_id)
        if known is None or known.uid is None:
            known = self._look_up(_NAMED.where(STUDIES.c.study_id == study_id))
            self._known[study_id] = known
        return known

    def _look_up(self, query: Select[Any]) -> _Named:
        with one_state(self.engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise not_found()
        return _Named(*row)


@dataclass(frozen=True)
class _Named:
    """A study; no uid where it is not ours."""

    study_id: int
    uid: str | None
    name: str


def _is_news(record: logging.LogRecord) -> bool:
    """Not what Optuna says of a fault that it then raises, or gets around."""
    return "Caught an error from sqlalchemy" not in record.getMessage()


_NAMED: Final = select(STUDIES.c.study_id, HPO_STUDIES.c.uid, STUDIES.c.study_name).join(
    HPO_STUDIES, HPO_STUDIES.c.study_id == STUDIES.c.study_id, isouter=True
)
