"""Which validation texts are told of a champion: hand-made cases of each task, and what holds of all."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpo.data.labelled import Split
from hpo.results.hard_texts import HardTexts, beginning, hard_texts
from hpo.tasks import task_named
from hpo.tasks.multi_label import MultiLabel
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.tasks.task import Task
from hpo.tasks.temperature import tempered

NAMES = ("bad", "good", "mixed")


def told(task: Task, answers: Any, labels: Any, count: int = 10) -> HardTexts:
    scores, truth = np.array(answers, np.float32), np.array(labels)
    texts = tuple(f"text {index}" for index in range(len(truth)))
    rows = np.arange(len(truth)) + 2
    split = Split(texts, truth, rows, "reviews.csv", "line")
    found = hard_texts(task, scores, split, NAMES, count=count, source={"trials": [3]})
    assert HardTexts.from_json(json.loads(json.dumps(found.as_json()))) == found
    return found


def test_of_one_label_a_text_the_sure_wrong_ones_and_the_nearest_calls() -> None:
    answers = [[0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.4, 0.35, 0.25], [0.2, 0.7, 0.1]]
    found = told(SINGLE_LABEL, answers, [1, 2, 0, 1])
    assert [(each.row, each.true, each.answer) for each in found.surely_wrong] == [
        (2, "good", "bad"),
        (3, "mixed", "bad"),
    ]
    assert [each.row for each in found.undecided] == [4, 5]
    assert (found.wrong, found.texts) == (2, 4)


def test_of_several_labels_a_text_the_label_counts_that_is_most_surely_wrong() -> None:
    task = MultiLabel(thresholds=(0.5, 0.5, 0.1))
    answers = [[0.9, 0.2, 0.05], [0.8, 0.4, 0.01], [0.01, 0.02, 0.09]]
    found = told(task, answers, np.float32([[1, 1, 0], [0, 0, 1], [0, 0, 0]]))
    (first, second) = found.surely_wrong
    assert (first.row, first.label, first.true, first.answer) == (3, "mixed", "mixed", "bad")
    assert (second.row, second.label, second.answer) == (2, "good", "bad")
    (near,) = found.undecided
    assert (near.label, near.true, near.answer) == ("mixed", "none", "none")


def test_of_numbers_the_largest_errors() -> None:
    found = told(task_named("regression"), [[1.0], [5.0], [2.0]], np.float32([1, 3, 7]), count=2)
    assert [(each.true, each.answer, each.sure) for each in found.surely_wrong] == [
        ("7", "2", -5.0),
        ("3", "5", 2.0),
    ]
    assert found.wrong is None
    assert found.undecided == ()


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 2)), min_size=1), st.integers(1, 12))
def test_no_text_is_told_twice_and_nothing_is_surer_than_what_is_told(
    drawn: list[tuple[int, int]], count: int
) -> None:
    sure = np.array([place for place, _ in drawn]) / 100
    answers = np.stack([sure, (1 - sure) / 3, (1 - sure) * 2 / 3], axis=1)
    labels = np.array([label for _, label in drawn])
    task = SINGLE_LABEL.tempered(1.7)
    found = told(task, answers, labels, count)
    rows = [each.row for each in (*found.surely_wrong, *found.undecided)]
    assert len(set(rows)) == len(rows) <= 2 * count
    served = tempered(answers.astype(np.float32), 1.7, one_class=True)
    wrong = np.flatnonzero(served.argmax(1) != labels)
    assert found.wrong == len(wrong)
    assert [each.sure for each in found.surely_wrong] == sorted(served[wrong].max(1))[::-1][:count]


@given(st.text())
def test_a_text_is_one_line_of_bounded_length(text: str) -> None:
    line = beginning(text)
    assert len(line) <= 300
    assert len(line.splitlines()) <= 1
    assert line.rstrip("…") in " ".join(text.split())
