"""A report's tables in HTML: every cell escaped, numbers with what they are sorted by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from hpo.printable import printable
from hpo.results.report.facts import StudyFacts, Trial

_LINKS = ("http://", "https://")


@dataclass(frozen=True)
class Cell:
    """What a cell shows; value: what it is sorted by, where that is a number; link: where it leads."""

    text: str
    value: float | None = None
    link: str | None = None


@dataclass(frozen=True)
class Table:
    """Columns and rows; ids: what the rows are known by, where a chart can pick them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    ids: Sequence[str] = ()
    kinds: Sequence[str] = ()


def number(value: float | None, form: str = ".4f") -> Cell:
    """A number's cell; an empty one where there is none."""
    return Cell("") if value is None else Cell(format(value, form), value)


def leaderboard_table(facts: StudyFacts) -> Table:
    """Every trial that was begun: the complete ones best first, then pruned, failed and running ones."""
    names = facts.parameters
    scored = facts.scored
    numbers = {trial.number for trial in scored}
    trials = [*scored, *(trial for trial in facts.trials if trial.number not in numbers)]
    columns = ("trial", "state", facts.metric, "epochs run", "seconds", *names)
    return Table(
        columns,
        [_row(trial, names) for trial in trials],
        [str(trial.number) for trial in trials],
        [trial.state for trial in trials],
    )


def label_table(facts: StudyFacts) -> Table | None:
    """How well the champion finds each class or label of the test split, those with most texts first."""
    if facts.champion is None or not facts.champion.test.by_label:
        return None
    by_label = facts.champion.test.by_label
    names = facts.label_names or [f"class {number}" for number in range(len(by_label))]
    rows = [
        [
            Cell(name),
            number(texts, ",d"),
            number(right / given if given else None),
            number(right / texts if texts else None),
            number(2 * right / max(texts + given, 1)),
        ]
        for name, (texts, given, right) in zip(names, by_label, strict=False)
    ]
    rows.sort(key=lambda row: -(row[1].value or 0.0))
    return Table(("label", "texts", "precision", "recall", "F1"), rows)


def as_html(table: Table, kind: str = "") -> str:
    """The table; its headings are buttons that sort it."""
    heads = "".join(
        f'<th scope="col"{_aligned(table, at)}><button type="button">{_escaped(name)}</button></th>'
        for at, name in enumerate(table.columns)
    )
    ids = table.ids or [""] * len(table.rows)
    kinds = table.kinds or [""] * len(table.rows)
    rows = "\n".join(
        f'<tr data-id="{_escaped(row_id)}" class="{_escaped(state)}">{"".join(map(_cell, row))}</tr>'
        for row, row_id, state in zip(table.rows, ids, kinds, strict=True)
    )
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _row(trial: Trial, names: Sequence[str]) -> list[Cell]:
    spread = "" if trial.std is None else f" ± {trial.std:.4f}"
    value = trial.value
    state = trial.state if trial.state != "failed" else f"failed: {trial.note}"
    return [
        Cell(str(trial.number), trial.number, trial.url),
        Cell("stopped early" if trial.note == "early" else state),
        Cell("" if value is None else f"{value:.4f}{spread}", value),
        number(trial.epochs_run, ".2f"),
        number(trial.seconds, ".1f"),
        *(_param(trial.params.get(name)) for name in names),
    ]


def _param(value: object) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Cell("" if value is None else str(value))
    return Cell(f"{value:.3g}" if isinstance(value, float) else str(value), value)


def _aligned(table: Table, column: int) -> str:
    """A heading stands over its numbers."""
    return " class=n" if any(row[column].value is not None for row in table.rows) else ""


def _cell(cell: Cell) -> str:
    text = _escaped(cell.text)
    if cell.link is not None and cell.link.startswith(_LINKS):
        text = f'<a href="{_escaped(cell.link)}" rel="noreferrer">{text}</a>'
    if cell.value is None or not math.isfinite(cell.value):
        return f"<td>{text}</td>"
    same = cell.text == repr(cell.value)
    return f"<td{'' if same else f' data-v={cell.value!r}'} class=n>{text}</td>"


def _escaped(text: str) -> str:
    return escape(printable(text))
