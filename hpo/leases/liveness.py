"""Which workers are alive, told without trusting anybody's clock."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import psutil

Fate = Literal["alive", "gone", "unknown"]

DEFAULT_LEASE_SECONDS: Final = 60.0
BEATS_PER_LEASE: Final = 4
_PROC: Final = Path("/proc")
# Fields of /proc/<pid>/stat after the command's name: state is the 3rd of all, start time the 22nd.
_STATE, _START = 0, 19


@dataclass(frozen=True)
class WorkerIdentity:
    """Who a worker is.

    Attributes:
        worker: Its name, for people.
        machine: The same for two processes just where each can see the other's pid.
        pid: Of its process.
        process_started: Tells a process from a later one with its pid.
    """

    worker: str
    machine: str
    pid: int
    process_started: str


@dataclass(frozen=True)
class HeldLease:
    """A lease that some worker says it holds, as the database had it a moment ago."""

    claim_id: int
    fencing_token: str
    machine: str
    pid: int
    process_started: str
    beat: int


def this_worker(name: str | None = None) -> WorkerIdentity:
    """The identity of a new worker in this process."""
    pid = os.getpid()
    host = socket.gethostname()
    label = name or f"{host}:{pid}:{uuid.uuid4().hex[:6]}"
    return WorkerIdentity(label[:255], this_machine()[:255], pid, process_start(pid) or "")


def this_machine() -> str:
    """Host name, boot and process namespace: a container's pids mean nothing outside of it."""
    boot = _read(_PROC / "sys/kernel/random/boot_id")
    if boot is None:
        # Shifts when the clock is set, and then two processes of one machine take each other for
        # strangers: slower to notice a death, never wrong about one.
        boot = f"{psutil.boot_time():.0f}"
    try:
        namespace = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        namespace = "-"
    return f"{socket.gethostname()} {boot} {namespace}"


def process_start(pid: int) -> str | None:
    """When a process began, in a form that only equals itself; None where it is gone or undead."""
    stat = _read(_PROC / str(pid) / "stat")
    if stat is not None:
        fields = stat.rpartition(")")[2].split()
        return None if fields[_STATE] in "ZXx" else fields[_START]
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time():.0f}"
    except psutil.Error:
        return None


def fate(pid: int, process_started: str) -> Fate:
    """What became of a process of this machine."""
    started = process_start(pid)
    if started is not None:
        return "alive" if started == process_started else "gone"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except PermissionError:
        return "unknown"  # another user's, and the machine hides those
    # The process answers: it is a zombie that nobody has waited for, or the machine hides its details.
    return "gone" if (_PROC / str(pid)).exists() or not _PROC.is_dir() else "unknown"


class Observer:
    """Watches the beats of other workers' leases, and says which of them are dead.

    A worker of this machine is dead as soon as its process is. Any worker is dead when its beat has
    stood still for `lease_seconds` of this observer's own monotonic clock, of which each look
    counts for at most a beat's interval: an observer that could not look for an hour (a trial, a
    database that was away) has not seen anybody be silent for an hour. Safe to use from several
    threads.
    """

    def __init__(
        self,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        *,
        machine: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease_seconds = lease_seconds
        self._machine = this_machine()[:255] if machine is None else machine
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[int, dict[tuple[int, str], _Silence]] = {}

    def dead(self, study_id: int, leases: Iterable[HeldLease]) -> set[int]:
        """Say whose workers are dead.

        Args:
            study_id: Of the study.
            leases: All that are held in the study right now.

        Returns:
            Ids of the claims whose workers are dead.
        """
        now = self._clock()
        with self._lock:
            before = self._seen.get(study_id, {})
            after: dict[tuple[int, str], _Silence] = {}
            dead = set()
            for lease in leases:
                key = (lease.claim_id, lease.fencing_token)
                silence = self._silence(before.get(key), lease.beat, now)
                after[key] = silence
                if silence.seconds >= self._lease_seconds or self._has_died_here(lease):
                    dead.add(lease.claim_id)
            self._seen[study_id] = after
        return dead

    def _silence(self, before: _Silence | None, beat: int, now: float) -> _Silence:
        if before is None or before.beat != beat:
            return _Silence(beat, 0.0, now)
        counted = min(now - before.looked_at, self._lease_seconds / BEATS_PER_LEASE)
        return _Silence(beat, before.seconds + counted, now)

    def _has_died_here(self, lease: HeldLease) -> bool:
        if lease.machine != self._machine or not lease.process_started:
            return False
        return fate(lease.pid, lease.process_started) == "gone"


@dataclass(frozen=True)
class _Silence:
    beat: int
    seconds: float
    looked_at: float


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
