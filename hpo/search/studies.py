"""Studies in a storage: registered with their file and their budget, found again, opened for
work.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import TrialState
from pydantic import JsonValue, ValidationError
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from hpo.errors import StorageError
from hpo.search.grid import GridSampler, check_grid_budget, grid_size
from hpo.search.liveness import fate, this_worker
from hpo.search.pruners import make_pruner, most_evaluations
from hpo.search.samplers import make_sampler
from hpo.search.storage import Storage
from hpo.search.tables import (
    HPO_CLAIMS,
    HPO_MEMORY,
    HPO_STUDIES,
    STUDIES,
    STUDY_DIRECTIONS,
    TRIAL_USER_ATTRIBUTES,
    TRIALS,
    upsert,
)
from hpo.spec.space import IntRange, SearchSpace, resolve_dimension
from hpo.spec.study import StudySpec
from hpo.spec.study_file import search_space

T = TypeVar("T")

_PATIENCE_WITH_OTHER_MACHINES_SECONDS: Final = 600.0
_COUNTS: Final = ("finished", "failed", "held", "free")
FINISHED: Final = (TrialState.COMPLETE, TrialState.PRUNED)

# What may change from one run of a study to the next without making its trials another thing.
_MAY_CHANGE: Final = (
    "study.trials",
    "study.description",
    "search.sampler",
    "search.pruner",
    "training.checkpoint",
    "tracking",
)


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is. wanted: its budget; finished: COMPLETE or PRUNED; held: being worked on;
    free: begun and given back; failed: FAIL, which no budget counts."""

    study_id: int
    name: str
    wanted: int
    finished: int
    held: int
    free: int
    failed: int
    priority: int

    @property
    def is_done(self) -> bool:
        return self.finished >= self.wanted


@dataclass(frozen=True)
class OpenStudy:
    """A study ready for work: its file, its space with `n_layer` resolved, its sampler and
    pruner.
    """

    storage: Storage
    study_id: int
    name: str
    spec: StudySpec
    space: SearchSpace
    sampler: BaseSampler
    pruner: BasePruner

    @property
    def grid_size(self) -> int | None:
        """Points of the grid; None where the sampler is no grid."""
        return len(self.sampler) if isinstance(self.sampler, GridSampler) else None

    def load(self) -> optuna.Study:
        """The study as Optuna has it. Made anew each time, for it caches its trials as they
        were.
        """
        return optuna.load_study(
            study_name=self.name,
            storage=self.storage.optuna,
            sampler=self.sampler,
            pruner=self.pruner,
        )

    def read(self, look: Callable[[optuna.Study], T]) -> T:
        """What `look` finds in the study; it is asked again where the database went away meanwhile.

        Raises StorageError where the database stays away.
        """
        return self.storage.retry(lambda: look(self.load()), "reading the study")


def submit(
    storage: Storage, spec: StudySpec, *, trials: int | None = None, priority: int | None = None
) -> StudyProgress:
    """Register a study and its budget, or set the budget of one that is there; any number may do so
    at once.

    trials: finished trials that the study should have in all; None means the file's. The last word
    holds: more raises the budget, less than are finished leaves nothing to do. priority: studies of
    a higher one are worked on first; None leaves it as it is, 0 at first.
    Raises StorageError where a study of that name is another one, StudyFileError where a grid is
    too small.
    """
    wanted = spec.study.trials if trials is None else trials
    if spec.search.sampler.name == "grid":
        space = search_space(spec)
        if not _needs_model(space):
            check_grid_budget(grid_size(space), wanted)

    def register() -> None:
        try:
            with storage.write() as connection:
                _register(connection, storage, spec, wanted, priority)
        except (
            IntegrityError
        ):  # another process registered it at the same instant, under PostgreSQL
            with storage.write() as connection:
                _register(connection, storage, spec, wanted, priority)

    storage.retry(register, "registering the study")
    return progress(storage, spec.name)


def load_spec(storage: Storage, name: str) -> StudySpec:
    """The study file that the study was last submitted with. Raises StorageError where there is
    none.
    """
    return _parsed(storage, name, _row_of(storage, name)[1])


def open_study(storage: Storage, name: str, *, n_layer: int | None = None) -> OpenStudy:
    """Open a registered study for work.

    n_layer: blocks of the model, which `high = "n_layer"` stands for; needed where the space says
    so.
    Raises StorageError where there is no such study, StudyFileError where sampler or pruner refuse.
    """
    study_id, spec_json, wanted = _row_of(storage, name)
    spec = _parsed(storage, name, spec_json)
    space = resolved_space(spec, n_layer)
    sampler, pruner = _plan(spec, space)
    if isinstance(sampler, GridSampler):
        check_grid_budget(len(sampler), wanted)
    return OpenStudy(storage, study_id, name, spec, space, sampler, pruner)


def check_plan(spec: StudySpec, n_layer: int | None = None) -> None:
    """Raise StudyFileError where sampler, pruner or grid cannot do what the study asks of them.

    n_layer: blocks of the model; None as long as that is not known, when all else is checked.
    """
    space = search_space(spec)
    complete = n_layer is not None or not _needs_model(space)
    # As few layers as the space allows stand in for the model's.
    layers = {name: each.low for name, each in space.items() if isinstance(each, IntRange)}
    resolved = {
        name: resolve_dimension(each, layers.get(name, 0) if n_layer is None else n_layer)
        for name, each in space.items()
    }
    sampler, _ = _plan(spec, resolved)
    if complete and isinstance(sampler, GridSampler):
        check_grid_budget(len(sampler), spec.study.trials)


def resolved_space(spec: StudySpec, n_layer: int | None) -> SearchSpace:
    """The study's space with `n_layer` replaced by the model's number of blocks."""
    space = search_space(spec)
    if n_layer is None:
        if _needs_model(space):
            raise ValueError("the space says n_layer, so the model's number of blocks is needed")
        return space
    return {name: resolve_dimension(dimension, n_layer) for name, dimension in space.items()}


def progress(storage: Storage, name: str) -> StudyProgress:
    """How far a registered study is. Raises StorageError where there is none of this name."""
    found = [each for each in all_progress(storage) if each.name == name]
    if not found:
        raise _unknown(storage, name)
    return found[0]


def all_progress(storage: Storage) -> list[StudyProgress]:
    """How far each registered study is: the most urgent first, then the oldest."""

    def read() -> list[StudyProgress]:
        with storage.read() as connection:
            return _progress(connection)

    return storage.retry(read, "reading the studies")


def studies_with_work(storage: Storage, name: str | None = None) -> list[StudyProgress]:
    """Studies whose budget is not met, in the order in which a worker should try them.

    Those that have a trial to give come first; then those whose last trials are with other workers,
    which may die. name: only this study.
    """
    open_ones = [
        each for each in all_progress(storage) if not each.is_done and name in (None, each.name)
    ]
    return sorted(open_ones, key=lambda each: each.finished + each.held >= each.wanted)


def next_study(storage: Storage, name: str | None = None) -> StudyProgress | None:
    """The study that a worker without one should turn to; None where every budget is met."""
    return next(iter(studies_with_work(storage, name)), None)


def remember(storage: Storage, study_id: int, key: str, value: JsonValue) -> None:
    """Keep something that the study has learnt, for all its workers and later runs."""
    values = {"study_id": study_id, "key": key, "value_json": json.dumps(value)}

    def write() -> None:
        with storage.write() as connection:
            upsert(connection, HPO_MEMORY, values, ("study_id", "key"))

    storage.retry(write, f"noting {key}")


def recall(storage: Storage, study_id: int, key: str) -> JsonValue:
    """What `remember` kept under the key; None where nothing was."""

    def read() -> str | None:
        with storage.read() as connection:
            return connection.execute(
                select(HPO_MEMORY.c.value_json).where(
                    HPO_MEMORY.c.study_id == study_id, HPO_MEMORY.c.key == key
                )
            ).scalar_one_or_none()

    found = storage.retry(read, f"looking up {key}")
    value: JsonValue = None if found is None else json.loads(found)
    return value


def begin_alone(storage: Storage, study_id: int, key: str) -> bool:
    """Whether this process is the one to do what `key` names, which the study wants done once.

    Another process that began it before has it, unless it is dead: one of this machine as soon as its
    process is gone, one of another machine after ten minutes.
    """
    me = this_worker()
    mine = {"machine": me.machine, "pid": me.pid, "started": me.process_started}
    row = {"study_id": study_id, "key": key}

    def write() -> bool:
        with storage.write() as connection:
            # Locks the study, so that of two that ask at once one sees the other's answer.
            query = select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id)
            connection.execute(query.with_for_update())
            known = connection.execute(
                select(HPO_MEMORY.c.value_json).where(
                    HPO_MEMORY.c.study_id == study_id, HPO_MEMORY.c.key == key
                )
            ).scalar_one_or_none()
            if known is not None and _is_at_it(json.loads(known), mine):
                return False
            value = json.dumps({**mine, "begun": time.time()})
            upsert(connection, HPO_MEMORY, {**row, "value_json": value}, ("study_id", "key"))
            return True

    return storage.retry(write, f"beginning {key}")


def _is_at_it(holder: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    if all(holder[name] == mine[name] for name in mine):
        return False
    if holder["machine"] == mine["machine"]:
        return fate(holder["pid"], holder["started"]) != "gone"
    return abs(time.time() - float(holder["begun"])) < _PATIENCE_WITH_OTHER_MACHINES_SECONDS


def study_uid(storage: Storage, study_id: int) -> str:
    """What names the study for good: a study deleted and made again under its name has another.

    Raises StorageError where the study was deleted.
    """

    def read() -> str | None:
        with storage.read() as connection:
            return connection.execute(
                select(HPO_STUDIES.c.uid).where(HPO_STUDIES.c.study_id == study_id)
            ).scalar_one_or_none()

    uid = storage.retry(read, "looking up the study")
    if uid is None:
        raise _unknown(storage, f"with the id {study_id}")
    return uid


def set_trial_run(
    storage: Storage, uid: str, number: int, *, run_id: str, url: str, attempt: int | None = None
) -> bool:
    """Tell Optuna which MLflow run a trial has, also after its end (`mlflow_run_id`, `mlflow_url`).

    uid: the study's, from `study_uid`. attempt: given, the run of an attempt that a later one has
    followed is passed over. Returns whether it was set; not where the study or trial was deleted
    meanwhile.
    """
    query = (
        select(TRIALS.c.trial_id, HPO_CLAIMS.c.attempt)
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == TRIALS.c.study_id)
        .join(HPO_CLAIMS, HPO_CLAIMS.c.trial_id == TRIALS.c.trial_id, isouter=True)
        .where(HPO_STUDIES.c.uid == uid, TRIALS.c.number == number)
    )

    def write() -> bool:
        with storage.write() as connection:
            row = connection.execute(query).first()
            if row is None or (attempt is not None and attempt < (row.attempt or 0)):
                return False
            for key, value in (("mlflow_run_id", run_id), ("mlflow_url", url)):
                values = {"trial_id": row.trial_id, "key": key, "value_json": json.dumps(value)}
                upsert(connection, TRIAL_USER_ATTRIBUTES, values, ("trial_id", "key"))
            return True

    return storage.retry(write, "linking a trial to its MLflow run")


def set_finished_trial_user_attr(
    storage: Storage, trial_id: int, key: str, value: JsonValue
) -> None:
    """Set a user attribute of a trial in whatever state, for Optuna refuses once it is finished.

    Meant for what is known only later: the MLflow run of a trial that ended while MLflow was away.
    Raises KeyError where the trial is gone.
    """
    values = {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}

    def write() -> None:
        with storage.write() as connection:
            found = connection.execute(
                select(TRIALS.c.trial_id).where(TRIALS.c.trial_id == trial_id)
            )
            if found.first() is None:
                raise KeyError(f"no trial with the id {trial_id}")
            upsert(connection, TRIAL_USER_ATTRIBUTES, values, ("trial_id", "key"))

    storage.retry(write, f"setting {key} of a trial")


def _plan(spec: StudySpec, space: SearchSpace) -> tuple[BaseSampler, BasePruner]:
    sampler = make_sampler(spec.search.sampler, space, seed=spec.study.seed)
    pruner = make_pruner(
        spec.search.pruner,
        max_resource=most_evaluations(spec, space),
        evaluations_per_epoch=spec.training.evaluations_per_epoch,
    )
    return sampler, pruner


def _register(
    connection: Connection, storage: Storage, spec: StudySpec, wanted: int, priority: int | None
) -> None:
    name = spec.name
    row = connection.execute(
        select(STUDIES.c.study_id).where(STUDIES.c.study_name == name).with_for_update()
    ).first()
    study_id = _create(connection, spec) if row is None else int(row.study_id)
    known = connection.execute(
        select(HPO_STUDIES.c.spec_json).where(HPO_STUDIES.c.study_id == study_id)
    ).scalar_one_or_none()
    changes: dict[str, Any] = {"spec_json": spec.model_dump_json(), "trials": wanted}
    if known is None:
        if row is not None:
            _refuse_foreign_study(connection, storage, study_id, spec)
        connection.execute(
            insert(HPO_STUDIES).values(
                study_id=study_id,
                uid=uuid.uuid4().hex,
                priority=priority or 0,
                created_utc=datetime.now(UTC).replace(tzinfo=None),
                **changes,
            )
        )
        return
    _refuse_another_spec(storage, _parsed(storage, name, known), spec)
    if priority is not None:
        changes["priority"] = priority
    connection.execute(
        update(HPO_STUDIES).where(HPO_STUDIES.c.study_id == study_id).values(**changes)
    )


def _create(connection: Connection, spec: StudySpec) -> int:
    """The rows that Optuna's create_study writes, here in the transaction that registers the
    budget.
    """
    result = connection.execute(insert(STUDIES).values(study_name=spec.name))
    assert result.inserted_primary_key is not None
    study_id = int(result.inserted_primary_key[0])
    direction = StudyDirection[spec.direction.upper()]
    connection.execute(
        insert(STUDY_DIRECTIONS).values(study_id=study_id, direction=direction, objective=0)
    )
    return study_id


def _refuse_foreign_study(
    connection: Connection, storage: Storage, study_id: int, spec: StudySpec
) -> None:
    """A study that other means made is taken on only where it is as good as new."""
    directions = connection.execute(
        select(STUDY_DIRECTIONS.c.direction).where(STUDY_DIRECTIONS.c.study_id == study_id)
    ).scalars()
    trials = connection.execute(
        select(func.count()).select_from(TRIALS).where(TRIALS.c.study_id == study_id)
    ).scalar_one()
    if trials or [each.name.lower() for each in directions] != [spec.direction]:
        raise StorageError(
            storage.redacted,
            found=f"a study {spec.name} that was made by other means",
            expected="a name that is free, or a study that hpo made",
            mend="Use another --name.",
        )


def _refuse_another_spec(storage: Storage, known: StudySpec, spec: StudySpec) -> None:
    before, now = _identity(known), _identity(spec)
    differing = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if not differing:
        return
    shown = [f"{key} = {_shown(before, key)} (now {_shown(now, key)})" for key in differing[:4]]
    more = f" and {len(differing) - 4} more" if len(differing) > 4 else ""
    raise StorageError(
        storage.redacted,
        found=f"a study {spec.name} with other settings: {', '.join(shown)}{more}",
        expected="the same settings, so that its trials can be compared",
        mend="Use another --name, or restore " + ("them." if len(differing) > 1 else "it."),
    )


def _identity(spec: StudySpec) -> dict[str, object]:
    """Dotted keys and values of all that makes the study what it is."""
    flat: dict[str, object] = {}

    def flatten(prefix: str, value: object) -> None:
        if prefix.startswith(_MAY_CHANGE):
            return
        if isinstance(value, Mapping) and not prefix.startswith("search.space."):
            for key, inner in value.items():
                flatten(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            flat[prefix] = value

    flatten("", json.loads(spec.model_dump_json()))
    return flat


def _shown(flat: Mapping[str, object], key: str) -> str:
    return json.dumps(flat[key], ensure_ascii=False) if key in flat else "nothing"


def _row_of(storage: Storage, name: str) -> tuple[int, str, int]:
    query = (
        select(HPO_STUDIES.c.study_id, HPO_STUDIES.c.spec_json, HPO_STUDIES.c.trials)
        .join(STUDIES, STUDIES.c.study_id == HPO_STUDIES.c.study_id)
        .where(STUDIES.c.study_name == name)
    )

    def read() -> tuple[int, str, int] | None:
        with storage.read() as connection:
            row = connection.execute(query).first()
            return None if row is None else (int(row[0]), str(row[1]), int(row[2]))

    found = storage.retry(read, "looking for the study")
    if found is None:
        raise _unknown(storage, name)
    return found


def _unknown(storage: Storage, name: str) -> StorageError:
    names = [each.name for each in all_progress(storage)]
    return StorageError(
        storage.redacted,
        found=f"no study {name}",
        expected="one of " + ", ".join(names) if names else "a study that was submitted",
        mend="Check the name, or submit the study first.",
    )


def _parsed(storage: Storage, name: str, spec_json: str) -> StudySpec:
    try:
        return StudySpec.model_validate_json(spec_json)
    except ValidationError as error:
        raise StorageError(
            storage.redacted,
            found=f"a study {name} that another version of hpo wrote",
            expected="settings that this version knows",
            mend="Use another --name, or the version that wrote it.",
        ) from error


def _needs_model(space: SearchSpace) -> bool:
    return any(isinstance(each, IntRange) and each.high is None for each in space.values())


def _progress(connection: Connection) -> list[StudyProgress]:
    states = (
        select(
            TRIALS.c.study_id,
            func.count().filter(TRIALS.c.state.in_(FINISHED)).label("finished"),
            func.count().filter(TRIALS.c.state == TrialState.FAIL).label("failed"),
            func.count()
            .filter(TRIALS.c.state == TrialState.RUNNING, HPO_CLAIMS.c.status == "held")
            .label("held"),
            func.count()
            .filter(TRIALS.c.state == TrialState.RUNNING, HPO_CLAIMS.c.status == "free")
            .label("free"),
        )
        .join(HPO_CLAIMS, HPO_CLAIMS.c.trial_id == TRIALS.c.trial_id, isouter=True)
        .group_by(TRIALS.c.study_id)
        .subquery()
    )
    rows = connection.execute(
        select(
            HPO_STUDIES.c.study_id,
            STUDIES.c.study_name,
            HPO_STUDIES.c.trials,
            HPO_STUDIES.c.priority,
            *(func.coalesce(states.c[name], 0).label(name) for name in _COUNTS),
        )
        .join(STUDIES, STUDIES.c.study_id == HPO_STUDIES.c.study_id)
        .join(states, states.c.study_id == HPO_STUDIES.c.study_id, isouter=True)
        .order_by(HPO_STUDIES.c.priority.desc(), HPO_STUDIES.c.created_utc, HPO_STUDIES.c.study_id)
    )
    return [
        StudyProgress(
            study_id=row.study_id,
            name=row.study_name,
            wanted=row.trials,
            priority=row.priority,
            **{name: getattr(row, name) for name in _COUNTS},
        )
        for row in rows
    ]
