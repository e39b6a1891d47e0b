"""A card tells each label's scores, what is taken for what, and how far probabilities can be believed."""

from __future__ import annotations

from dataclasses import replace

from hpo.results.calibration import Bin, Calibration
from hpo.results.final_test import TestScore
from hpo.results.score_card import score_sections

SCORE = TestScore(
    texts=10,
    metrics={"accuracy": 0.7},
    intervals={"accuracy": (0.4, 0.9)},
    confusion=((4, 1), (2, 3)),
    calibration=Calibration(1.5, (Bin(10, 0.9, 0.7),), (Bin(10, 0.75, 0.7),)),
)


def sections(test: TestScore, names: tuple[str, ...]) -> list[str]:
    """The lines, without what keeps columns apart."""
    return [line.replace("&emsp;", "") for line in score_sections(test, names)]


def test_every_part_is_told() -> None:
    told = "\n".join(sections(SCORE, ("a|b", "good")))
    assert "| a\\|b | 5 | 0.6667 | 0.8000 | 0.7273 |" in told
    assert "| true \\ answered | a\\|b | good |\n|---|---|---|\n| a\\|b | 4 | 1 |" in told
    assert "Expected calibration error: 0.0500 (without temperature 1.5: 0.2000)." in told
    assert "divided by 1.5" in told


def test_what_there_is_not_is_not_told() -> None:
    several = replace(SCORE, confusion=(), label_counts=((5, 4, 3),), calibration=None)
    assert sections(several, ("good",)) == [
        "",
        "| label | texts | precision | recall | F1 |",
        "|---|---|---|---|---|",
        "| good | 5 | 0.7500 | 0.6000 | 0.6667 |",
    ]
    numbers = replace(SCORE, confusion=(), calibration=None)
    assert sections(numbers, ("stars",)) == []
