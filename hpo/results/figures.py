"""Figures as SVG text: sharp at any size, a few kilobytes, and drawn in a millisecond, so that a trial can
afford one. Matplotlib takes a second to import and a fifth of one for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito, 2008: told apart with any kind of colour vision.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#000000")
_FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
_INK, _FAINT, _GRID = "#1f2933", "#616e7c", "#e4e7eb"
_LONGEST_LABEL = 18
_MOST_CLASSES_WITH_NUMBERS = 20


def confusion_figure(
    confusion: NDArray[np.int64], label_names: Sequence[str], title: str, subtitle: str = ""
) -> str:
    """A confusion matrix. confusion: (classes, classes), true labels in rows.

    The shade of a cell is its share of the row, so that a rare class is seen as well as a common one.
    """
    classes = len(label_names)
    cell = min(96, max(14, 520 // classes))
    size = cell * classes
    names = [_short(name) for name in label_names]
    left = 56 + max(60, 7 * max(len(name) for name in names))
    numbers = classes <= _MOST_CLASSES_WITH_NUMBERS
    tilted = 7 * max(len(name) for name in names) > cell
    below = 30 + (7 * max(len(name) for name in names) * 0.7 if tilted else 0)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    top = 76
    parts = _heading(title, subtitle)
    x: float
    for row in range(classes):
        y: float = top + row * cell
        parts.append(_text(left - 10, y + cell / 2 + 4, names[row], anchor="end"))
        for column in range(classes):
            share = float(shares[row, column])
            x = left + column * cell
            parts.append(
                f"<rect x='{x}' y='{y}' width='{cell}' height='{cell}' fill='{_shade(share)}' "
                f"stroke='white'><title>{escape(label_names[row])} taken for "
                f"{escape(label_names[column])}: {int(confusion[row, column])} ({share:.1%})</title></rect>"
            )
            if numbers:
                ink = "white" if share > 0.5 else _INK
                middle = x + cell / 2
                parts.append(
                    _text(
                        middle,
                        y + cell / 2 + (0 if cell > 50 else 4),
                        f"{int(confusion[row, column])}",
                        colour=ink,
                        size=15 if cell > 50 else 10,
                    )
                )
                if cell > 50:
                    parts.append(
                        _text(middle, y + cell / 2 + 18, f"{share:.1%}", colour=ink, size=11)
                    )
    for column in range(classes):
        x, y = left + column * cell + cell / 2, top + size + 18
        parts.append(
            _text(x, y, names[column], anchor="end", turn=-40)
            if tilted
            else _text(x, y, names[column])
        )
    middle = top + size / 2
    parts.append(_text(20, middle, "true label", colour=_FAINT, turn=-90))
    parts.append(_text(left + size / 2, top + size + below + 14, "predicted label", colour=_FAINT))
    return _drawing(max(left + size + 40, 460), top + size + below + 30, parts)


def curves_figure(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    *,
    x_label: str,
    y_label: str,
    subtitle: str = "",
) -> str:
    """Lines over a common axis, one for each name, the first drawn strongest. curves: (x, y) by name."""
    points = {
        name: [(x, y) for x, y in line if math.isfinite(x) and math.isfinite(y)]
        for name, line in curves.items()
    }
    every = [point for line in points.values() for point in line] or [(0.0, 0.0)]
    left, top, width, height = 76.0, 76.0, 560.0, 320.0
    x_ticks = _ticks(0.0, max(x for x, _ in every))
    y_ticks = _ticks(min(y for _, y in every), max(y for _, y in every))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return left + across * width, top + (1 - up) * height

    parts = _heading(title, subtitle)
    for tick in y_ticks:
        y = place(x_ticks[0], tick)[1]
        parts.append(_line(left, y, left + width, y, _GRID))
        parts.append(_text(left - 8, y + 4, _number(tick), anchor="end", colour=_FAINT))
    for tick in x_ticks:
        x = place(tick, y_ticks[0])[0]
        parts.append(_text(x, top + height + 20, _number(tick), colour=_FAINT))
    parts.append(_line(left, top + height, left + width, top + height, _FAINT))
    for index, (name, line) in reversed(list(enumerate(points.items()))):
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        strength = "2.6" if index == 0 else "1.6"
        parts.append(
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{strength}' "
            f"stroke-linejoin='round'><title>{escape(name)}</title></polyline>"
        )
        if len(line) == 1:
            x, y = place(*line[0])
            parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{colour}'/>")
    for index, name in enumerate(points):
        y = top + 10 + 22 * index
        colour = COLOURS[index % len(COLOURS)]
        parts.append(
            f"<rect x='{left + width + 20}' y='{y - 6}' width='18' height='4' fill='{colour}'/>"
        )
        parts.append(_text(left + width + 46, y, name, anchor="start"))
    parts.append(_text(left + width / 2, top + height + 44, x_label, colour=_FAINT))
    parts.append(_text(20, top + height / 2, y_label, colour=_FAINT, turn=-90))
    legend = 60 + 7.2 * max((len(name) for name in points), default=0)
    tall = max(height, 22.0 * len(points))
    return _drawing(left + width + legend + 24, top + tall + 64, parts)


def _drawing(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' "
        f"viewBox='0 0 {width:.0f} {height:.0f}' {_FONT}>"
        # A ground of its own: both UIs have a dark side.
        "<rect width='100%' height='100%' fill='white'/>" + "".join(parts) + "</svg>\n"
    )


def _heading(title: str, subtitle: str) -> list[str]:
    parts = [_text(24, 34, title, anchor="start", size=17, weight=600)]
    if subtitle:
        parts.append(_text(24, 55, subtitle, anchor="start", size=12.5, colour=_FAINT))
    return parts


def _text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "middle",
    size: float = 12.5,
    colour: str = _INK,
    weight: int = 400,
    turn: int = 0,
) -> str:
    turned = f" transform='rotate({turn} {x:.1f} {y:.1f})'" if turn else ""
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-size='{size}' fill='{colour}' "
        f"font-weight='{weight}'{turned}>{escape(words)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}'/>"


def _shade(share: float) -> str:
    """From almost white to a deep blue."""
    low, high = (241, 246, 251), (8, 72, 135)
    mixed = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about six of them."""
    span = high - low
    if not math.isfinite(span) or span <= 1e-9 * max(abs(low), abs(high), 1e-3):
        low, span = low - 0.5, 1.0
        high = low + span
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"
