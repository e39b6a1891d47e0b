"""Whose operations an outbox holds, and what that means for sending them."""

from __future__ import annotations

import enum


class Origin(enum.Enum):
    """LIVE: this process's own. ORPHANED: of a process that died. REQUEUED: refused once, to be sent again.

    What is requeued is sent as if its owner had died.
    """

    LIVE = enum.auto()
    ORPHANED = enum.auto()
    REQUEUED = enum.auto()

    @property
    def reopens_runs(self) -> bool:
        """Whether a run that is opened becomes RUNNING again where it has ended."""
        return self is Origin.LIVE

    @property
    def may_be_overtaken(self) -> bool:
        """Whether other processes may have gone on with what is shared, so that their word counts."""
        return self is not Origin.LIVE

    @property
    def may_be_outdated(self) -> bool:
        """Whether later operations of the same process may have arrived before."""
        return self is Origin.REQUEUED
