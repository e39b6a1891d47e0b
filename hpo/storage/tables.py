"""The tables of a study that Optuna does not have: what is wanted of it, claims on its trials, its memory.

They stand beside Optuna's in the same database and begin with `hpo_`, so that a claim on a trial
and the trial itself change in one transaction, and no version table of ours clashes with Optuna's
`alembic_version`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from hpo.storage.optuna_tables import STUDIES, TRIALS

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

# One row a complete trial of which that is kept: the probabilities that it gave the validation texts.
#   seal  digest of uid, number and content, so that they are taken for no other trial's
HPO_PROBABILITIES: Final = Table(
    "hpo_probabilities",
    METADATA,
    Column(
        "trial_id",
        Integer,
        ForeignKey(TRIALS.c.trial_id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("seal", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
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
    # By itself: an earlier release holds the others to its own words.
    "hpo_trial_deleted_with_probabilities": """
        CREATE TRIGGER hpo_trial_deleted_with_probabilities AFTER DELETE ON trials BEGIN
            DELETE FROM hpo_probabilities WHERE trial_id = OLD.trial_id;
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


def now_utc() -> datetime:
    """The time for a column of the storage, as Optuna keeps it, too: UTC without saying so."""
    return datetime.now(UTC).replace(tzinfo=None)


def lock_study(
    connection: Connection, study_id: int, uid: str | None = None, name: str | None = None
) -> bool:
    """Hold a study's row until the transaction ends; whether it is there, with that uid and that name."""
    query = (
        select(STUDIES.c.study_id)
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == STUDIES.c.study_id)
        .where(STUDIES.c.study_id == study_id)
        # The row that Optuna locks, too, when it creates a trial. SQLite is locked as a whole already.
        .with_for_update(of=STUDIES)
    )
    if uid is not None:
        query = query.where(HPO_STUDIES.c.uid == uid)
    if name is not None:
        query = query.where(STUDIES.c.study_name == name)
    return connection.execute(query).first() is not None
