"""What a person sees: lines that fit a terminal, and scores with what they are to be held against."""

from __future__ import annotations

import io
import json

import pytest

from hpo.data.reading import Reading
from hpo.results.champion import Champion
from hpo.results.final_test import TestScore
from hpo.results.leaderboard import Counts, Entry
from hpo.results.noise import Noise
from hpo.runtime.finish import Summary
from hpo.terminal import print_summary
from hpo.tracking.registry import Registered
from hpo.wrapping import packed, wrapped


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


READING = Reading(
    source="reviews.csv",
    text_column="text",
    label_column="label",
    classes=("bad", "good"),
    class_counts={"train": (400, 400), "validation": (48, 52), "test": (52, 48)},
    split_off=("validation", "test"),
    max_length=256,
    texts_cut=0,
    tokens=9_000,
    tokens_cut=0,
    cut_from="end",
)
METRICS = {"accuracy": 0.52, "f1_macro": 0.3421, "mcc": 0.0}


def champion(confusion: tuple[tuple[int, ...], ...] = ((52, 0), (48, 0))) -> Champion:
    intervals = {name: (value - 0.1, value + 0.1) for name, value in METRICS.items()}
    return Champion(3, 0.6, TestScore(100, METRICS, intervals, confusion), "reviews", 1)


def summary(**changes: object) -> Summary:
    values: dict[str, object] = {
        "name": "reviews",
        "metric": "accuracy",
        "counts": Counts(complete=3, pruned=2, failed=0, running=0, waiting=0),
        "entries": [
            Entry(number, 0.6 - 0.01 * number, {"learning_rate": 1e-4}, 2.0, 8.0, None)
            for number in range(3)
        ],
        "importances": {},
        "importances_left_out": "3 complete trials are too few to tell (10 or more)",
        "noise": Noise(0.049, 2),
        "champion": champion(),
        "registered": Registered("models:/reviews@champion"),
        "study_url": "",
        "waiting_for_mlflow": 0,
        "reading": READING,
        "ensembles": {},
    }
    return Summary(**{**values, **changes})  # type: ignore[arg-type]


def printed(shown: Summary) -> str:
    stream = io.StringIO()
    print_summary(shown, stream)
    return stream.getvalue()


def test_every_score_stands_beside_that_of_the_same_answer_for_every_text() -> None:
    said = printed(summary()).splitlines()
    after_the_table = said[said.index("") + 1 :]
    assert "Always answering 'good', the largest class, would give accuracy 0.5200 there." in said
    assert "All 2 other complete trials lie within one standard error (0.049) of the best." in said
    assert (
        "Always answering 'bad', the largest class, would give accuracy 0.5200 and f1_macro 0.3421 there."
        in after_the_table
    )
    assert "Test f1_macro of trial 3: 0.3421 (95 % interval 0.2421 to 0.4421)" in said
    assert "Importances: not shown, for 3 complete trials are too few to tell (10 or more)" in said


def test_a_hopeless_champion_is_said_to_be_one_before_its_name() -> None:
    said = printed(summary()).splitlines()
    at = said.index("Champion: models:/reviews@champion")
    assert said[at - 3 : at] == [
        "Beware: the champion does not beat always answering 'bad', the largest class: test accuracy"
        " 0.5200 against 0.5200.",
        "Beware: the champion never answers 1 of the 2 classes of the test split ('good').",
        'Accuracy counts texts, not classes: with study.metric = "f1_macro", in a study of another'
        " name, every class counts the same.",
    ]


def test_programs_are_told_the_same() -> None:
    document = json.loads(json.dumps(summary().as_json()))
    assert document["champion"]["beats_baseline"] == "no"
    assert document["champion"]["never_answered"] == ["good"]
    assert document["champion"]["baseline"]["accuracy"] == 0.52
    assert len(document["champion"]["remarks"]) == 2
    assert document["baseline"]["validation"]["accuracy"] == 0.52
    assert document["noise"] == {"standard_error": 0.049, "near_best": 2}
    assert document["importances"] == {}
    assert "too few" in document["importances_left_out"]
    assert document["data"]["rows"] == {"train": 800, "validation": 100, "test": 100}


def test_a_study_of_which_nothing_was_noted_is_shown_as_far_as_it_is_known() -> None:
    said = printed(summary(reading=None, noise=None))
    assert "Test accuracy of trial 3: 0.5200" in said
    assert "always answering 'class 0', the largest class" in said
    document = summary(reading=None, noise=None).as_json()
    assert document["data"] is None
    assert document["champion"]["never_answered"] == ["class 1"]


def test_a_study_without_trials_has_nothing_to_be_held_against() -> None:
    nothing = summary(
        entries=[],
        champion=None,
        noise=None,
        counts=Counts(0, 0, 0, 0, 0),
        importances_left_out="x",
    )
    assert printed(nothing) == "\nStudy reviews: 0 finished trials (0 complete, 0 pruned)\n"


def test_one_trial_is_told_as_one_which_is_no_luckier_than_others() -> None:
    one = summary(counts=Counts(1, 0, 0, 0, 0), is_confirmed=False)
    assert "the best of many trials is also the luckiest" in printed(one)
    assert "Study reviews: 1 finished trial (1 complete, 0 pruned)" in printed(one)
    said = printed(summary(entries=one.entries[:1], noise=None, is_confirmed=False))
    assert "\nNot confirmed (confirm.seeds is 0).\n" in said


@pytest.mark.parametrize("width", [40, 80, 200])
def test_on_a_terminal_lines_break_between_words_and_never_beside_a_number(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    line = READING.in_words()
    broken = wrapped(line, Terminal())
    lines = broken.split("\n")
    assert all(len(each) < width for each in lines)
    assert " ".join(each.strip() for each in lines) == line
    assert not any(each.rstrip()[-1].isdigit() for each in lines[:-1])
    assert not any(each.strip()[0].isdigit() and "%" in each[:8] for each in lines[1:])
    assert wrapped(line, io.StringIO()) == line


def test_the_parameters_of_a_trial_stay_in_their_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    many = {"learning_rate": 0.00149, "batch_size": 16, "epochs": 5, "freeze_depth": 2}
    terminal = Terminal()
    print_summary(summary(entries=[Entry(29, 0.944, many, 5.0, 6.9, None)]), terminal)
    assert (
        "trial  accuracy  epochs  seconds  parameters\n"
        "   29    0.9440    5.00      6.9  learning_rate 0.00149,\n"
        "                                  batch_size 16, epochs 5,\n"
        "                                  freeze_depth 2\n"
    ) in terminal.getvalue()


def test_trials_at_work_are_not_broken_over_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = packed([f"#{number} 50% 0.8720" for number in range(9)]).splitlines()
    assert len(lines) > 1
    assert all(line.startswith("#") and line.endswith("0") and len(line) < 40 for line in lines)
