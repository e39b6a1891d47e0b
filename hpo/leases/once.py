"""What a study wants done once: whose turn it is, told by heartbeats, as with trials, and by nobody's clock."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import JsonValue
from sqlalchemy.exc import SQLAlchemyError

from hpo.closing import Closing
from hpo.errors import StorageError
from hpo.leases.liveness import (
    BEATS_PER_LEASE,
    DEFAULT_LEASE_SECONDS,
    HeldLease,
    Observer,
    this_worker,
)
from hpo.storage.retries import one_line
from hpo.storage.storage import Storage
from hpo.studies.memory import keep, kept, locked_study

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


class TurnLost(Exception):  # noqa: N818 - it names a state
    """Another process took the turn over, for this one was silent too long: write nothing."""


def lease_of(kept_value: JsonValue) -> HeldLease | None:
    """Who has a turn, by what the study keeps of it; None for a turn that is over, and for all else it keeps."""
    if not isinstance(kept_value, dict) or kept_value.get("over"):
        return None
    holder: Mapping[str, Any] = kept_value
    if not {"machine", "pid", "started"} <= holder.keys():
        return None
    # Versions before this one left neither token nor beat: to us they are silent from the start.
    return HeldLease(
        claim_id=0,
        fencing_token=holder.get("token", ""),
        machine=holder["machine"],
        pid=holder["pid"],
        process_started=holder["started"],
        beat=holder.get("beat", 0),
    )


class Once:
    """Asks for the turn to do what `key` names. To be kept for as long as one asks.

    Whoever has the turn shows it by a beat in the study's memory. It is another's once that is done,
    failed, or dead: at once where its process is one of this machine and gone, else when this object
    has seen the beat stand still for `lease_seconds` of its own `clock`.

    Args:
        storage: Of the study.
        study_id: Of the study.
        key: What is to be done once.
        lease_seconds: After so much silence whoever has the turn is taken for dead.
        machine: Where this process says it is; this machine by default.
        clock: In seconds, and monotonic.
    """

    def __init__(
        self,
        storage: Storage,
        study_id: int,
        key: str,
        *,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        machine: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        me = this_worker()
        self._who: dict[str, JsonValue] = {
            "machine": machine or me.machine,
            "pid": me.pid,
            "started": me.process_started,
        }
        self._storage = storage
        self._study_id = study_id
        self._key = key
        self._lease_seconds = lease_seconds
        self._observer = Observer(lease_seconds, machine=machine or me.machine, clock=clock)

    def begin(self) -> Turn | None:
        """The turn, to be used as a context manager; None while another has it.

        Who had it before may have done the thing: look once more before doing it.

        Raises:
            StudyGoneError: The study was deleted.
            StorageError: The database stays away.
        """
        row: dict[str, JsonValue] = {**self._who, "token": uuid.uuid4().hex, "beat": 0}

        def take() -> bool:
            # Of two that ask at once one sees the other's row.
            with locked_study(self._storage, self._study_id) as connection:
                holder = kept(connection, self._study_id, self._key)
                # Its own: an earlier try went through, and only its answer was lost.
                if isinstance(holder, dict) and holder != row and self._is_at_it(holder):
                    return False
                keep(connection, self._study_id, self._key, row)
                return True

        if not self._storage.retry(take, f"beginning {self._key}"):
            return None
        return Turn(self._storage, self._study_id, self._key, row, self._lease_seconds)

    def wait(self, should_stop: Callable[[], bool]) -> Turn:
        """The turn, once no other process has it; as `begin`.

        Raises:
            KeyboardInterrupt: `should_stop` said so meanwhile.
        """
        while (turn := self.begin()) is None:
            if should_stop():
                raise KeyboardInterrupt
            time.sleep(_LOOK_SECONDS)
        return turn

    def _is_at_it(self, holder: JsonValue) -> bool:
        lease = lease_of(holder)
        return lease is not None and not self._observer.dead(self._study_id, [lease])


class Turn(Closing):
    """The turn, in this process's hands until its block ends; a thread beats for it meanwhile."""

    def __init__(
        self,
        storage: Storage,
        study_id: int,
        key: str,
        row: Mapping[str, JsonValue],
        lease_seconds: float,
    ) -> None:
        self._storage = storage
        self._study_id = study_id
        self._key = key
        self._row = dict(row)
        self._interval = lease_seconds / BEATS_PER_LEASE
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="hpo-turn", daemon=True)

    def check(self) -> None:
        """Ask the database whose turn it is.

        Raises:
            TurnLost: Another has the turn by now.
        """

        def look() -> bool:
            with self._storage.read() as connection:
                return self._is_mine(kept(connection, self._study_id, self._key))

        if not self._storage.retry(look, f"looking whose turn {self._key} is"):
            raise self._lost()

    def end_with(self, key: str, value: JsonValue) -> None:
        """Keep what came of it under `key`, and end the turn, in one transaction that looks whose turn it is.

        Raises:
            TurnLost: Another has the turn by now; nothing is kept.
            StudyGoneError: The study was deleted.
            StorageError: The database stays away.
        """

        def write() -> bool:
            with locked_study(self._storage, self._study_id) as connection:
                now = kept(connection, self._study_id, self._key)
                if not self._is_mine(now):
                    return False
                keep(connection, self._study_id, key, value)
                keep(connection, self._study_id, self._key, {**self._row, "over": True})
                return True

        if not self._storage.retry(write, f"noting {key}"):
            raise self._lost()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop beating, and mark the turn as over, if it still is ours."""
        self._stopping.set()
        self._thread.join(timeout=5)
        try:
            self._change({"over": True})
        except (StorageError, SQLAlchemyError) as fault:
            # Asked once and not again and again: without its beat the turn is another's after a lease.
            logger.info("%s is not marked as over: %s", self._key, one_line(fault))

    def _beat(self) -> None:
        beat = 0
        while not self._stopping.wait(self._interval):
            beat += 1
            try:
                if not self._change({"beat": beat}):
                    return
            except Exception as error:  # noqa: BLE001 - a beat must outlive whatever a database throws
                logger.warning("No heartbeat for %s: %s", self._key, one_line(error))

    def _change(self, change: Mapping[str, JsonValue]) -> bool:
        """Change the turn's row while it is this process's and not over; whether it was."""
        with locked_study(self._storage, self._study_id) as connection:
            now = kept(connection, self._study_id, self._key)
            if not self._is_mine(now) or (isinstance(now, dict) and now.get("over")):
                return False
            keep(connection, self._study_id, self._key, {**self._row, **change})
            return True

    def _is_mine(self, row: JsonValue) -> bool:
        return isinstance(row, dict) and row.get("token") == self._row["token"]

    def _lost(self) -> TurnLost:
        return TurnLost(f"{self._key} went to another process")
