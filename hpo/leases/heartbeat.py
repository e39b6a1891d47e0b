"""A taker of trials: who it is, the heartbeat of what it holds, and whom it has seen be silent."""

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


class Held(Protocol):
    """What a worker beats for: its claim on a trial. number: of the trial in its study."""

    claim_id: int
    number: int

    def beat(self) -> None: ...


class Worker(Closing):
    """A taker of trials with a heartbeat: who it is, what it holds, whom it has seen be silent.

    lease_seconds: a worker that is silent for so long is taken for dead; it beats four times as
    often.
    max_deaths: a trial that so many workers died over is told FAIL instead of being tried again;
    on_given_up: called with number, last attempt and reason of a trial that this worker told so.
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
        self._held: dict[int, Held] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Stop beating. Claims still held count as dead once the lease, or the process, is over."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def holds(self, claim: Held) -> None:
        """Beat for a claim from now on."""
        with self._lock:
            self._held[claim.claim_id] = claim
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="hpo-beat", daemon=True)
                self._thread.start()

    def drops(self, claim: Held) -> None:
        """Beat for a claim no longer."""
        with self._lock:
            self._held.pop(claim.claim_id, None)

    def _beat(self) -> None:
        failing = False
        while not self._stopping.wait(self._interval):
            with self._lock:
                claims = list(self._held.values())
            for claim in claims:
                try:
                    claim.beat()
                except Exception as error:  # noqa: BLE001 - a beat must outlive whatever a database throws
                    if not failing:
                        logger.warning(
                            "No heartbeat for trial %d: %s", claim.number, one_line(error)
                        )
                    failing = True
                else:
                    if failing:
                        logger.info("The heartbeat of trial %d is back.", claim.number)
                    failing = False
