"""What befalls the machine of a worker while it works: its clock jumps, its disk fills."""

from __future__ import annotations

import datetime as datetimes
import functools
import random
import time
from pathlib import Path
from typing import Any

import optuna.storages._rdb.storage as optuna_storage
import optuna.trial._frozen as optuna_trials

import hpo.storage.tables as tables
from hpo.leases.claims import Claim
from tests.faults.orders import CACHE_POINTS, POINTS, Filling


def let_the_clock_jump(jumps: tuple[float, ...], seed: int) -> None:
    """Wall-clock time that is set forward or back by some of these seconds at random reports; monotonic time goes on.

    jumping_clock.c does it to a whole command; this needs no compiler.
    """
    dice = random.Random(seed)
    true_time, ahead = time.time, [0.0]

    class Datetime(datetimes.datetime):
        @classmethod
        def now(cls, tz: datetimes.tzinfo | None = None) -> Datetime:
            return super().now(tz) + datetimes.timedelta(seconds=ahead[0])

    setattr(time, "time", lambda: true_time() + ahead[0])  # noqa: B010
    for module in (tables, optuna_storage, optuna_trials):
        if getattr(module, "datetime", None) is datetimes.datetime:
            setattr(module, "datetime", Datetime)  # noqa: B010
    original = Claim.report

    def report(claim: Claim, value: float, step: int) -> None:
        if dice.random() < 0.5:
            ahead[0] += dice.choice(jumps)
        original(claim, value, step)

    setattr(Claim, "report", report)  # noqa: B010


def fill_the_disk_at(filling: Filling) -> None:
    """Fill the disk just before the first call of a point."""
    owner, name = {**POINTS, **CACHE_POINTS}[filling.point]
    original = getattr(owner, name)

    @functools.wraps(original)
    def on_a_full_disk(*args: Any, **kwargs: Any) -> Any:
        fill(filling.filler)
        setattr(owner, name, original)
        return original(*args, **kwargs)

    setattr(owner, name, on_a_full_disk)


def fill(filler: Path) -> Path:
    """Write until the disk has not a byte left."""
    with filler.open("wb", buffering=0) as file:
        for block in (b"\0" * (1 << 20), b"\0" * 4096, b"\0"):
            try:
                while True:
                    file.write(block)
            except OSError:
                continue
    return filler
