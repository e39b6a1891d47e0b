"""Studies as lines for people: a table of several, or all that is to be said of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from hpo.printable import printable
from hpo.studies.overview import Overview

_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_HEADER = ("study", "trials", "best", "last active", "on disk")


def studies_in_words(studies: Sequence[tuple[Overview, int]]) -> list[str]:
    """A line for each study, below a header. With each comes how many bytes it takes."""
    rows = [
        (each.name, _progress(each), _best(each), _moment(each.last_active), size_in_words(size))
        for each, size in studies
    ]
    return _table([_HEADER, *rows])


def study_in_words(study: Overview, size: int, found: Mapping[str, str]) -> list[str]:
    """What is to be said of one study, a word on the left of each line.

    Args:
        size: How many bytes it takes.
        found: What it found beside its trials, in words.
    """
    settings = study.settings
    params = {} if study.best is None else study.best.params
    lines = {
        "study": study.name,
        "about": settings["study"].get("description"),
        "trials": _progress(study),
        "best": _best(study),
        "with": ", ".join(f"{name} {_number(value)}" for name, value in params.items()),
        **found,
        "data": settings["data"].get("source"),
        "model": settings["model"].get("name"),
        "begun": _moment(study.created),
        "last active": _moment(study.last_active),
        "on disk": size_in_words(size),
    }
    return _table([(name, str(value)) for name, value in lines.items() if value])


def size_in_words(count: int) -> str:
    """`16.6 kB`."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _progress(study: Overview) -> str:
    at = study.progress
    beside = ((at.held, "running"), (at.free, "waiting"), (at.failed, "failed"))
    said = [f"{count} {what}" for count, what in beside if count]
    if at.confirmation is not None and not at.confirmation.is_done:
        said.append(f"confirming {at.confirmation.finished}/{at.confirmation.wanted}")
    return ", ".join([f"{at.finished}/{at.wanted}", *said])


def _best(study: Overview) -> str:
    if study.best is None:
        return "no complete trial"
    return f"{study.metric} {study.best.value:.4f} (trial {study.best.number})"


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, their columns one below another."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
