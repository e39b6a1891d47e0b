"""Studies registered with their file and their budget; refused under the name of another study."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from hpo.errors import StorageError
from hpo.search.grid import check_grid_budget, grid_size
from hpo.search.points import Point
from hpo.spec.study import StudySpec
from hpo.spec.study_file import search_space
from hpo.storage.optuna_rows import create_study
from hpo.storage.optuna_tables import STUDIES, STUDY_DIRECTIONS, TRIALS
from hpo.storage.seals import sealed_spec
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_STUDIES, now_utc
from hpo.studies.earlier_names import called_so_before, refuse_half_renamed
from hpo.studies.enqueueing import enqueue, tried_before
from hpo.studies.fingerprints import Fingerprints, agree_on, forget
from hpo.studies.progress import StudyProgress, progress
from hpo.studies.renamed import WAY_ON, copies, named
from hpo.studies.studies import load_spec, needs_model, stored_spec

logger = logging.getLogger(__name__)

logger = logging.getLogger(__name__)

# What may change from one run of a study to the next without making its trials another thing.
_MAY_CHANGE: Final = (
    "study.trials",
    "study.description",
    "search.sampler",
    "search.pruner",
    "training.checkpoint",
    "tracking",
    "ensemble",
    "confirm",
)


def submit(
    storage: Storage,
    spec: StudySpec,
    *,
    priority: int | None = None,
    fingerprints: Fingerprints | None = None,
    points: Sequence[Point] = (),
    say: Callable[[str], None] = logger.info,
) -> StudyProgress:
    """Register a study and its budget, or set the budget of one that is there; any number may at
    once.

    The last word on the budget holds: more trials raise it, fewer than are finished leave nothing
    to do.

    Args:
        priority: Studies of a higher one are worked on first; None leaves it as it is, 0 at first.
        fingerprints: Of its data and model, where the caller has them; the first worker sees them
            otherwise.
        points: To be tried next, in this order, which `read_points` has checked.
        say: Is told what became of each point, in lines for people.

    Raises:
        StorageError: A study of that name is another one.
        StudyFileError: A grid is too small, DataError or ModelError where the study's trials were
            trained on others; nothing is written then.
    """
    if spec.search.sampler.name == "grid":
        space = search_space(spec)
        if not needs_model(space):
            check_grid_budget(grid_size(space), spec.study.trials)

    def register() -> tuple[int, list[str]]:
        with storage.write() as connection:
            study_id = _register(connection, storage, spec, priority)
            if fingerprints is not None:
                if not _has_begun(connection, study_id):
                    forget(connection, study_id)
                agree_on(connection, study_id, spec.name, fingerprints)
            return study_id, enqueue(connection, study_id, points)

    def register_or_join() -> tuple[int, list[str]]:
        try:
            return register()
        except (
            IntegrityError
        ):  # under PostgreSQL: another process registered it at the same instant
            return register()

    study_id, queued = storage.retry(register_or_join, "registering the study")
    for line in (*queued, *tried_before(storage, study_id, points)):
        say(line)
    return progress(storage, spec.name)


def check_same_settings(storage: Storage, spec: StudySpec) -> None:
    """Raise StorageError where the study of this name has other settings, as `submit` would."""
    _refuse_another_spec(storage, load_spec(storage, spec.name), spec)


def _register(
    connection: Connection, storage: Storage, spec: StudySpec, priority: int | None
) -> int:
    """Write what the study is and what is wanted of it. Returns its id."""
    name = spec.name
    row = connection.execute(
        select(STUDIES.c.study_id).where(STUDIES.c.study_name == name).with_for_update()
    ).first()
    refuse_half_renamed(connection, name)
    if row is None:
        renamed = copies(connection)
        if renamed:
            logger.warning("Study %s begins anew; there is a copy %s", name, named(renamed))
        for now in called_so_before(connection, name):
            logger.warning("Study %s begins anew; the one that was called so is %s now", name, now)
        direction = StudyDirection[spec.direction.upper()]
        study_id = create_study(connection, name, direction)
    else:
        study_id = int(row.study_id)
    known = connection.execute(
        select(
            HPO_STUDIES.c.uid, HPO_STUDIES.c.spec_json, HPO_STUDIES.c.trials, STUDIES.c.study_name
        )
        .join(STUDIES, STUDIES.c.study_id == HPO_STUDIES.c.study_id)
        .where(HPO_STUDIES.c.study_id == study_id)
    ).first()
    if known is not None and "confirm" not in spec.model_fields_set:
        # Left out, a study keeps its own: none, where an earlier release began it.
        spec = spec.model_copy(update={"confirm": stored_spec(storage, known).confirm})
    uid = uuid.uuid4().hex if known is None else known.uid
    trials = spec.study.trials
    sealed = sealed_spec(spec.model_dump_json(), uid=uid, name=name, trials=trials)
    changes: dict[str, Any] = {"spec_json": sealed, "trials": trials}
    if known is None:
        if row is not None:
            _refuse_foreign_study(connection, storage, study_id, spec)
        connection.execute(
            insert(HPO_STUDIES).values(
                study_id=study_id,
                uid=uid,
                priority=priority or 0,
                created_utc=now_utc(),
                **changes,
            )
        )
        return study_id
    _refuse_another_spec(storage, stored_spec(storage, known), spec)
    if priority is not None:
        changes["priority"] = priority
    connection.execute(
        update(HPO_STUDIES).where(HPO_STUDIES.c.study_id == study_id).values(**changes)
    )
    return study_id


def _has_begun(connection: Connection, study_id: int) -> bool:
    """Whether a trial came to something, or may yet: the data may be mended after trials that failed."""
    worthless = (TrialState.FAIL, TrialState.WAITING)
    query = select(TRIALS.c.trial_id).where(
        TRIALS.c.study_id == study_id, TRIALS.c.state.not_in(worthless)
    )
    return connection.execute(query.limit(1)).first() is not None


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
    if spec.name in copies(connection):
        raise StorageError(
            storage.redacted,
            found=f"a study {spec.name} that is a copy of one of hpo's, made when that was renamed "
            "in the dashboard",
            expected="a study that goes by the name it was submitted under",
            hint=WAY_ON,
        )
    if trials or [each.name.lower() for each in directions] != [spec.direction]:
        raise StorageError(
            storage.redacted,
            found=f"a study {spec.name} that was made by other means",
            expected="a name that is free, or a study that hpo made",
            hint="Use another --name.",
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
        hint="Use another --name, or restore " + ("them." if len(differing) > 1 else "it."),
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
