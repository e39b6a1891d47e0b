from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from hpo.results.appraisal import appraise, card_section, second_metric
from hpo.results.final_test import TestScore
from hpo.spec.study import Metric
from hpo.tasks.constant import same_answer
from hpo.tasks.metrics import classification_metrics, confusion
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.scorer import metrics_for

METRICS: tuple[Metric, ...] = metrics_for("single_label")
NAMES = ("earn", "acq", "crude", "trade", "grain", "ship", "interest", "money")
COUNTS = (520, 300, 60, 40, 30, 20, 20, 10)


def score(labels: list[int], answers: list[int], classes: int, width: float = 0.0) -> TestScore:
    """The test of a classifier that is sure of its answers; width: of each half of the intervals."""
    probabilities = np.full((len(labels), classes), 0.01 / (classes - 1), np.float32)
    probabilities[np.arange(len(labels)), answers] = 0.99
    metrics = classification_metrics(probabilities, np.array(labels))
    cells = confusion(probabilities, np.array(labels)).tolist()
    return TestScore(
        texts=len(labels),
        metrics=metrics,
        intervals={name: (value - width, value + width) for name, value in metrics.items()},
        confusion=tuple(tuple(row) for row in cells),
    )


def texts(counts: tuple[int, ...]) -> list[int]:
    return [number for number, count in enumerate(counts) for _ in range(count)]


def test_a_champion_that_always_answers_the_same_is_said_not_to_beat_it() -> None:
    labels = texts(COUNTS)
    appraisal = appraise(score(labels, [0] * len(labels), 8), "accuracy", NAMES)
    assert appraisal.beats == "no"
    assert appraisal.never_answered == NAMES[1:]
    assert appraisal.remarks == (
        "the champion does not beat always answering 'earn', the largest class: test accuracy"
        " 0.5200 against 0.5200",
        "the champion never answers 7 of the 8 classes of the test split ('acq', 'crude', 'trade',"
        " …)",
    )
    assert appraisal.hint is not None
    assert 'study.metric = "f1_macro"' in appraisal.hint


def test_a_good_accuracy_with_classes_that_are_never_found_is_no_good_champion() -> None:
    labels = texts(COUNTS)
    answers = [label if label < 2 else 0 for label in labels]
    found = score(labels, answers, 8)
    assert found.metrics["accuracy"] == pytest.approx(0.82)
    appraisal = appraise(found, "accuracy", NAMES)
    assert appraisal.beats == "yes"
    (remark,) = appraisal.remarks
    assert remark.startswith("the champion never answers 6 of the 8 classes")
    assert appraisal.hint is not None


def test_a_gain_within_the_interval_is_no_gain() -> None:
    labels = [0] * 50 + [1] * 50
    answers = [0] * 48 + [1] * 2 + [0] * 42 + [1] * 8
    found = score(labels, answers, 2, width=0.1)
    appraisal = appraise(found, "accuracy", ("bad", "good"))
    assert appraisal.beats == "unclear"
    assert appraisal.remarks == (
        "the champion cannot be told from always answering 'bad', the largest class: test accuracy"
        " 0.5600 against 0.5000, which lies in its 95 % interval",
    )
    assert appraisal.hint is None  # the classes are even, and each is answered


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_champion_is_beyond_doubt_and_a_constant_one_never(metric: Metric) -> None:
    labels = texts(COUNTS)
    perfect = appraise(score(labels, labels, 8), metric, NAMES)
    assert (perfect.beats, perfect.never_answered, perfect.remarks) == ("yes", (), ())
    constant = appraise(score(labels, [0] * len(labels), 8), metric, NAMES)
    assert constant.beats == "no"
    assert constant.remarks
    assert (constant.hint is not None) == (metric == "accuracy")


def test_a_class_that_the_test_split_lacks_need_not_be_answered() -> None:
    labels = [0, 0, 1, 1]
    assert appraise(score(labels, labels, 3), "accuracy", ("a", "b", "c")).never_answered == ()


def test_a_champion_whose_class_names_are_not_known_is_judged_all_the_same() -> None:
    labels = [0, 0, 0, 1]
    appraisal = appraise(score(labels, [0] * 4, 2), "accuracy", ())
    assert appraisal.never_answered == ("class 1",)


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_the_second_metric_is_another(task: str) -> None:
    known = metrics_for(task)
    for metric in known:
        assert second_metric(metric, known) in set(known) - {metric}


def labelled(never: bool) -> TestScore:
    """The test of a classifier of several labels a text; never: it does not give the last."""
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]] * 10, np.float32)
    answers = labels * np.array([1, 1, not never], np.float32)
    metrics = MULTI_LABEL.metrics(answers, labels)
    return TestScore(
        texts=40,
        metrics=metrics,
        intervals={name: (value, value) for name, value in metrics.items()},
        confusion=(),
        baseline=same_answer(MULTI_LABEL, labels, ("a", "b", "c")),
        label_counts=((20, 20, 20), (10, 10, 10), (10, 0 if never else 10, 0 if never else 10)),
    )


def test_a_label_that_is_never_given_is_named() -> None:
    good = appraise(labelled(never=False), "f1_macro", ("a", "b", "c"))
    assert (good.beats, good.never_answered, good.remarks) == ("yes", (), ())
    poor = appraise(labelled(never=True), "f1_macro", ("a", "b", "c"))
    assert poor.never_answered == ("c",)
    assert poor.remarks == ("the champion never answers 1 of the 3 labels of the test split ('c')",)


def test_a_test_score_comes_back_from_json_as_it_was() -> None:
    for score_of in (labelled(never=True), score([0, 1, 1], [0, 1, 0], 2)):
        document = json.loads(json.dumps(asdict(score_of)))
        assert TestScore.from_json(document) == score_of
    earlier = {key: document[key] for key in ("texts", "metrics", "intervals", "confusion")}
    assert TestScore.from_json(earlier).by_label == score_of.by_label == ((1, 2, 1), (2, 1, 1))


def test_numbers_that_are_no_better_than_their_mean_do_not_beat_it() -> None:
    labels = np.arange(10, dtype=np.float32)
    metrics = REGRESSION.metrics(np.full((10, 1), 4.5, np.float32), labels)
    test = TestScore(
        texts=10,
        metrics=metrics,
        intervals={name: (value, value) for name, value in metrics.items()},
        confusion=(),
        baseline=same_answer(REGRESSION, labels, ("stars",)),
    )
    appraisal = appraise(test, "rmse", ("stars",))
    assert appraisal.beats == "no"
    (remark,) = appraisal.remarks
    assert remark.startswith("the champion does not beat the best same answer for every text: test")


def test_the_model_card_warns_of_a_hopeless_champion_and_of_no_other() -> None:
    labels = texts(COUNTS)
    good = "\n".join(card_section(score(labels, labels, 8), "accuracy", NAMES))
    assert "Always answering 'earn', the largest class, would give accuracy 0.5200" in good
    assert "Beware" not in good
    bad = "\n".join(card_section(score(labels, [0] * len(labels), 8), "accuracy", NAMES))
    assert "**Beware:** the champion does not beat" in bad
    assert "**Beware:** the champion never answers 7 of the 8 classes" in bad
    assert 'study.metric = "f1_macro"' in bad
