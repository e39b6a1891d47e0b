"""A report's validation texts: those that the champion is surely wrong about, and those it could hardly decide."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hpo.printable import printable
from hpo.results.hard_texts import HardText, HardTexts
from hpo.results.report.facts import StudyFacts
from hpo.results.report.tables import Cell, Table, as_html


def hard_text_sections(facts: StudyFacts) -> str:
    """Panels with a table each; one that says why where none is kept, and nothing before there is a champion."""
    found = facts.hard_texts
    if found is None:
        return "" if facts.champion is None else _panel("Hardest validation texts", _why(facts))
    if found.wrong is None:
        note = f"The largest errors of {found.texts:,} validation texts {_place(found)}."
        return _panel("Furthest off", note, _table(found, found.surely_wrong))
    wrong = _panel("Most confidently wrong", _wrong(found), _table(found, found.surely_wrong))
    return wrong + (_undecided(found) if found.undecided else "")


def _why(facts: StudyFacts) -> str:
    if not facts.spec.tracking.shown_texts:
        return "None is shown, as the study asks (tracking.shown_texts = 0)."
    if facts.spec.validation.folds:
        return "What the trainings over folds answered was not kept with the champion's trial."
    return "None was kept when this champion was made."


def _wrong(found: HardTexts) -> str:
    """How many are wrong, and which of them are shown."""
    if not found.wrong:
        return f"All {found.texts:,} validation texts {_place(found)} are answered rightly."
    count = f"{found.wrong:,} of {found.texts:,} validation texts"
    told = f"The champion is wrong about {count} {_place(found)}"
    if len(found.surely_wrong) < found.wrong:
        told += f"; these are the {len(found.surely_wrong)} that it is the most sure of"
    return f"{told}. Some may have a wrong label."


def _undecided(found: HardTexts) -> str:
    several = found.problem_type == "multi_label_classification"
    other = "one of their thresholds" if several else "that of another class"
    note = f"Of the other texts those with a probability that is the closest to {other}."
    return _panel("Hardest to decide", note, _table(found, found.undecided))


def _place(found: HardTexts) -> str:
    """Where the texts are from, and whose answers are meant where they are not the champion's own."""
    if not found.folds:
        return f"of {found.origin}"
    lead = found.source["trials"][0]
    return f"in {found.folds} folds of {found.origin}, each answered by a training of trial {lead} without it"


def _table(found: HardTexts, texts: Sequence[HardText]) -> str:
    if not texts:
        return ""
    numbers = found.wrong is None
    columns = ("text", "true", "answered", "off by" if numbers else "probability", "where")
    rows = [
        [
            Cell(each.text),
            Cell(each.true),
            Cell(each.answer),
            Cell(f"{each.sure:+.4g}" if numbers else f"{each.label} {each.sure:.3f}", each.sure),
            Cell(f"{found.row_noun} {each.row}", each.row),
        ]
        for each in texts
    ]
    return as_html(Table(columns, rows), "texts")


def _panel(title: str, note: str, table: str = "") -> str:
    told = escape(printable(note))
    return f'<div class="panel"><h3>{title}</h3><p class="note">{told}</p>{table}</div>'
