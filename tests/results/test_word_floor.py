"""The floor that words alone give: better than the same answer, the same each time, of every task."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hpo.data.labelled import Labels, Split
from hpo.results import word_floor as module
from hpo.results.word_floor import word_floor
from hpo.tasks import task_named
from hpo.tasks.constant import same_answer

WORDS = ("good", "fine", "bad", "poor", "很好", "差")
NAMES = {"single_label": ("bad", "good"), "multi_label": ("bad", "good"), "regression": ("stars",)}


def split(task: str, texts: int, seed: int) -> Split:
    """Texts of filler with words that say the label."""
    chosen = random.Random(seed)
    signs = [chosen.choice(WORDS) for _ in range(texts)]
    filler = [" ".join(chosen.choices(("the", "film", "was", "so"), k=8)) for _ in range(texts)]
    good = np.array([sign in ("good", "fine", "很好") for sign in signs])
    labels: Labels = good.astype(np.int64)
    if task == "multi_label":
        labels = np.stack([~good, good], axis=1).astype(np.float32)
    if task == "regression":
        labels = np.where(good, 5.0, 1.0).astype(np.float32)
    return Split(tuple(f"{a} {b}!" for a, b in zip(filler, signs, strict=True)), labels)


@pytest.mark.parametrize(
    ("task", "metric"),
    [("single_label", "accuracy"), ("multi_label", "f1_micro"), ("regression", "r2")],
)
def test_words_that_tell_are_found(task: str, metric: str) -> None:
    train, validation = split(task, 300, 0), split(task, 100, 1)
    floor = word_floor(train, validation, task_named(task), NAMES[task], [metric])
    same = same_answer(task_named(task), validation.labels, NAMES[task], [metric])
    assert floor.scores[metric] > 0.95 > same[metric]
    assert (floor.trained_on, floor.measured_on) == (300, 100)
    assert floor == word_floor(train, validation, task_named(task), NAMES[task], [metric])


def test_of_many_texts_a_sample_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TEXTS", 50)
    train, validation = split("single_label", 300, 0), split("single_label", 100, 1)
    floor = word_floor(train, validation, task_named("single_label"), ("bad", "good"), [])
    assert (floor.trained_on, floor.measured_on) == (50, 50)
    assert floor.scores["accuracy"] > 0.8


def test_many_classes_are_told_apart_too() -> None:
    classes = np.arange(1500) % 300
    texts = tuple(f"text {number} of c{label}" for number, label in enumerate(classes))
    names = [f"c{label}" for label in range(300)]
    train, validation = Split(texts[:1200], classes[:1200]), Split(texts[1200:], classes[1200:])
    floor = word_floor(train, validation, task_named("single_label"), names, [])
    assert floor.scores["accuracy"] > 0.95


def test_texts_without_words_and_a_class_that_training_lacks_are_survived() -> None:
    train = Split(("!", "…", "-", "?"), np.array([0, 0, 2, 2]))
    validation = Split(("!", "?"), np.array([1, 2]))
    floor = word_floor(train, validation, task_named("single_label"), ("a", "b", "c"), [])
    assert 0 <= floor.scores["accuracy"] <= 0.5
    alone = Split(("one", "two"), np.array([1, 1]))
    floor = word_floor(alone, validation, task_named("single_label"), ("a", "b", "c"), [])
    assert floor.scores["accuracy"] == 0.5
