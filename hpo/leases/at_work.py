"""Whether workers are at a study: with a trial in hand, or at what it wants done once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection, select

from hpo.leases.claim_rows import live_leases
from hpo.leases.liveness import (
    BEATS_PER_LEASE,
    DEFAULT_LEASE_SECONDS,
    HeldLease,
    Observer,
    fate,
    this_machine,
)
from hpo.leases.once import lease_of
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_MEMORY
from hpo.studies.memory import kept


def leases_of(connection: Connection, study_id: int) -> list[HeldLease]:
    """All leases that the study's workers say they hold, those of turns (once.py) among them."""
    query = select(HPO_MEMORY.c.key).where(HPO_MEMORY.c.study_id == study_id)
    memory = [kept(connection, study_id, key) for key in connection.execute(query).scalars()]
    turns = [lease for lease in map(lease_of, memory) if lease is not None]
    # Claims count from 1.
    numbered = [replace(turn, claim_id=-index) for index, turn in enumerate(turns, start=1)]
    return [*live_leases(connection, study_id), *numbered]


def workers_at(
    storage: Storage,
    study_id: int,
    *,
    lease_seconds: float = DEFAULT_LEASE_SECONDS,
    sleep: Callable[[float], object] = time.sleep,
) -> tuple[list[HeldLease], frozenset[str]]:
    """The leases whose workers live, and the fencing tokens of those whose workers are dead.

    A worker of this machine is known at once; one elsewhere is watched until it beats, for as long as
    a lease may be silent.
    """
    observer = Observer(lease_seconds)
    beats: dict[str, int] = {}
    while True:
        leases = storage.retry(lambda: _read(storage, study_id), "looking for the study's workers")
        dead = observer.dead(study_id, leases)
        dead_tokens = frozenset(each.fencing_token for each in leases if each.claim_id in dead)
        silent = [each for each in leases if each.fencing_token not in dead_tokens]
        if not silent:
            return [], dead_tokens
        alive = [each for each in silent if _lives_here(each) or _has_beaten(each, beats)]
        if alive:
            return alive, dead_tokens
        beats |= {each.fencing_token: each.beat for each in silent}
        sleep(lease_seconds / BEATS_PER_LEASE)


def _read(storage: Storage, study_id: int) -> list[HeldLease]:
    with storage.read() as connection:
        return leases_of(connection, study_id)


def _lives_here(lease: HeldLease) -> bool:
    here = lease.machine == this_machine()[:255]
    return here and fate(lease.pid, lease.process_started) == "alive"


def _has_beaten(lease: HeldLease, beats: dict[str, int]) -> bool:
    return beats.get(lease.fencing_token, lease.beat) != lease.beat
