"""A taker of trials: who it is, the heartbeat of its leases, and whom it has seen be silent."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

from hpo.closing import Closing
from hpo.leases.liveness import BEATS_PER_LEASE, DEFAULT_LEASE_SECONDS, Observer, this_worker
from hpo.storage.retries import one_line
from hpo.storage.storage import Storage

logger = logging.getLogger(__name__)

DEFAULT_MAX_DEATHS: Final = 3


class Renewed(Protocol):
    """What a heartbeat renews: the lease of a trial.

    Attributes:
        number: Of the trial in its study.
    """

    claim_id: int
    number: int

    def renew(self) -> None: ...


class Worker(Closing):
    """A taker of trials with a heartbeat: who it is, its leases, whom it has seen be silent.

    Args:
        storage: Where the leases are.
        name: Of the worker, for people; its machine and process by default.
        lease_seconds: A worker that is silent for so long is taken for dead; it beats four times as often.
        max_deaths: A trial that so many workers died over is told FAIL instead of being tried again.
        observer: Whom to ask which workers are dead; one of its own by default.
        on_given_up: Called with number, last attempt and reason of a trial that this worker told FAIL.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        name: str | None = None,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        max_deaths: int = DEFAULT_MAX_DEATHS,
        observer: Observer | None = None,
        on_given_up: Callable[[int, int, str], None] = lambda number, attempt, reason: None,
    ) -> None:
        self.storage = storage
        self.identity = this_worker(name)
        self.max_deaths = max_deaths
        self.on_given_up = on_given_up
        self.observer = observer or Observer(lease_seconds)
        self._interval = lease_seconds / BEATS_PER_LEASE
        self._leases: dict[int, Renewed] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Stop beating. Leases still held count as dead once the lease, or the process, is over."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def acquire(self, lease: Renewed) -> None:
        """Renew a lease with every beat from now on."""
        with self._lock:
            self._leases[lease.claim_id] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="hpo-beat", daemon=True)
                self._thread.start()

    def drop(self, lease: Renewed) -> None:
        """Renew a lease no longer."""
        with self._lock:
            self._leases.pop(lease.claim_id, None)

    def _beat(self) -> None:
        failing = False
        while not self._stopping.wait(self._interval):
            with self._lock:
                leases = list(self._leases.values())
            for lease in leases:
                try:
                    lease.renew()
                except Exception as error:  # noqa: BLE001 - a beat must outlive whatever a database throws
                    if not failing:
                        logger.warning(
                            "No heartbeat for trial %d: %s", lease.number, one_line(error)
                        )
                    failing = True
                else:
                    if failing:
                        logger.info("The heartbeat of trial %d is back.", lease.number)
                    failing = False
