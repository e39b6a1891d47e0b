"""A run of a study on this machine: workers begin their imports while data and model are prepared."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hpo.errors import OptionError

if TYPE_CHECKING:
    from hpo.execution.executor import Executor
    from hpo.runtime.finish import Summary
    from hpo.runtime.watching import Stop, Watch
    from hpo.spec.locations import Locations
    from hpo.spec.study import StudySpec


def run_on_this_machine(
    spec: StudySpec,
    locations: Locations,
    watch: Watch,
    *,
    workers: int,
    points: Sequence[str] = (),
    seconds: float | None = None,
) -> tuple[Summary, bool]:
    """Create or continue a study, and work on it until its budget is met or it is to stop.

    Args:
        spec: The study, checked as far as that goes without its data and model.
        locations: Where everything is kept.
        watch: Who looks at it.
        workers: Processes; 1: this one alone.
        points: To be tried next, as JSON.
        seconds: After which it stops; None: never.

    Returns:
        The study as it stands then, and whether its budget is met.

    Raises:
        HpoError: What stops it.
    """
    with _early_workers(workers) as executor:
        from hpo.execution.study_run import run_study
        from hpo.runtime.preparation import prepare
        from hpo.storage.storage import open_storage
        from hpo.tracking.moved import repair_moves

        prepared = prepare(spec, locations, watch.tell_download)
        watch.tell_data(prepared)
        moved = repair_moves(locations.tracking_uri)
        if moved is not None:
            watch.say(f"warning: {moved}")
        with open_storage(locations.storage_url) as storage, _time_limit(watch.stop, seconds):
            return run_study(storage, prepared, locations, watch, executor=executor, points=points)


def asked_workers(text: str) -> int:
    """How many workers `--workers` asks for.

    Raises:
        OptionError: It is neither auto nor a number.
    """
    from hpo.execution.machine_resources import automatic_workers

    if text == "auto":
        return automatic_workers()
    if re.fullmatch(r"[0-9]{1,4}", text) and int(text) >= 1:
        return int(text)
    expected = "auto, or a number of 1 or more"
    if text.isdecimal() and len(text) > 4:
        expected = "auto, or a number of four digits at most"
    raise OptionError(
        "--workers", found=repr(text), expected=expected, hint="Write e.g. `--workers 2`."
    )


@contextmanager
def _early_workers(workers: int) -> Iterator[Executor | None]:
    """Worker processes that begin their imports while this one checks; None for one worker."""
    if workers == 1:
        yield None
        return
    from hpo.execution.processes import WorkerPool

    pool = WorkerPool(workers)
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def _time_limit(stop: Stop, seconds: float | None) -> Iterator[None]:
    """Ask for a stop after so many seconds of the block."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, stop.say_time_is_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
