"""Looking through the file that a dead process left, before anything in it is believed."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from hpo.errors import TrackingError
from hpo.outbox import tables
from hpo.outbox.ledger import URI_DIGEST, Ledger, digest_of_uri, unusable
from hpo.outbox.ledger_format import check_ledger_format

logger = logging.getLogger(__name__)

_LOG_HEADER, _FRAME_HEADER = 32, 24  # bytes, as SQLite documents its write-ahead log
_NEEDS_TIME = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
)
_NAMES = tables.schema.tables
_KNOWN = frozenset([*_NAMES, *(f"sqlite_autoindex_{name}_1" for name in _NAMES), "sqlite_sequence"])


class DamagedLedger(TrackingError):  # noqa: N818 - what was found, not a fault of ours
    """A dead process's file is not as it was written."""


def open_checked(path: Path) -> Ledger:
    """The ledger in a file that nobody writes, looked through.

    What is damaged at the end of its log alone is told of; SQLite reads the file without it.

    Raises:
        DamagedLedger: The file is not as it was written.
        TrackingError: It cannot be used now, or a newer release made it.
    """
    check_ledger_format(path)
    logged = committed_frames(path.with_name(path.name + "-wal"))
    ledger = Ledger(path)
    try:
        _look_through(ledger, logged)
        ledger.set_up()
    except sa.exc.DatabaseError as error:
        ledger.close()
        code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code & 0xFF in _NEEDS_TIME:
            raise unusable(path, error) from error
        raise _damaged(path, str(error.orig)) from error
    except DamagedLedger:
        ledger.close()
        raise
    return ledger


def set_aside(file: Path, damage: DamagedLedger) -> None:
    """Put a ledger that cannot be believed out of the way, and say what that means."""
    aside = file.with_suffix(".damaged")
    for suffix in ("", "-wal", "-shm"):
        beside = file.with_name(file.name + suffix)
        if beside.exists():
            beside.replace(aside.with_name(aside.name + suffix))
    logger.warning(
        "The abandoned outbox %s cannot be read (%s): what it held for MLflow is lost; it is kept as %s",
        file,
        damage.found,
        aside.name,
    )


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


def _look_through(ledger: Ledger, logged: int) -> None:
    """Compare the file with itself. logged: transactions' frames that its log should have."""
    with ledger.engine.connect() as connection:
        _, found, _ = connection.execute(sa.text("PRAGMA wal_checkpoint(PASSIVE)")).one()
        names = set(connection.execute(sa.text("SELECT name FROM sqlite_master")).scalars())
        if not names:
            return  # its owner died before it wrote anything
        quick = connection.execute(sa.text("PRAGMA quick_check")).scalars().all()
        is_whole = _has_all_operations(connection)
    if found < logged:
        logger.warning("%s: the end of its log is damaged; what came last is lost", ledger.path)
    uri, told = ledger.fact("tracking_uri"), ledger.fact(URI_DIGEST)
    _read_what_is_parsed(ledger)
    wrongs = {
        f"SQLite says: {quick[0]}": list(quick) != ["ok"],
        "tables that are not its own": not names <= _KNOWN,
        "operations that are missing": not is_whole,
        "no server that they are for": ledger.waiting()[0] > 0 and uri is None,
        "another server than was written": None not in (uri, told)
        and digest_of_uri(str(uri), ledger.fact("state_dir")) != told,
    }
    for wrong, is_there in wrongs.items():
        if is_there:
            raise _damaged(ledger.path, wrong)


def _has_all_operations(connection: sa.Connection) -> bool:
    """Whether the operations that wait are the last that were stored, without a gap between them."""
    sequence = sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'operations'")
    last = connection.execute(sequence).scalar()
    number = tables.operations.c.id
    query = sa.select(sa.func.count(), sa.func.min(number), sa.func.max(number))
    count, first, end = connection.execute(query).one()
    return count == 0 or (end - first + 1, end) == (count, last)


def _read_what_is_parsed(ledger: Ledger) -> None:
    try:
        ledger.unfinished_runs()
        ledger.rejected()
    except (ValueError, TypeError) as error:
        raise _damaged(ledger.path, str(error)) from error


def _damaged(path: Path, found: str) -> DamagedLedger:
    return DamagedLedger(
        f"outbox {path}",
        found=found,
        expected="what was written",
        hint="Remove it, if nothing in it is missed.",
    )
