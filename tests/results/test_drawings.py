"""Figures are whole SVG documents that say what they show."""

from __future__ import annotations

import math
import time
from xml.etree import ElementTree

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpo.results.drawings import _ticks, draw_confusion, draw_curves


def texts(drawing: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(drawing).iter() if e.tag.endswith("text")]


def test_a_confusion_matrix_shows_counts_shares_and_labels() -> None:
    matrix = np.array([[180, 20], [50, 150]])
    shown = texts(draw_confusion(matrix, ["<bad>", "good & new"], "Confusion", "trial 7"))
    assert {"180", "20", "50", "150", "90.0%", "75.0%", "<bad>", "good & new", "trial 7"} <= {
        *shown
    }


def test_many_classes_with_long_names_still_make_a_figure() -> None:
    names = [f"a class with quite a long name {index}" for index in range(60)]
    drawing = draw_confusion(np.eye(60, dtype=np.int64), names, "Confusion")
    assert "a class with quit…" in texts(drawing)
    assert len(drawing) < 1_500_000


def test_a_class_without_texts_is_no_division_by_zero() -> None:
    assert "0.0%" in texts(draw_confusion(np.zeros((2, 2), np.int64), ["a", "b"], "Confusion"))


def test_learning_curves_have_a_line_and_a_name_each() -> None:
    curves = {"trial 3": [(0.5, 0.7), (1.0, 0.8)], "trial 1": [(0.5, 0.6)], "trial 2": []}
    drawing = draw_curves(curves, "Curves", x_label="epochs", y_label="accuracy")
    lines = [e for e in ElementTree.fromstring(drawing).iter() if e.tag.endswith("polyline")]
    assert len(lines) == 3
    assert {*curves, "epochs", "accuracy"} <= {*texts(drawing)}


def test_values_that_are_no_numbers_are_left_out() -> None:
    drawing = draw_curves(
        {"a": [(1, math.nan), (2, math.inf), (3, 1.0)]}, "", x_label="", y_label=""
    )
    assert "nan" not in drawing
    assert "inf" not in drawing


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_ticks_cover_what_is_shown(low: float, span: float) -> None:
    ticks = _ticks(low, low + span)
    slack = 1e-6 * max(1.0, abs(low), span)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + span - slack
    assert 2 <= len(ticks) <= 14
    assert ticks == sorted(set(ticks))


def test_a_figure_costs_a_trial_no_time() -> None:
    matrix = np.array([[180, 20], [50, 150]])
    begun = time.perf_counter()
    for _ in range(20):
        draw_confusion(matrix, ["a", "b"], "Confusion")
    assert (time.perf_counter() - begun) / 20 < 0.02
