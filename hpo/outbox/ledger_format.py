"""Which release made an outbox's file, told before anything in it is touched."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from hpo.formats import OUTBOX, check_format

logger = logging.getLogger(__name__)

_BUSY_SECONDS = 30


def check_ledger_format(path: Path) -> None:
    """Look at the format of an outbox's file, which stays as it is, its log included.

    Raises:
        TrackingError: A newer release made the file.
    """
    # A file without a log can be read by nobody but its owner, unless SQLite is told that it stays as it is.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?{mode}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
            row = connection.execute("SELECT value FROM facts WHERE name = 'format'").fetchone()
    except sqlite3.DatabaseError as error:  # new, or damaged, which whoever opens it tells
        logger.debug("The format of %s cannot be read: %s", path, error)
        return
    # A damaged number is none, and refuses nothing: each operation has a digest of its own.
    if row and str(row[0]).isdecimal() and int(row[0]) > OUTBOX.number:
        check_format(OUTBOX, f"outbox {path}", row[0])
