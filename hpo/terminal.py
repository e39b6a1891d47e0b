"""What people see while a study runs and at its end: rich on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from hpo.printable import printable
from hpo.runtime.events import Event, TrialEnded, View, bare, name_of
from hpo.spec.numbers import counted, duration
from hpo.study_state import StudyState
from hpo.wrapping import packed, wrapped

if TYPE_CHECKING:
    from hpo.results.champion import Champion
    from hpo.results.leaderboard import Entry
    from hpo.runtime.finish import Summary
    from hpo.runtime.preparation import Prepared

_PLAIN_LINE_SECONDS = 5.0


class PlainView:
    """A line for each trial that ends, and one every few seconds where none does."""

    def __init__(self, state: StudyState, write: Callable[[str], object]) -> None:
        self._state = state
        self._write = write
        self._last_line = time.monotonic()

    def on_event(self, event: Event) -> None:
        self._state.update(event)
        ended = bare(event)
        if isinstance(ended, TrialEnded):
            self._line(f"{_end_in_words(event, ended)} | {self._state.in_words()}")
        elif time.monotonic() - self._last_line >= _PLAIN_LINE_SECONDS:
            self._line(self._state.line())

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
        ended = bare(event)
        if isinstance(ended, TrialEnded):
            line = wrapped(_end_in_words(event, ended), sys.stderr)
            self._live.console.print(line, markup=False, highlight=False)
        self._live.update(self._block())

    def close(self) -> None:
        self._live.stop()

    def _block(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        state = self._state.confirmation or self._state
        # What comes after the last trial is told apart from a moment between two.
        now = state.at_work() or ["testing the champion" if state.finished >= state.wanted else " "]
        self._spinner.update(text=Text(packed(now, margin=2), style="dim"))  # stands before it
        block = Table.grid()
        block.add_row(Text(self._state.in_words(), style="bold"))
        block.add_row(ProgressBar(total=state.wanted, completed=state.finished, width=40))
        block.add_row(self._spinner)
        return block


def _end_in_words(event: Event, ended: TrialEnded) -> str:
    """`trial 7 complete 0.8720 in 4.1 s`."""
    value = "" if ended.value is None else f" {ended.value:.4f}"
    reason = f" ({ended.reason})" if ended.reason else ""
    return f"{name_of(event)} {ended.state.lower()}{value} in {duration(ended.seconds)}{reason}"


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
        f"Study {summary.name}: {counted(counts.finished, 'finished trial')} "
        f"({counts.complete} complete, {counts.pruned} pruned{failed})",
    ]
    table, lines = [], []
    if summary.entries:
        table = ["", *_leaderboard(summary.entries[:10], summary.metric, stream)]
        lines += ["", *_beside_the_leaderboard(summary), *_what_was_searched(summary)]
    if summary.champion is not None:
        lines += summary.confirmation_in_words
        lines += _test_score(summary, summary.champion)
    lines += [] if summary.refit is None else [summary.refit.in_words()]
    for ensemble in summary.ensembles.values():
        lines += ["", *ensemble.in_words(summary.metric)]
    # The rows of the table are wrapped already, each under its last column.
    shown = [
        *(wrapped(line, stream) for line in before),
        *table,
        *(wrapped(line, stream) for line in lines),
    ]
    stream.write("\n".join(shown) + "\n")


def waiting_in_words(count: int, blocked: Sequence[str]) -> str:
    """What is to be said of operations that have not reached MLflow.

    Args:
        blocked: What somebody must mend before they do.
    """
    if blocked:
        return (
            f"{count} operations are kept that MLflow does not take: {'; '.join(blocked)}. "
            "Mend that; the next run, or `python -m hpo.doctor --flush`, sends them."
        )
    return (
        f"{count} operations still wait for MLflow; "
        "the next run, or `python -m hpo.doctor --flush`, sends them."
    )


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


def _what_was_searched(summary: Summary) -> list[str]:
    """The parameters of the best, and which of them made the difference."""
    if not summary.best.params:
        return ["Nothing was searched: the one trial is the study's fixed options, the baseline."]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in summary.importances.items())
    left_out = f"not shown, for {summary.importances_left_out or 'none differ'}"
    return [f"Best parameters: {_params(summary.best)}", f"Importances: {shares or left_out}"]


def _test_score(summary: Summary, champion: Champion) -> list[str]:
    """The study's metric and another one, the same answer's scores, and what speaks against it."""
    from hpo.results.appraisal import appraise, second_metric
    from hpo.results.baseline import baseline_of

    test, metric = champion.test, summary.metric
    second = second_metric(metric, test.metrics)
    second_low, second_high = test.intervals[second]
    constant = baseline_of(test, summary.label_names, [metric, second])
    appraisal = appraise(test, metric, summary.label_names)
    return [
        f"Test {metric} of {champion.source.words}: {champion.test_in_words(metric)}",
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
