"""The SQLite file of one outbox: operations that wait, opened runs, refused operations."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from hpo.closing import Closing
from hpo.digests import fast_digest
from hpo.documents import parse_json
from hpo.errors import TrackingError
from hpo.formats import OUTBOX
from hpo.outbox import tables
from hpo.outbox.ledger_format import check_ledger_format
from hpo.outbox.records import Operation, spooled_path, to_json
from hpo.outbox.rows import Destination, Doubt, KnownRun, RejectedOperation, WaitingOperation
from hpo.redaction import redacted, remember
from hpo.waiting import Deadline

logger = logging.getLogger(__name__)

URI_DIGEST = "tracking_uri_digest"
_BUSY_SECONDS = 30


class Ledger(Closing):
    """One file, written by the training thread (append) and read and emptied by a draining thread.

    WAL with synchronous NORMAL: a commit costs no fsync and survives the death of the process, at
    any instant; a power cut may take the last moments, never the file.
    """

    def __init__(self, path: Path) -> None:
        """Touches no file yet; see `open`."""
        self.path = path
        self.engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
        sa.event.listen(self.engine, "connect", _set_pragmas)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The ledger in a file, which is made where there is none.

        Raises:
            TrackingError: It cannot be used, or a newer release made it.
        """
        check_ledger_format(path)
        ledger = cls(path)
        try:
            ledger.set_up()
        except sa.exc.DatabaseError as error:
            ledger.close()
            raise unusable(path, error) from error
        return ledger

    def set_up(self) -> None:
        """Make what is missing of the tables."""
        self._create_tables()
        if self.fact("format") is None:
            self.set_facts({"format": str(OUTBOX.number)})

    def _create_tables(self) -> None:
        """Safe among processes that open a new file at once, which SQLAlchemy's `create_all` is not."""
        with self.engine.begin() as connection:
            for table in tables.schema.sorted_tables:
                connection.execute(sa.schema.CreateTable(table, if_not_exists=True))

    def append(self, operations: Sequence[Operation], spooled_bytes: int = 0) -> int:
        """Store operations in one transaction.

        Returns:
            The bytes they take, their files included.
        """
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
            with self.engine.begin() as connection:
                connection.execute(sa.insert(tables.operations), rows)
        except sa.exc.DatabaseError as error:
            raise unusable(self.path, error) from error
        return sum(int(row["bytes"]) for row in rows)

    def head(self, limit: int) -> list[WaitingOperation]:
        """The oldest operations that wait."""
        columns = [tables.operations.c[name] for name in WaitingOperation.__dataclass_fields__]
        query = sa.select(*columns).order_by(tables.operations.c.id).limit(limit)
        with self.engine.connect() as connection:
            return [WaitingOperation(*row) for row in connection.execute(query)]

    def waiting(self) -> tuple[int, int]:
        """How many operations wait, and the bytes they take."""
        query = sa.select(
            sa.func.count(), sa.func.coalesce(sa.func.sum(tables.operations.c.bytes), 0)
        )
        with self.engine.connect() as connection:
            count, size = connection.execute(query.select_from(tables.operations)).one()
        return int(count), int(size)

    def waiting_runs(self) -> Counter[str]:
        """The keys of the runs for which operations wait, and how many for each."""
        key = tables.operations.c.run_key
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(key, sa.func.count()).group_by(key))
            return Counter({str(run): int(count) for run, count in rows})

    def holds(self, kind: str) -> bool:
        """Whether an operation of this kind waits."""
        query = sa.select(tables.operations.c.id).where(tables.operations.c.kind == kind).limit(1)
        with self.engine.connect() as connection:
            return connection.execute(query).first() is not None

    def mark_attempted(self, operation_id: int) -> None:
        self._write(
            sa.update(tables.operations)
            .where(tables.operations.c.id == operation_id)
            .values(attempted=True)
        )

    def done(self, operation_ids: Iterable[int]) -> int:
        """Forget operations that have arrived.

        Returns:
            The bytes they took.
        """
        ids = list(operation_ids)
        chosen = tables.operations.c.id.in_(ids)
        total = sa.select(sa.func.coalesce(sa.func.sum(tables.operations.c.bytes), 0)).where(chosen)
        with self.engine.begin() as connection:
            size = connection.execute(total).scalar_one()
            connection.execute(sa.delete(tables.doubts).where(tables.doubts.c.id.in_(ids)))
            connection.execute(sa.delete(tables.operations).where(chosen))
        return int(size)

    def doubt(self, operation_id: int, now_ms: int) -> Doubt:
        """Count a refusal that may pass. Kept here, since the next process may be the one to try again."""
        query = sa.select(tables.doubts.c.tries, tables.doubts.c.since_ms).where(
            tables.doubts.c.id == operation_id
        )
        with self.engine.begin() as connection:
            row = connection.execute(query).first()
            doubt = Doubt(row.tries + 1, row.since_ms) if row else Doubt(1, now_ms)
            connection.execute(
                sa.insert(tables.doubts).prefix_with("OR REPLACE"),
                {"id": operation_id, "tries": doubt.tries, "since_ms": doubt.since_ms},
            )
        return doubt

    def reject(self, waiting: WaitingOperation, reason: str) -> int:
        """Move an operation to the refused ones.

        Returns:
            The bytes it took.
        """
        with self.engine.begin() as connection:
            connection.execute(
                sa.insert(tables.rejected).prefix_with("OR REPLACE"),
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
        columns = [tables.rejected.c[name] for name in RejectedOperation.__dataclass_fields__]
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).order_by(tables.rejected.c.id))
            return [RejectedOperation(*row) for row in rows]

    def has_rejected(self, run_key: str, kind: str) -> bool:
        """Whether an operation of this kind on the run was refused."""
        chosen = (tables.rejected.c.run_key == run_key) & (tables.rejected.c.kind == kind)
        with self.engine.connect() as connection:
            return (
                connection.execute(sa.select(tables.rejected.c.id).where(chosen)).first()
                is not None
            )

    def remember_run(self, run: KnownRun) -> None:
        """Store what the server calls a run; opened again, a run counts as not ended."""
        values = {
            "run_key": run.run_key,
            "run_id": run.run_id,
            "experiment_id": run.experiment_id,
            "shared": run.shared,
            "doubtful": run.doubtful,
            "ended": False,
            "if_abandoned": json.dumps(dict(run.if_abandoned)),
        }
        self._write(sa.insert(tables.runs).prefix_with("OR REPLACE").values(values))

    def run(self, run_key: str) -> KnownRun | None:
        found = self._select_runs(tables.runs.c.run_key == run_key)
        return found[0] if found else None

    def destination(self) -> Destination | None:
        """Where the operations go; None where the owner died before it could say so."""
        uri = self.fact("tracking_uri")
        if uri is None:
            return None
        with self.engine.connect() as connection:
            run_ids = connection.execute(sa.select(tables.runs.c.run_id)).scalars().all()
        return Destination(uri, self.fact("state_dir"), tuple(str(run_id) for run_id in run_ids))

    def unfinished_runs(self) -> list[KnownRun]:
        """Runs that were opened through this file and not ended through it."""
        return self._select_runs(tables.runs.c.ended.is_(False))

    def mark_ended(self, run_key: str) -> None:
        self._write(
            sa.update(tables.runs).where(tables.runs.c.run_key == run_key).values(ended=True)
        )

    def fact(self, name: str) -> str | None:
        with self.engine.connect() as connection:
            query = sa.select(tables.facts.c.value).where(tables.facts.c.name == name)
            value = connection.execute(query).scalar_one_or_none()
        return None if value is None else str(value)

    def set_facts(self, facts: Mapping[str, str]) -> None:
        rows = [{"name": name, "value": value} for name, value in facts.items()]
        self._write(sa.insert(tables.facts).prefix_with("OR REPLACE").values(rows))

    def leave_out_secrets(self) -> None:
        """Store a mere reference where an earlier release left the URI in clear; this process remembers it."""
        uri = self.fact("tracking_uri")
        if uri is None or redacted(uri) == uri:
            return
        remember(uri)
        with self.engine.connect() as connection:
            connection.execute(sa.text("PRAGMA secure_delete = ON"))
        digest = digest_of_uri(redacted(uri), self.fact("state_dir"))
        self.set_facts({"tracking_uri": redacted(uri), URI_DIGEST: digest})
        with self.engine.connect() as connection:
            connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file; done by the draining thread, for it may fsync."""
        with self.engine.connect() as connection:
            connection.execute(sa.text("PRAGMA wal_checkpoint(PASSIVE)"))

    def close(self) -> None:
        self.engine.dispose()

    def _write(self, statement: sa.Executable) -> None:
        with self.engine.begin() as connection:
            connection.execute(statement)

    def _select_runs(self, condition: sa.ColumnElement[bool]) -> list[KnownRun]:
        columns = [tables.runs.c[name] for name in KnownRun.__dataclass_fields__]
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).where(condition)).all()
        return [
            KnownRun(key, run_id, experiment_id, shared, doubtful, parse_json(if_abandoned))
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
    deadline = Deadline(_BUSY_SECONDS)
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or deadline.is_over:
                raise
            time.sleep(0.01)


def digest_of_uri(uri: str, state_dir: str | None) -> str:
    """Of where the operations go, and of the state folder by which that is told after a move."""
    return fast_digest([uri.encode(), b"\n", (state_dir or "").encode()])


def unusable(path: Path, error: Exception) -> TrackingError:
    """What is to be said of a file that cannot be used."""
    return TrackingError(
        f"outbox {path}",
        found=str(getattr(error, "orig", None) or error),
        expected="a file that can be written",
        hint="Check the disk's free space and the folder's rights.",
    )
