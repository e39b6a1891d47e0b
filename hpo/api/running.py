"""A run of a study that a program calls: its callbacks, its progress, Ctrl-C in the middle of it."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hpo.api.progress import teller, view_of
from hpo.api.trials import Callback, StopStudy, Trial
from hpo.options import check_early
from hpo.runtime.events import Event, TrialEnded, View
from hpo.runtime.watching import Standing, Stop, Watch

if TYPE_CHECKING:
    from hpo.api.tables import KeptTables
    from hpo.runtime.preparation import Prepared
    from hpo.spec.locations import Locations
    from hpo.spec.options import OptionValue
    from hpo.spec.study import StudySpec

_ENDS = ("COMPLETE", "PRUNED", "FAIL")


def run(
    spec: StudySpec,
    locations: Locations,
    tables: KeptTables | None,
    *,
    workers: int | str,
    callbacks: Sequence[Callback],
    points: Sequence[Mapping[str, OptionValue]],
    timeout: str | float | None,
    quiet: bool,
) -> None:
    """Work on a study as `hpo.run` does; see `Study.run`."""
    from hpo.execution.local_run import asked_workers, run_on_this_machine
    from hpo.runtime.early_checks import mark_state
    from hpo.search.points import read_points
    from hpo.spec.numbers import counted

    texts = [json.dumps(dict(point)) for point in points]
    seconds, count = _seconds(timeout), asked_workers(str(workers))
    check_early(spec, locations)
    read_points(texts, spec)
    if tables is not None:
        mark_state(locations.state)
        tables.write()
    caller = _Caller(callbacks, quiet=quiet)
    summary, done = run_on_this_machine(
        spec, locations, caller.watch, workers=count, points=texts, seconds=seconds
    )
    if caller.error is not None:
        raise caller.error
    if not done:
        finished = counted(summary.counts.finished, "finished trial")
        kept = f"at {finished}; all is kept, and run() goes on from here"
        if caller.interrupted:
            raise KeyboardInterrupt(f"stopped {kept}")
        caller.watch.say(f"{'Time is up' if caller.watch.stop.out_of_time else 'Stopped'} {kept}.")


class _Caller:
    """The program that called a run: what it is told, and how it stops the run.

    Attributes:
        interrupted: Whether somebody pressed Ctrl-C.
        error: What a callback raised.
    """

    def __init__(self, callbacks: Sequence[Callback], *, quiet: bool) -> None:
        self.interrupted = False
        self.error: Exception | None = None
        self._callbacks = callbacks
        self._quiet = quiet
        say = teller()
        download = (lambda _line: None) if quiet else say
        self.watch = Watch(
            self._view, Stop(), say, download, self._tell_data, self._interruptible()
        )

    def on_ended(self, event: TrialEnded) -> None:
        """Call the callbacks, until one stops the run. What one raises is raised when the work is put away."""
        if event.state not in _ENDS or self.watch.stop.is_set():
            return
        trial = Trial.of_event(event)
        try:
            for callback in self._callbacks:
                callback(trial)
        except StopStudy:
            self.watch.stop.ask()
        except Exception as error:  # noqa: BLE001 - raised again at the end of the run
            self.error = error
            self.watch.stop.ask()

    def _view(self, standing: Standing) -> View:
        return _CallingView(view_of(standing, quiet=self._quiet), self)

    def _tell_data(self, prepared: Prepared) -> None:
        if not self._quiet:
            self.watch.say(prepared.reading.in_words())
        for warning in prepared.warnings:
            self.watch.say(f"warning: {warning}")

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first Ctrl-C stops the run, a second one what is being done."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread hears of signals
            return
        before = signal.getsignal(signal.SIGINT) or signal.default_int_handler

        def handle(_number: int, _frame: object) -> None:
            signal.signal(signal.SIGINT, before)
            self.interrupted = True
            self.watch.stop.ask()

        signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class _CallingView:
    """A view, and callbacks beside it."""

    def __init__(self, view: View, caller: _Caller) -> None:
        self._view = view
        self._caller = caller

    def on_event(self, event: Event) -> None:
        self._view.on_event(event)
        if isinstance(event, TrialEnded):
            self._caller.on_ended(event)

    def close(self) -> None:
        self._view.close()


def _seconds(timeout: str | float | None) -> float | None:
    from hpo.spec.numbers import parse_duration

    if timeout is None:
        return None
    return parse_duration(timeout if isinstance(timeout, str) else f"{round(timeout)}s", "timeout")
