"""The tables that a study lives in: Optuna's own, named here once, and the few that it does not have.

Ours stand beside Optuna's in the same database and begin with `hpo_`, so that a claim on a trial
and the trial itself change in one transaction, and no version table of ours clashes with Optuna's
`alembic_version`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from optuna.storages._rdb import models
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite


def _optuna(model: Any) -> Table:
    return cast(Table, model.__table__)


OPTUNA_METADATA: Final = cast(MetaData, models.BaseModel.metadata)
STUDIES: Final = _optuna(models.StudyModel)
STUDY_USER_ATTRIBUTES: Final = _optuna(models.StudyUserAttributeModel)
STUDY_SYSTEM_ATTRIBUTES: Final = _optuna(models.StudySystemAttributeModel)
STUDY_DIRECTIONS: Final = _optuna(models.StudyDirectionModel)
TRIALS: Final = _optuna(models.TrialModel)
TRIAL_VALUES: Final = _optuna(models.TrialValueModel)
TRIAL_PARAMS: Final = _optuna(models.TrialParamModel)
TRIAL_INTERMEDIATE_VALUES: Final = _optuna(models.TrialIntermediateValueModel)
TRIAL_USER_ATTRIBUTES: Final = _optuna(models.TrialUserAttributeModel)
TRIAL_SYSTEM_ATTRIBUTES: Final = _optuna(models.TrialSystemAttributeModel)

METADATA: Final = MetaData()

# One row a study that this project made: what it is, and how much of it is wanted.
HPO_STUDIES: Final = Table(
    "hpo_studies",
    METADATA,
    Column(
        "study_id",
        Integer,
        ForeignKey(STUDIES.c.study_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    # Ids are given out again after a study is deleted; this is not.
    Column("uid", String(32), nullable=False, unique=True),
    Column("spec_json", Text, nullable=False),
    Column("trials", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created_utc", DateTime, nullable=False),
)

HELD, FREE, OVER = "held", "free", "finished"
"""A claim's status: in a worker's hands, given back, or done with for good."""

ARTIFACTS: Final = "artifacts:"
"""How the keys of system attributes begin that name artifacts of Optuna's kind."""

# One row a trial that a worker took: who has it now, and what it has cost so far.
#   status    held: a worker is at it; free: given back, the next worker goes on with it; finished:
#             over
#   token     new with every attempt; whoever holds another token has lost the trial
#   attempt   how often the trial was begun or gone on with; deaths: how many of those ended without
#             a word
#   beat      grows while the worker lives; machine, pid, process_started: tell at once that it died
#   grid_slot which point of the grid the trial stands for, under the grid sampler
HPO_CLAIMS: Final = Table(
    "hpo_claims",
    METADATA,
    Column("claim_id", Integer, primary_key=True),
    Column(
        "study_id",
        Integer,
        ForeignKey(STUDIES.c.study_id, ondelete="CASCADE"),
        nullable=False,
    ),
    Column(
        "trial_id",
        Integer,
        ForeignKey(TRIALS.c.trial_id, ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    Column("status", String(8), nullable=False),
    Column("token", String(32), nullable=False),
    Column("worker", String(255), nullable=False),
    Column("machine", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_started", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("beat", Integer, nullable=False),
    Column("grid_slot", Integer, nullable=True),
    Column("taken_utc", DateTime, nullable=False),
    Index("ix_hpo_claims_study_status", "study_id", "status"),
    Index("ix_hpo_claims_token", "token"),
)

# What a study has learnt about itself (the micro-batch that fitted, …), as JSON.
HPO_MEMORY: Final = Table(
    "hpo_memory",
    METADATA,
    Column(
        "study_id",
        Integer,
        ForeignKey(STUDIES.c.study_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("key", String(255), primary_key=True),
    Column("value_json", Text, nullable=False),
)

# One row: the format of our tables (hpo/formats.py). A database without it is of release 0.1.
HPO_FORMAT: Final = Table(
    "hpo_format",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
)

# SQLite enforces foreign keys only where a connection asks for it, and a dashboard that deletes a
# study does not; it also gives the ids of deleted rows out again. Triggers belong to the file, so
# they hold for everyone.
SQLITE_TRIGGERS: Final = {
    "hpo_study_deleted": """
        CREATE TRIGGER hpo_study_deleted AFTER DELETE ON studies BEGIN
            DELETE FROM hpo_claims WHERE study_id = OLD.study_id;
            DELETE FROM hpo_memory WHERE study_id = OLD.study_id;
            DELETE FROM hpo_studies WHERE study_id = OLD.study_id;
        END
    """,
    "hpo_trial_deleted": """
        CREATE TRIGGER hpo_trial_deleted AFTER DELETE ON trials BEGIN
            DELETE FROM hpo_claims WHERE trial_id = OLD.trial_id;
        END
    """,
}


def upsert(
    connection: Connection, table: Table, values: Mapping[str, object], keys: tuple[str, ...]
) -> None:
    """Insert a row, or change the one with the same keys."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(**values)
    changed = {name: statement.excluded[name] for name in values if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changed))


def set_attribute(
    connection: Connection, table: Table, owner_id: int, key: str, value: object
) -> None:
    """Set a user or system attribute as Optuna does. owner_id: of the trial or study, as the table says."""
    owner = "trial_id" if "trial_id" in table.c else "study_id"
    row = {owner: owner_id, "key": key, "value_json": json.dumps(value)}
    upsert(connection, table, row, (owner, "key"))


def lock_study(connection: Connection, study_id: int, uid: str | None = None) -> bool:
    """Hold a study's row until the transaction ends; whether the study is there, and the one with that uid."""
    query = (
        select(STUDIES.c.study_id)
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == STUDIES.c.study_id)
        .where(STUDIES.c.study_id == study_id)
        # The row that Optuna locks, too, when it creates a trial. SQLite is locked as a whole already.
        .with_for_update(of=STUDIES)
    )
    if uid is not None:
        query = query.where(HPO_STUDIES.c.uid == uid)
    return connection.execute(query).first() is not None
