"""The parts of a model card say what that model answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.results.card import how_to_call, purpose
from hpo.results.final_test import TestScore
from tests.model.tiny_gpt2 import tiny

ANSWERS = {
    "single_label_classification": "a label and the probability of each class",
    "multi_label_classification": "the labels and the probability of each label",
    "regression": "a number",
}


@pytest.mark.parametrize("problem_type", ANSWERS)
def test_each_task_has_calls_that_give_all_it_answers(tmp_path: Path, problem_type: str) -> None:
    card = how_to_call("study", 32, tiny(tmp_path).tokenizer, problem_type=problem_type)
    assert f"classify(texts)  # {ANSWERS[problem_type]} for every text" in card
    several = problem_type == "multi_label_classification"
    assert (", top_k=None)" in card, "`thresholds`" in card) == (several, several)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (TestScore(2, {}, {}, ((1, 0), (0, 1))), "tell 2 classes apart (a, b)"),
        (TestScore(2, {}, {}, (), {}, ((1, 1, 1), (1, 0, 0))), "find which of 2 labels a text has"),
        (TestScore(2, {}, {}, ()), "give a text a number"),
    ],
)
def test_a_model_is_said_to_do_what_it_was_tested_in(score: TestScore, expected: str) -> None:
    assert purpose(score, ("a", "b")).startswith(expected)
