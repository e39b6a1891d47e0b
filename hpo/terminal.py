"""What people see while a study runs and at its end: rich on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from hpo.printable import printable
from hpo.runtime.events import (
    Event,
    FeatureProgress,
    TrialEnded,
    TrialEvaluated,
    TrialStarted,
)
from hpo.spec.numbers import duration
from hpo.wrapping import packed, wrapped

if TYPE_CHECKING:
    from hpo.results.champion import Champion
    from hpo.results.leaderboard import Entry
    from hpo.runtime.finish import Summary
    from hpo.runtime.preparation import Prepared

_PLAIN_LINE_SECONDS = 5.0


class View(Protocol):
    """Somebody who watches a study."""

    def on_event(self, event: Event) -> None: ...
    def close(self) -> None: ...


class StudyState:
    """What is known of a study in progress: counts, best so far, running trials, time left."""

    def __init__(self, wanted: int, finished: int, best: float | None, maximize: bool) -> None:
        self.wanted = wanted
        self.finished = finished
        self.best = best
        self.best_number: int | None = None
        self.running: dict[int, tuple[float, float | None]] = {}  # number -> share done, last value
        self.building: FeatureProgress | None = None
        self._maximize = maximize
        self._finished_before = finished
        self._started = time.monotonic()

    def update(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case TrialStarted():
                self.running[event.number] = (0.0, None)
            case TrialEvaluated():
                self.running[event.number] = (event.share, event.value)
                self.building = None
            case FeatureProgress():
                self.building = event if event.done < event.total else None
            case TrialEnded():
                self.running.pop(event.number, None)
                if event.state in ("COMPLETE", "PRUNED"):
                    self.finished += 1
                if event.state == "COMPLETE" and event.value is not None:
                    self._note_best(event.number, event.value)

    def seconds_left(self) -> float | None:
        """By the pace so far; None before anything is known of it."""
        done = self.finished - self._finished_before
        begun = sum(share for share, _ in self.running.values())
        if done + begun < 0.5:
            return None
        pace = (time.monotonic() - self._started) / (done + begun)
        return max(0.0, (self.wanted - self.finished - begun) * pace)

    def _note_best(self, number: int, value: float) -> None:
        better = self.best is None or (value > self.best if self._maximize else value < self.best)
        if better:
            self.best, self.best_number = value, number

    def in_words(self) -> str:
        """`12/50 trials, best 0.8720 (trial 7), 3 min left`."""
        words = [f"{self.finished}/{self.wanted} trials"]
        if self.best is not None:
            by = "" if self.best_number is None else f" (trial {self.best_number})"
            words.append(f"best {self.best:.4f}{by}")
        left = self.seconds_left()
        if left is not None:
            words.append(f"{duration(left)} left")
        return ", ".join(words)

    def at_work(self) -> list[str]:
        """What is being done: `#7 50% 0.8720`, a trial's progress and last metric, of each of them."""
        if self.building is not None and not any(share for share, _ in self.running.values()):
            share = self.building.done / max(self.building.total, 1)
            return [
                f"computing {self.building.depth} frozen blocks once for all trials: {share:.0%}"
            ]
        return [
            f"#{number} {share:.0%}" + ("" if value is None else f" {value:.4f}")
            for number, (share, value) in sorted(self.running.items())
        ]


class PlainView:
    """A line for each trial that ends, and one every few seconds where none does."""

    def __init__(self, state: StudyState, write: Callable[[str], object]) -> None:
        self._state = state
        self._write = write
        self._last_line = time.monotonic()

    def on_event(self, event: Event) -> None:
        self._state.update(event)
        if isinstance(event, TrialEnded):
            self._line(f"{_end_in_words(event)} | {self._state.in_words()}")
        elif time.monotonic() - self._last_line >= _PLAIN_LINE_SECONDS:
            self._line(f"{self._state.in_words()} | {'  '.join(self._state.at_work())}")

    def close(self) -> None:
        pass

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        self._write(printable(text) + "\n")


class RichView:
    """A line for each trial that ends, above one live block: a bar over the budget, and the trials at work."""

    def __init__(self, state: StudyState) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        self._state = state
        self._spinner = Spinner("dots", style="dim")  # moves also while a trial says nothing
        self._live = Live(
            self._block(), console=Console(stderr=True), refresh_per_second=8, transient=True
        )
        self._live.start()

    def on_event(self, event: Event) -> None:
        self._state.update(event)
        if isinstance(event, TrialEnded):
            line = wrapped(_end_in_words(event), sys.stderr)
            self._live.console.print(line, markup=False, highlight=False)
        self._live.update(self._block())

    def close(self) -> None:
        self._live.stop()

    def _block(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        state = self._state
        # What comes after the last trial is told apart from a moment between two.
        now = state.at_work() or ["testing the best" if state.finished >= state.wanted else " "]
        self._spinner.update(text=Text(packed(now, margin=2), style="dim"))  # stands before it
        block = Table.grid()
        block.add_row(Text(state.in_words(), style="bold"))
        block.add_row(ProgressBar(total=state.wanted, completed=state.finished, width=40))
        block.add_row(self._spinner)
        return block


def _end_in_words(event: TrialEnded) -> str:
    """`trial 7 complete 0.8720 in 4.1 s`."""
    value = "" if event.value is None else f" {event.value:.4f}"
    reason = f" ({event.reason})" if event.reason else ""
    return f"trial {event.number} {event.state.lower()}{value} in {duration(event.seconds)}{reason}"


class SilentView:
    """--quiet."""

    def on_event(self, event: Event) -> None:
        pass

    def close(self) -> None:
        pass


def make_view(state: StudyState, *, quiet: bool) -> View:
    """The view that fits where standard error goes."""
    if quiet:
        return SilentView()
    return RichView(state) if sys.stderr.isatty() else PlainView(state, sys.stderr.write)


def tell_data(prepared: Prepared, *, quiet: bool = False) -> None:
    """What was read of the data, in a line, and what looks wrong with them.

    Args:
        quiet: The latter only.
    """
    if not quiet:
        sys.stderr.write(wrapped(prepared.reading.in_words(), sys.stderr) + "\n")
    for warning in prepared.warnings:
        sys.stderr.write(wrapped(f"warning: {warning}", sys.stderr) + "\n")
    sys.stderr.flush()


def print_summary(summary: Summary, stream: TextIO) -> None:
    """Leaderboard, best parameters, importances, test score and what it is worth, as plain text."""
    counts = summary.counts
    failed = f", {counts.failed} failed" if counts.failed else ""
    before = [
        "",
        f"Study {summary.name}: {counts.finished} finished trials "
        f"({counts.complete} complete, {counts.pruned} pruned{failed})",
    ]
    table, lines = [], []
    if summary.entries:
        table = ["", *_leaderboard(summary.entries[:10], summary.metric, stream)]
        lines += ["", *_beside_the_leaderboard(summary)]
        lines.append("Best parameters: " + _params(summary.entries[0]))
    if summary.importances:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in summary.importances.items())
        lines.append(f"Importances: {shares}")
    elif summary.entries:
        lines.append(f"Importances: not shown, for {summary.importances_left_out or 'none differ'}")
    if summary.champion is not None:
        lines += _test_score(summary, summary.champion)
    for ensemble in summary.ensembles.values():
        lines += ["", *ensemble.in_words(summary.metric)]
    # The rows of the table are wrapped already, each under its last column.
    shown = [
        *(wrapped(line, stream) for line in before),
        *table,
        *(wrapped(line, stream) for line in lines),
    ]
    stream.write("\n".join(shown) + "\n")


def _beside_the_leaderboard(summary: Summary) -> list[str]:
    """What the validation scores are to be held against, and how many of them are alike."""
    from hpo.results.baseline import baseline_in
    from hpo.results.noise import near_best_in_words

    lines = []
    if summary.reading is not None:
        folds = summary.reading.folds
        if folds:
            lines.append(f"{summary.metric}: mean ± standard deviation over {folds} folds.")
        validation = baseline_in(summary.reading, "validation", [summary.metric])
        lines.append(validation.in_words([summary.metric]))
    if summary.noise is not None and summary.noise.near_best:
        lines.append(near_best_in_words(summary.noise, len(summary.entries)))
    return lines


def _test_score(summary: Summary, champion: Champion) -> list[str]:
    """The study's metric and another one, the same answer's scores, and what speaks against it."""
    from hpo.results.appraisal import appraise, second_metric
    from hpo.results.baseline import baseline_of

    test, metric = champion.test, summary.metric
    second = second_metric(metric, test.metrics)
    low, high = test.intervals[metric]
    second_low, second_high = test.intervals[second]
    constant = baseline_of(test, summary.label_names, [metric, second])
    appraisal = appraise(test, metric, summary.label_names)
    return [
        f"Test {metric} of {champion.source.words}: {test.metrics[metric]:.4f} "
        f"(95 % interval {low:.4f} to {high:.4f}, {test.texts} texts, "
        f"looked at {champion.times_tested} time(s))",
        f"Test {second} of {champion.source.words}: {test.metrics[second]:.4f} "
        f"(95 % interval {second_low:.4f} to {second_high:.4f})",
        constant.in_words([metric, second]),
        *(f"Beware: {remark}." for remark in appraisal.remarks),
        *([appraisal.hint] if appraisal.hint else []),
        *_registered(summary),
    ]


def _registered(summary: Summary) -> list[str]:
    """Where the champion loads from, as it was seen there, or why it does not."""
    seen = summary.registered
    if seen is None:
        return []
    if seen.uri is None:
        return [f"The champion is not registered: {seen.words}"]
    return [f"Champion: {seen.uri}", *([f"({seen.words})"] if seen.words else [])]


def _leaderboard(entries: list[Entry], metric: str, stream: TextIO) -> list[str]:
    header = ["trial", metric, "epochs", "seconds", "parameters"]
    rows = [
        [
            str(entry.number),
            entry.score_in_words(),
            "" if entry.epochs_run is None else f"{entry.epochs_run:.2f}",
            "" if entry.seconds is None else f"{entry.seconds:.1f}",
            _params(entry),
        ]
        for entry in entries
    ]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(4)]
    indent = " " * (sum(widths) + 2 * len(widths))
    lines = []
    for row in [header, *rows]:
        cells = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=False))
        lines.append(cells + wrapped(indent + row[4], stream, indent)[len(cells) :])
    return lines


def _params(entry: Entry) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in entry.params.items()
    )
