"""What data are understood to be before any study: their task, floors, the metric that suits, in few lines."""

from __future__ import annotations

import io
import json
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest

from hpo.runtime.data_overview import DataOverview, overview_of
from hpo.runtime.overview_in_words import LEFT, in_words
from hpo.spec.study_file import find_study_file, read_study
from hpo.wrapping import wrapped

Row = tuple[str, object]


class Terminal(io.StringIO):
    """Of 80 columns."""

    def isatty(self) -> bool:
        return True


def overview(source: Path | str, **keys: object) -> DataOverview:
    """Of the data, with other keys of the study, `data__task` for `data.task`."""
    told: list[str] = []
    named = {key.replace("__", "."): value for key, value in keys.items()}
    spec = read_study(find_study_file("quickstart"), {"data.source": str(source), **named})
    found = overview_of(spec, told.append)
    assert [doing.partition(" ")[0] for doing in told] == ["reading", "counting", "fitting"]
    assert json.loads(json.dumps(found.as_json()))["task"] == found.task
    return found


def written(path: Path, rows: Sequence[Row]) -> Path:
    """Rows of text and label, one JSON object a line."""
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def rows_of(labels: Sequence[object], count: int = 200, seed: int = 0) -> list[Row]:
    """Texts that each say their label among other words."""
    chosen = random.Random(seed)
    drawn = [chosen.choice(labels) for _ in range(count)]
    return [(f"number {number} is about {label}", label) for number, label in enumerate(drawn)]


def shown(found: DataOverview, name: str) -> str:
    """The lines of a block, in one."""
    lines, begun = [], False
    for line in in_words(found):
        begun = line.startswith(name) if line[:1].strip() else begun
        lines += [line] if begun else []
    return "\n".join(lines)


def test_an_unbalanced_one_gets_a_metric_that_does_not_mislead(tmp_path: Path) -> None:
    found = overview(written(tmp_path / "a.jsonl", rows_of(["ham"] * 9 + ["spam"])))
    assert found.task == "single_label"
    assert found.metric == "f1_macro"
    assert found.floors.same_answer["accuracy"] > 0.8 > 0.5 > found.floors.same_answer["f1_macro"]
    assert "of the training texts are 'ham'" in found.why
    balanced = overview(written(tmp_path / "a.jsonl", rows_of(["ham", "spam"])))
    assert balanced.metric == "accuracy"


def test_the_metric_of_the_study_is_kept_unless_it_is_none_for_the_labels(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", rows_of(["ham"] * 9 + ["spam"]))
    assert overview(path, study__metric="mcc").metric == "mcc"
    assert "mcc" in overview(path, study__metric="mcc").floors.words
    found = overview(path, study__metric="rmse")
    assert found.metric == "f1_macro"


def test_several_labels_a_text_are_known_for_what_they_are(tmp_path: Path) -> None:
    rows = [(text, [label, "all"]) for text, label in rows_of(["joy", "anger", "fear"])]
    found = overview(written(tmp_path / "a.jsonl", rows))
    assert found.task == "multi_label"
    assert found.metric == "f1_micro"
    assert found.classes == ("all", "anger", "fear", "joy")
    assert found.floors.words["f1_micro"] > 0.9
    assert "100.0%" in shown(found, "Labels")


def test_numbers_are_classes_unless_the_study_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", rows_of([1, 2, 3, 4, 5]))
    classes, numbers = overview(path), overview(path, data__task="regression")
    assert 'data.task = "regression" would take them for numbers' in shown(classes, "Task")
    assert numbers.metric == "rmse"
    assert "accuracy is none for these labels" in numbers.why
    assert numbers.floors.words["rmse"] < numbers.floors.same_answer["rmse"]
    assert shown(numbers, "Numbers").startswith("Numbers    1 to 5, mean ")


def test_what_was_found_wrong_is_shown_with_its_rows(tmp_path: Path) -> None:
    rows = rows_of(["good", "bad"])
    text, label = rows[0]
    other = "bad" if label == "good" else "good"
    written(tmp_path / "train.jsonl", [*rows, (text, other), ("", "bad"), ("leak", "bad")])
    test = [(f"{text} again", label) for text, label in rows_of(["good", "bad"], 20)]
    written(tmp_path / "test.jsonl", [("leak", "bad"), *test])
    found = overview(tmp_path)
    assert "1 empty row; 1 text of train in test too; exact copies: 1 in train;" in shown(
        found, "Checked"
    )
    assert "1 training text with clashing labels" in shown(found, "Checked")
    assert "train.jsonl: 1 of 203 rows has no text" in shown(found, "Warnings")
    assert str(tmp_path) not in shown(found, "Warnings")


def test_the_test_split_is_never_scored(tmp_path: Path) -> None:
    written(tmp_path / "train.jsonl", rows_of(["good", "bad"]))
    test = rows_of(["good", "bad"], 40, seed=1)
    test = [(f"{text} again", label) for text, label in test]
    written(tmp_path / "test.jsonl", test)
    found = overview(tmp_path)
    written(tmp_path / "test.jsonl", [(text, "good") for text, _ in test])
    assert overview(tmp_path).floors == found.floors


def test_folds_have_floors_on_the_first_of_them(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", rows_of(["good", "bad"]))
    found = overview(path, validation__folds=4)
    assert set(found.texts) == {"train", "test"}
    assert found.floors.measured_on == 45
    assert "of the first fold" in shown(found, "Floors")
    assert "validation.folds" not in shown(found, "Floors")
    assert "may be off by 0.22; validation.folds reads more" in shown(overview(path), "Floors")


def test_what_is_cut_is_counted_in_texts_and_tokens(tmp_path: Path) -> None:
    rows = rows_of(["good", "bad"])
    rows[::2] = [(f"{text} {'very ' * 100}", label) for text, label in rows[::2]]
    found = overview(written(tmp_path / "a.jsonl", rows), data__max_length=50)
    assert found.lengths.texts_cut == 100
    assert 0.3 < found.lengths.tokens_cut < 1
    assert "100 texts (50.0%) are cut at max_length, 50 tokens" in shown(found, "Lengths")


def test_however_much_there_is_to_say_it_stays_one_page(tmp_path: Path) -> None:
    names = [f"a class with quite a long name {number} 很长的名字" for number in range(150)]
    rows = [(f"{number} of {name}", name) for name in names for number in range(4)]
    rows += [(f"1 of {names[0]}", names[1]), ("one", "NA"), ("two", "na"), ("three", "\x1b[31m")]
    rows += [(f"{number} of {name}", name) for name in ("NA", "na", "\x1b[31m") for number in "123"]
    written(tmp_path / "train.jsonl", rows)
    found = overview(tmp_path)
    lines = in_words(found)
    assert len(lines) <= 30
    assert "more …" in shown(found, "Classes")
    tables = [line for line in lines if line.startswith(" ") and "  " in line.strip()]
    assert max(map(len, tables)) <= 79
    assert not any(unicodedata.category(each) == "Cc" for line in lines for each in line)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sst2", "trec", "banking77", "chn_hotel"])
def test_real_data_fit_a_page_of_a_terminal_and_words_beat_the_same_answer(name: str) -> None:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder.parent}")
    found = overview(folder)
    assert found.floors.words["f1_macro"] > found.floors.same_answer["f1_macro"] + 0.3
    lines = [wrapped(line, Terminal(), " " * LEFT) for line in in_words(found)]
    page = "\n".join(lines).splitlines()
    assert len(page) <= 38
    assert max(map(len, page)) <= 79


@pytest.mark.parametrize("study", ["quickstart", "multilabel-example", "regression-example"])
def test_the_studies_of_the_package_are_shown_in_a_page(study: str) -> None:
    found = overview_of(read_study(find_study_file(study)), lambda _doing: None)
    assert found.why
    metric = found.metric
    words, same = found.floors.words[metric], found.floors.same_answer[metric]
    assert words < same if metric in ("rmse", "mae") else words > same
    assert len(in_words(found)) <= 24
