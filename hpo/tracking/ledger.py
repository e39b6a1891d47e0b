"""The SQLite file of one outbox: operations that wait, opened runs, refused operations."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hpo.digests import fast_digest
from hpo.errors import TrackingError
from hpo.formats import OUTBOX, check_format
from hpo.tracking.records import Operation, spooled_path, to_json

logger = logging.getLogger(__name__)

_LOG_HEADER, _FRAME_HEADER = 32, 24  # bytes, as SQLite documents its write-ahead log
URI_DIGEST = "tracking_uri_digest"
_NEEDS_TIME = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
)
_BUSY_SECONDS = 30
_schema = sa.MetaData()
_facts = sa.Table(
    "facts",
    _schema,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)
_operations = sa.Table(
    "operations",
    _schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_key", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("spooled", sa.String),
    sa.Column("bytes", sa.Integer, nullable=False),
    sa.Column("attempted", sa.Boolean, nullable=False),
    # Ids must never be given twice, or a late deletion would take the wrong operation.
    sqlite_autoincrement=True,
)
_runs = sa.Table(
    "runs",
    _schema,
    sa.Column("run_key", sa.String, primary_key=True),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("experiment_id", sa.String, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("doubtful", sa.Boolean, nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False),
    sa.Column("if_abandoned", sa.Text, nullable=False),
)
_rejected = sa.Table(
    "rejected",
    _schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_key", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
# Of its own, so that a file of an earlier version needs no change.
_doubts = sa.Table(
    "doubts",
    _schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("since_ms", sa.Integer, nullable=False),
)


_KNOWN = frozenset([*_schema.tables, *(f"sqlite_autoindex_{name}_1" for name in _schema.tables)])


class DamagedLedger(TrackingError):  # noqa: N818 - what was found, not a fault of ours
    """A dead process's file is not as it was written."""


@dataclass(frozen=True)
class WaitingOperation:
    """A stored operation; attempted: it was sent before, and what became of it is not known."""

    id: int
    run_key: str
    kind: str
    body: str
    spooled: str | None
    attempted: bool


@dataclass(frozen=True)
class KnownRun:
    """A run that was opened through this file. doubtful: its creation may have happened twice."""

    run_key: str
    run_id: str
    experiment_id: str
    shared: bool
    doubtful: bool
    if_abandoned: Mapping[str, str]


@dataclass(frozen=True)
class Doubt:
    """How often an operation was refused in a way that may pass, and when first, ms since the epoch."""

    tries: int
    since_ms: int


@dataclass(frozen=True)
class RejectedOperation:
    run_key: str
    kind: str
    body: str
    reason: str


class Ledger:
    """One file, written by the training thread (append) and read and emptied by a draining thread.

    WAL with synchronous NORMAL: a commit costs no fsync and survives the death of the process, at
    any instant; a power cut may take the last moments, never the file.
    """

    def __init__(self, path: Path, *, check: bool = False) -> None:
        """check: look through a file that nobody writes, and raise DamagedLedger where it is damaged.

        What is damaged at the end of its log alone is told of; SQLite reads the file without it.
        Raises TrackingError, with nothing written, where a newer version made the file.
        """
        check_ledger_format(path)
        self.path = path
        logged = committed_frames(path.with_name(path.name + "-wal")) if check else 0
        self._engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
        sa.event.listen(self._engine, "connect", _set_pragmas)
        try:
            if check:
                self._check(logged)
            self._create_tables()
            if self.fact("format") is None:
                self.set_facts({"format": str(OUTBOX.number)})
        except sa.exc.DatabaseError as error:
            self._engine.dispose()
            code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            if check and code & 0xFF not in _NEEDS_TIME:
                raise _damaged(path, str(error.orig)) from error
            raise _unusable(path, error) from error
        except DamagedLedger:
            self._engine.dispose()
            raise

    def _check(self, logged: int) -> None:
        """Compare the file with itself. logged: transactions' frames that its log should have."""
        with self._engine.connect() as connection:
            _, found, _ = connection.execute(sa.text("PRAGMA wal_checkpoint(PASSIVE)")).one()
            tables = set(connection.execute(sa.text("SELECT name FROM sqlite_master")).scalars())
            if not tables:
                return  # its owner died before it wrote anything
            quick = connection.execute(sa.text("PRAGMA quick_check")).scalars().all()
            last = connection.execute(
                sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'operations'")
            ).scalar()
            query = sa.select(
                sa.func.count(), sa.func.min(_operations.c.id), sa.func.max(_operations.c.id)
            )
            count, first, end = connection.execute(query).one()
        if found < logged:
            logger.warning("%s: the end of its log is damaged; what came last is lost", self.path)
        uri, told = self.fact("tracking_uri"), self.fact(URI_DIGEST)
        try:
            self.unfinished_runs()
            self.rejected()
            int(self.fact("abandoned_ms") or 0)
        except (ValueError, TypeError) as error:
            raise _damaged(self.path, str(error)) from error
        wrongs = {
            f"SQLite says: {quick[0]}": list(quick) != ["ok"],
            "tables that are not its own": not tables <= {*_KNOWN, "sqlite_sequence"},
            "operations that are missing": count > 0 and (end - first + 1, end) != (count, last),
            "no server that they are for": count > 0 and uri is None,
            "another server than was written": None not in (uri, told)
            and digest_of_uri(str(uri), self.fact("state_dir")) != told,
        }
        for wrong, is_there in wrongs.items():
            if is_there:
                raise _damaged(self.path, wrong)

    def _create_tables(self) -> None:
        """Safe among processes that open a new file at once, which SQLAlchemy's `create_all` is not."""
        with self._engine.begin() as connection:
            for table in _schema.sorted_tables:
                connection.execute(sa.schema.CreateTable(table, if_not_exists=True))

    def append(self, operations: Sequence[Operation], spooled_bytes: int = 0) -> int:
        """Store operations in one transaction. Returns the bytes they take, their files included."""
        rows: list[dict[str, Any]] = []
        for operation in operations:
            kind, body = to_json(operation)
            spooled = spooled_path(operation)
            size = len(body) + (spooled_bytes if spooled else 0)
            rows.append(
                {
                    "run_key": operation.run.key,
                    "kind": kind,
                    "body": body,
                    "spooled": spooled,
                    "bytes": size,
                    "attempted": False,
                }
            )
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(_operations), rows)
        except sa.exc.DatabaseError as error:
            raise _unusable(self.path, error) from error
        return sum(int(row["bytes"]) for row in rows)

    def head(self, limit: int) -> list[WaitingOperation]:
        """The oldest operations that wait."""
        columns = [_operations.c[name] for name in WaitingOperation.__dataclass_fields__]
        query = sa.select(*columns).order_by(_operations.c.id).limit(limit)
        with self._engine.connect() as connection:
            return [WaitingOperation(*row) for row in connection.execute(query)]

    def waiting(self) -> tuple[int, int]:
        """How many operations wait, and the bytes they take."""
        query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_operations.c.bytes), 0))
        with self._engine.connect() as connection:
            count, size = connection.execute(query.select_from(_operations)).one()
        return int(count), int(size)

    def holds(self, kind: str) -> bool:
        """Whether an operation of this kind waits."""
        query = sa.select(_operations.c.id).where(_operations.c.kind == kind).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def mark_attempted(self, operation_id: int) -> None:
        self._write(
            sa.update(_operations).where(_operations.c.id == operation_id).values(attempted=True)
        )

    def done(self, operation_ids: Iterable[int]) -> int:
        """Forget operations that have arrived. Returns the bytes they took."""
        ids = list(operation_ids)
        chosen = _operations.c.id.in_(ids)
        total = sa.select(sa.func.coalesce(sa.func.sum(_operations.c.bytes), 0)).where(chosen)
        with self._engine.begin() as connection:
            size = connection.execute(total).scalar_one()
            connection.execute(sa.delete(_doubts).where(_doubts.c.id.in_(ids)))
            connection.execute(sa.delete(_operations).where(chosen))
        return int(size)

    def doubt(self, operation_id: int, now_ms: int) -> Doubt:
        """Count a refusal that may pass. Kept here, since the next process may be the one to try again."""
        query = sa.select(_doubts.c.tries, _doubts.c.since_ms).where(_doubts.c.id == operation_id)
        with self._engine.begin() as connection:
            row = connection.execute(query).first()
            doubt = Doubt(row.tries + 1, row.since_ms) if row else Doubt(1, now_ms)
            connection.execute(
                sa.insert(_doubts).prefix_with("OR REPLACE"),
                {"id": operation_id, "tries": doubt.tries, "since_ms": doubt.since_ms},
            )
        return doubt

    def reject(self, waiting: WaitingOperation, reason: str) -> int:
        """Move an operation to the refused ones. Returns the bytes it took."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.insert(_rejected).prefix_with("OR REPLACE"),
                {
                    "id": waiting.id,
                    "run_key": waiting.run_key,
                    "kind": waiting.kind,
                    "body": waiting.body,
                    "reason": reason,
                },
            )
        return self.done([waiting.id])

    def rejected(self) -> list[RejectedOperation]:
        columns = [_rejected.c[name] for name in RejectedOperation.__dataclass_fields__]
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).order_by(_rejected.c.id))
            return [RejectedOperation(*row) for row in rows]

    def has_rejected(self, run_key: str, kind: str) -> bool:
        """Whether an operation of this kind on the run was refused."""
        chosen = (_rejected.c.run_key == run_key) & (_rejected.c.kind == kind)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(_rejected.c.id).where(chosen)).first() is not None

    def remember_run(self, run: KnownRun) -> None:
        """Store what MLflow calls a run; opened again, a run counts as not ended."""
        values = {
            "run_key": run.run_key,
            "run_id": run.run_id,
            "experiment_id": run.experiment_id,
            "shared": run.shared,
            "doubtful": run.doubtful,
            "ended": False,
            "if_abandoned": json.dumps(dict(run.if_abandoned)),
        }
        self._write(sa.insert(_runs).prefix_with("OR REPLACE").values(values))

    def run(self, run_key: str) -> KnownRun | None:
        found = self._select_runs(_runs.c.run_key == run_key)
        return found[0] if found else None

    def run_ids(self) -> list[str]:
        """MLflow's ids of all runs that were opened through this file."""
        with self._engine.connect() as connection:
            return [
                str(run_id) for run_id in connection.execute(sa.select(_runs.c.run_id)).scalars()
            ]

    def unfinished_runs(self) -> list[KnownRun]:
        """Runs that were opened through this file and not ended through it."""
        return self._select_runs(_runs.c.ended.is_(False))

    def mark_ended(self, run_key: str) -> None:
        self._write(sa.update(_runs).where(_runs.c.run_key == run_key).values(ended=True))

    def fact(self, name: str) -> str | None:
        with self._engine.connect() as connection:
            query = sa.select(_facts.c.value).where(_facts.c.name == name)
            value = connection.execute(query).scalar_one_or_none()
        return None if value is None else str(value)

    def set_facts(self, facts: Mapping[str, str]) -> None:
        rows = [{"name": name, "value": value} for name, value in facts.items()]
        self._write(sa.insert(_facts).prefix_with("OR REPLACE").values(rows))

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file; done by the draining thread, for it may fsync."""
        with self._engine.connect() as connection:
            connection.execute(sa.text("PRAGMA wal_checkpoint(PASSIVE)"))

    def close(self) -> None:
        self._engine.dispose()

    def _write(self, statement: sa.Executable) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)

    def _select_runs(self, condition: sa.ColumnElement[bool]) -> list[KnownRun]:
        columns = [_runs.c[name] for name in KnownRun.__dataclass_fields__]
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).where(condition)).all()
        return [
            KnownRun(key, run_id, experiment_id, shared, doubtful, json.loads(if_abandoned))
            for key, run_id, experiment_id, shared, doubtful, if_abandoned in rows
        ]


def _set_pragmas(connection: Any, _record: object) -> None:
    # A damaged letter must not hide the row: what it stands in has a digest.
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    _turn_on_wal(cursor)
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA wal_autocheckpoint = 0")
    cursor.close()


def _turn_on_wal(cursor: sqlite3.Cursor) -> None:
    """The first one changes the file; SQLite tells others who ask meanwhile "locked" at once.

    Each would have to turn its read lock into a write lock, for which the busy time-out never waits.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def check_ledger_format(path: Path) -> None:
    """Raise TrackingError where a newer version made an outbox's file; writes nothing, its log included."""
    # A file without a log can be read by nobody but its owner, unless SQLite is told that it stays as it is.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?{mode}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
            row = connection.execute("SELECT value FROM facts WHERE name = 'format'").fetchone()
    except sqlite3.DatabaseError as error:  # new, or damaged, which whoever opens it tells
        logger.debug("The format of %s cannot be read: %s", path, error)
        return
    check_format(OUTBOX, f"outbox {path}", row[0] if row else None)


def digest_of_uri(uri: str, state_dir: str | None) -> str:
    """Of where the operations go, and of the state folder by which that is told after a move."""
    return fast_digest([uri.encode(), b"\n", (state_dir or "").encode()])


def committed_frames(log: Path) -> int:
    """How many frames of a write-ahead log are to be read, up to the last that ends a transaction.

    By its own words, without its checksums, by which SQLite ends its reading at the first damaged one.
    """
    content = log.read_bytes() if log.exists() else b""
    if len(content) <= _LOG_HEADER:
        return 0
    page = int.from_bytes(content[8:12])
    step = _FRAME_HEADER + page
    frames = range(_LOG_HEADER, len(content) - step + 1, step) if page else range(0)
    last = 0
    for number, at in enumerate(frames, 1):
        ends, salts = content[at + 4 : at + 8], content[at + 8 : at + 16]
        if salts == content[16:24] and any(ends):
            last = number
    return last


def _damaged(path: Path, found: str) -> DamagedLedger:
    return DamagedLedger(
        f"outbox {path}",
        found=found,
        expected="what was written",
        hint="Remove it, if nothing in it is missed.",
    )


def _unusable(path: Path, error: Exception) -> TrackingError:
    return TrackingError(
        f"outbox {path}",
        found=str(getattr(error, "orig", None) or error),
        expected="a file that can be written",
        hint="Check the disk's free space and the folder's rights.",
    )
