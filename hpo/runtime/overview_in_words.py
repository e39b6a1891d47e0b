"""An overview of data as lines for people: a word on the left, and beside it what is so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from unicodedata import east_asian_width

from hpo.data.table import shortened
from hpo.printable import printable
from hpo.runtime.data_overview import DataOverview, Lengths
from hpo.spec.numbers import counted
from hpo.spec.study import DEMO

LEFT: Final = 11
_SPLITS: Final = {"train": "training", "validation": "validation", "test": "test"}
_TASKS: Final = {
    "single_label": "one class a text",
    "multi_label": "any number of labels a text",
    "regression": "a number a text",
}
_LABELS: Final = {"single_label": "Classes", "multi_label": "Labels", "regression": "Numbers"}
_MOST_CLASSES: Final = 8
_MOST_COLUMNS: Final = 6
_MOST_WARNINGS: Final = 6
_LONGEST_NAME: Final = 20
_BAR: Final = 8
_MUCH_CUT: Final = 0.05
_FEW_TEXTS: Final = 200
# Standard errors on each side of a 95 % interval; one of an accuracy is at most 0.5 / sqrt(texts).
_SURE: Final = 1.96


def in_words(overview: DataOverview, bar: str = "#") -> list[str]:
    """All lines, the longest of which somebody may wrap.

    Args:
        overview: What is told.
        bar: What the bars of the classes are drawn with.
    """
    return [
        *_block("Files", _files(overview)),
        *_block("Columns", [_columns(overview)]),
        *_block("Task", [_task(overview)]),
        *_block("Splits", [_splits(overview)]),
        *_block(_LABELS[overview.task], _labels(overview, bar)),
        *_block("Lengths", _lengths(overview)),
        *_block("Checked", [_checked(overview)]),
        *_block("Warnings", _warnings(overview)),
        *_block("Floors", _floors(overview)),
        *_block("Metric", [f"{overview.metric}: {overview.why}"]),
    ]


def _block(name: str, lines: Sequence[str]) -> list[str]:
    """The lines, the first of them with the block's name."""
    return [f"{name if number == 0 else '':<{LEFT}}{line}" for number, line in enumerate(lines)]


def _files(overview: DataOverview) -> list[str]:
    return [
        f"{_inside(overview.source, each.place)}{f' ({each.written})' if each.written else ''}, "
        f"{counted(each.rows, 'row')}"
        for each in overview.files.values()
    ]


def _inside(source: str, words: str) -> str:
    """What is said of files in a folder, without the folder's name, which is known."""
    return words.replace(f"{source.rstrip('/')}/", "")


def _columns(overview: DataOverview) -> str:
    read = {overview.text_column, *overview.label_column.split(", ")}
    parts = overview.text_column.split(" + ")
    left = [
        shortened(name, 30) for name in overview.columns if name and name not in {*read, *parts}
    ]
    more = len(left) - _MOST_COLUMNS
    listed = ", ".join(left[:_MOST_COLUMNS]) + f" and {more} more" * (more > 0)
    text, label = shortened(overview.text_column), shortened(overview.label_column, 60)
    return f"texts {text}, labels {label}" + f"; not read: {listed}" * bool(left)


def _task(overview: DataOverview) -> str:
    task = f"{overview.task}: {_TASKS[overview.task]}"
    if overview.task == "regression":
        return f"{task} (data.task says so)"
    noun = "classes" if overview.task == "single_label" else "labels"
    numbers = overview.task == "single_label" and _are_numbers(overview.classes)
    other = '; data.task = "regression" would take them for numbers' * numbers
    return f"{task}, {len(overview.classes):,} {noun}{other}"


def _are_numbers(names: Sequence[str]) -> bool:
    """Whether there are several, in an order that classes do not have."""
    return len(names) > 2 and all(name.replace(".", "", 1).isdecimal() for name in names)


def _splits(overview: DataOverview) -> str:
    named = [f"{count:,} {_SPLITS[role]}" for role, count in overview.texts.items()]
    line = f"{', '.join(named[:-1])} and {named[-1]} texts"
    if overview.folds:
        line += f"; the training texts in {overview.folds} folds for validation"
    if overview.split_off:
        return f"{line}; {' and '.join(overview.split_off)} drawn from the training texts"
    return f"{line}, as given"


def _labels(overview: DataOverview, bar: str) -> list[str]:
    if overview.numbers:
        of = overview.numbers
        return [
            f"{of['min']:.6g} to {of['max']:.6g}, mean {of['mean']:.4g}, "
            f"standard deviation {of['std']:.4g}"
        ]
    counts, texts = overview.class_counts, overview.texts
    order = sorted(range(len(overview.classes)), key=lambda each: -counts["train"][each])
    shown = order
    if len(order) > _MOST_CLASSES:
        shown = [*order[: _MOST_CLASSES - 4], *order[-2:]]
    most = max(counts["train"])
    rows = []
    for number in shown:
        count = counts["train"][number]
        rows.append(
            [
                _shortened(printable(overview.classes[number])),
                _percent(count / texts["train"]),
                f"{bar * max(1, round(_BAR * count / most)):<{_BAR}}",
                *(f"{of_split[number]:,}" for of_split in counts.values()),
            ]
        )
    lines = list(_table(["", "", " " * _BAR, *counts], rows, left=(0, 2)))
    if len(shown) < len(order):
        lines.insert(-2, f"… {len(order) - len(shown):,} more …")
    return lines


def _lengths(overview: DataOverview) -> list[str]:
    lengths, whole = overview.lengths, sum(overview.texts.values())
    header = ["", "shortest", "median", "95 % within", "longest"]
    rows = [
        [name, *(f"{of[key]:,}" for key in ("shortest", "median", "percentile_95", "longest"))]
        for name, of in (("words", lengths.words), ("tokens", lengths.tokens))
    ]
    whose = f"tokens of the {lengths.tokenizer} model"
    if lengths.tokenizer == DEMO and overview.source != DEMO:
        whose += ", more than others make of these texts: name yours with --model"
    if lengths.texts < whole:
        whose += f"; a sample of {lengths.texts:,} texts"
    return [*_table(header, rows, left=(0,)), f"{_cut_in_words(lengths)}; {whose}"]


def _cut_in_words(lengths: Lengths) -> str:
    limit = f"max_length, {lengths.max_length} tokens"
    if not lengths.texts_cut:
        return f"none is cut at {limit}"
    share = lengths.texts_cut / lengths.texts
    verb = "is" if lengths.texts_cut == 1 else "are"
    much = " (data.max_length, data.keep)" * (share > _MUCH_CUT)
    return (
        f"{counted(lengths.texts_cut, 'text')} ({_percent(share)}) {verb} cut at {limit}, "
        f"{_percent(lengths.tokens_cut)} of all tokens{much}"
    )


def _checked(overview: DataOverview) -> str:
    facts = overview.facts
    empty = sum(each.empty for each in overview.files.values())
    shared = [
        f"{counted(count, 'text')} of {one} in {other} too"
        for pair, count in facts.shared.items()
        for one, other in [pair.split(", ")]
    ]
    copies = [f"{count:,} in {role}" for role, count in facts.copies.items() if count]
    clashing = counted(facts.clashing, "training text")
    return "; ".join(
        (
            counted(empty, "empty row") if empty else "no empty rows",
            *(shared or ["no text in two splits"]),
            f"exact copies: {', '.join(copies)}" if copies else "no copies",
            f"{clashing} with clashing labels" if facts.clashing else "no clashing labels",
        )
    )


def _warnings(overview: DataOverview) -> list[str]:
    more = len(overview.warnings) - _MOST_WARNINGS
    told = [_inside(overview.source, each) for each in overview.warnings[:_MOST_WARNINGS]]
    return [*told, f"… and {more} more, which --json lists"] if more > 0 else told


def _floors(overview: DataOverview) -> list[str]:
    floors = overview.floors
    model = {
        "single_label": "words alone: TF-IDF, logistic regression",
        "multi_label": "words alone: TF-IDF, logistic regressions",
        "regression": "words alone: TF-IDF, ridge regression",
    }[overview.task]
    rows = [
        [name, *(f"{score:.4f}" for score in scores.values())]
        for name, scores in (
            ("the same answer for every text", floors.same_answer),
            (model, floors.words),
        )
    ]
    where = f"on {floors.measured_on:,} validation texts" + " of the first fold" * (
        overview.folds > 0
    )
    lines = list(_table([where, *floors.same_answer], rows, left=(0,)))
    if not overview.folds and floors.trained_on < overview.texts["train"]:
        lines.append(f"fitted on a sample of {floors.trained_on:,} texts")
    if overview.task == "single_label" and floors.measured_on < _FEW_TEXTS:
        chance = _SURE / (2 * floors.measured_on**0.5)
        more = "; validation.folds reads more" * (not overview.folds)
        lines.append(f"an accuracy on so few may be off by {chance:.2f}{more}")
    return lines


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]
) -> Iterator[str]:
    """Lines with the cells of a column below each other, on the right but for those on the left."""
    widths = [max(map(_width, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        gaps = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = (
            cell + gap if at in left else gap + cell
            for at, (cell, gap) in enumerate(zip(row, gaps, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese and the like two each."""
    return len(text) + sum(east_asian_width(character) in "WF" for character in text)


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def _shortened(name: str) -> str:
    if _width(name) <= _LONGEST_NAME:
        return name
    short = name[:_LONGEST_NAME]
    while _width(short) >= _LONGEST_NAME:
        short = short[:-1]
    return f"{short}…"
