"""Drawings as SVG text: sharp at any size, a few kilobytes, and cheap enough for every trial to have one.

Matplotlib takes a second to import and a fifth of one for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito, 2008: told apart with any kind of colour vision.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#000000")
_FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'"
_INK, _FAINT, _GRID = "#1f2933", "#616e7c", "#e4e7eb"
_LETTER = 7  # pixels that a letter takes, about
_LEGEND_LINE = 22
_LONGEST_LABEL = 18
_MOST_CLASSES_WITH_NUMBERS = 20


def draw_confusion(
    confusion: NDArray[np.int64], label_names: Sequence[str], title: str, subtitle: str = ""
) -> str:
    """A confusion matrix.

    The shade of a cell is its share of the row, so that a rare class is seen as well as a common one.

    Args:
        confusion: (classes, classes), true labels in rows.
    """
    classes = len(label_names)
    cell = min(96, max(14, 520 // classes))
    size = cell * classes
    names = [_short(name) for name in label_names]
    widest = _LETTER * max(len(name) for name in names)
    left, top = 56 + max(60, widest), 76
    tilted = widest > cell
    below = 30 + (widest * 0.7 if tilted else 0)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    parts = _heading(title, subtitle)
    for row, column in np.ndindex(classes, classes):
        count, share = int(confusion[row, column]), float(shares[row, column])
        x, y = left + column * cell, top + row * cell
        words = f"{label_names[row]} taken for {label_names[column]}: {count} ({share:.1%})"
        parts.append(_cell(x, y, cell, share, words))
        if classes <= _MOST_CLASSES_WITH_NUMBERS:
            parts += _cell_numbers(x, y, cell, count, share)
    for index, name in enumerate(names):
        middle = (index + 0.5) * cell
        parts.append(_text(left - 10, top + middle + 4, name, anchor="end"))
        parts.append(_column_name(left + middle, top + size + 18, name, tilted))
    parts.append(_text(20, top + size / 2, "true label", colour=_FAINT, turn=-90))
    parts.append(_text(left + size / 2, top + size + below + 14, "predicted label", colour=_FAINT))
    return _drawing(max(left + size + 40, 460), top + size + below + 30, parts)


def draw_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    title: str,
    *,
    x_label: str,
    y_label: str,
    subtitle: str = "",
) -> str:
    """Lines over a common axis, one for each name, the first drawn strongest.

    Args:
        curves: (x, y) by name.
    """
    points = {
        name: [(x, y) for x, y in line if math.isfinite(x) and math.isfinite(y)]
        for name, line in curves.items()
    }
    every = [point for line in points.values() for point in line] or [(0.0, 0.0)]
    plot = _Plot(
        _ticks(0.0, max(x for x, _ in every)),
        _ticks(min(y for _, y in every), max(y for _, y in every)),
    )
    parts = _heading(title, subtitle) + _axes(plot, x_label, y_label)
    # The first last, so that no other covers it.
    for index, (name, line) in reversed(list(enumerate(points.items()))):
        parts += _curve(plot, line, name, index)
    for index, name in enumerate(points):
        parts += _legend_entry(plot, name, index)
    legend = 84 + 7.2 * max((len(name) for name in points), default=0)
    tall = max(plot.height, _LEGEND_LINE * len(points))
    return _drawing(plot.left + plot.width + legend, plot.top + tall + 64, parts)


def _cell(x: float, y: float, side: float, share: float, words: str) -> str:
    """A cell of a confusion matrix, with words for the pointer that rests on it."""
    return (
        f"<rect x='{x}' y='{y}' width='{side}' height='{side}' fill='{_shade(share)}' "
        f"stroke='white'><title>{escape(words)}</title></rect>"
    )


def _cell_numbers(x: float, y: float, side: float, count: int, share: float) -> list[str]:
    """The count of a cell and, where there is room, its share of the row."""
    ink = "white" if share > 0.5 else _INK
    across, down = x + side / 2, y + side / 2
    if side <= 50:
        return [_text(across, down + 4, f"{count}", colour=ink, size=10)]
    return [
        _text(across, down, f"{count}", colour=ink, size=15),
        _text(across, down + 18, f"{share:.1%}", colour=ink, size=11),
    ]


def _column_name(x: float, y: float, name: str, tilted: bool) -> str:
    return _text(x, y, name, anchor="end", turn=-40) if tilted else _text(x, y, name)


@dataclass(frozen=True)
class _Plot:
    """Where curves are drawn, in pixels, and the ticks that span it."""

    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    left: float = 76.0
    top: float = 76.0
    width: float = 560.0
    height: float = 320.0

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A point of the curves in pixels."""
        across = (x - self.x_ticks[0]) / (self.x_ticks[-1] - self.x_ticks[0])
        up = (y - self.y_ticks[0]) / (self.y_ticks[-1] - self.y_ticks[0])
        return self.left + across * self.width, self.top + (1 - up) * self.height


def _axes(plot: _Plot, x_label: str, y_label: str) -> list[str]:
    right, bottom = plot.left + plot.width, plot.bottom
    parts = []
    for tick in plot.y_ticks:
        y = plot.place(plot.x_ticks[0], tick)[1]
        parts.append(_line(plot.left, y, right, y, _GRID))
        parts.append(_text(plot.left - 8, y + 4, _number(tick), anchor="end", colour=_FAINT))
    for tick in plot.x_ticks:
        x = plot.place(tick, plot.y_ticks[0])[0]
        parts.append(_text(x, bottom + 20, _number(tick), colour=_FAINT))
    parts.append(_line(plot.left, bottom, right, bottom, _FAINT))
    parts.append(_text(plot.left + plot.width / 2, bottom + 44, x_label, colour=_FAINT))
    parts.append(_text(20, plot.top + plot.height / 2, y_label, colour=_FAINT, turn=-90))
    return parts


def _curve(plot: _Plot, line: Sequence[tuple[float, float]], name: str, index: int) -> list[str]:
    """A line, or a dot where it has one point only."""
    colour = _colour(index)
    places = [plot.place(*point) for point in line]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    strength = "2.6" if index == 0 else "1.6"
    parts = [
        f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{strength}' "
        f"stroke-linejoin='round'><title>{escape(name)}</title></polyline>"
    ]
    if len(places) == 1:
        x, y = places[0]
        parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{colour}'/>")
    return parts


def _legend_entry(plot: _Plot, name: str, index: int) -> list[str]:
    x, y = plot.left + plot.width + 20, plot.top + 10 + _LEGEND_LINE * index
    return [
        f"<rect x='{x}' y='{y - 6}' width='18' height='4' fill='{_colour(index)}'/>",
        _text(x + 26, y, name, anchor="start"),
    ]


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


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
