from __future__ import annotations

from hpo.data.reading import Reading
from hpo.results.baseline import baseline_in, baseline_of_classes


def test_what_a_constant_answer_gives_is_said_in_words() -> None:
    metrics = ("accuracy", "f1_macro")
    assert baseline_of_classes((50, 30), ("bad", "good"), metrics).in_words(metrics) == (
        "Always answering 'bad', the largest class, would give accuracy 0.6250 and f1_macro 0.3846 there."
    )
    assert baseline_of_classes((50, 50), ("bad", "good"), ()).in_words(("log_loss",)) == (
        "Answering with the shares of the classes alone would give log_loss 0.6931 there."
    )


def test_of_several_labels_a_text_it_is_what_the_reading_says() -> None:
    reading = Reading(
        source="films.jsonl",
        text_column="text",
        label_column="label",
        classes=("joy", "love"),
        class_counts={"train": (30, 50), "validation": (4, 6), "test": (5, 5)},
        split_off=(),
        max_length=256,
        texts_cut=0,
        tokens=1_000,
        tokens_cut=0,
        cut_from="end",
        task="multi_label",
        texts={"train": 60, "validation": 8, "test": 9},
        baselines={"validation": {"f1_micro": 0.5}, "test": {"f1_micro": 0.4}},
    )
    found = baseline_in(reading, "validation", ["f1_micro"])
    assert (found.texts, tuple(found.counts)) == (8, (4, 6))
    assert found.in_words(["f1_micro"]) == (
        "The best same answer for every text would give f1_micro 0.5000 there."
    )
