"""A study's data with folds: columns that folds go by, a validation split that joins, a test split apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from hpo.data.dataset import load_data
from hpo.data.labelled import LabelledData
from hpo.errors import DataError
from hpo.spec.study import DataSection, ValidationSection
from tests.data.conftest import Rows

Write = Callable[[str, Rows], Path]


def load(source: Path, *, data: dict[str, object] | None = None, **section: object) -> LabelledData:
    return load_data(
        DataSection.model_validate({"source": str(source), **(data or {})}),
        seed=0,
        validation=ValidationSection.model_validate(section),
    )


def rows(count: int = 60, **columns: Callable[[int], object]) -> list[dict[str, object]]:
    """Distinct texts of two classes, with further columns of their numbers."""
    return [
        {
            "text": f"text number {number}",
            "label": "good" if number % 2 else "bad",
            **{name: cell(number) for name, cell in columns.items()},
        }
        for number in range(count)
    ]


def numbers(texts: tuple[str, ...]) -> list[int]:
    return [int(text.split()[-1]) for text in texts]


def test_without_folds_nothing_changes(write: Write) -> None:
    source = write("data.csv", rows())
    plain = load_data(DataSection(source=str(source)), seed=0)
    assert load(source).fingerprint == plain.fingerprint
    assert plain.folds == ()


def test_with_folds_only_the_test_split_is_split_off(write: Write) -> None:
    data = load(write("data.csv", rows()), folds=3)
    assert (len(data.train), len(data.validation), len(data.test)) == (54, 0, 6)
    assert data.split_off == ("test",)
    assert [len(fold.validation) for fold in data.folds] == [18, 18, 18]


def test_a_given_validation_split_joins_the_training_texts(write: Write, tmp_path: Path) -> None:
    every = rows(90)
    for name, part in (("train", every[:60]), ("validation", every[60:75]), ("test", every[75:])):
        write(f"data/{name}.csv", part)
    data = load(tmp_path / "data", folds=5)
    assert numbers(data.train.texts) == list(range(75))
    assert data.split_off == ()
    [note] = [warning for warning in data.warnings if "15 texts are used for training" in warning]
    assert "in the 5 folds" in note


def test_a_given_test_split_that_shares_groups_is_told_of(write: Write, tmp_path: Path) -> None:
    def authors(first: int, spelled: str = "author") -> None:
        for name, numbers in (("train", range(60)), ("validation", range(60, 70))):
            every = rows(90, author=lambda number: f"author {number // 7}")
            write(f"data/{name}.csv", [every[number] for number in numbers])
        every = rows(90, **{spelled: lambda number: f" author {number - 70 + first} "})
        write("data/test.csv", every[70:90])

    def told() -> list[str]:
        return [
            each
            for each in load(tmp_path / "data", folds=3, group="author").warnings
            if "groups" in each
        ]

    authors(8)  # of which training has 8, validation 9, and nobody 10
    [warning] = told()
    assert "2 of 20 test texts are of groups (column 'author') that are trained on too" in warning
    assert "lines 2, 3" in warning
    authors(10)
    assert told() == []
    authors(8, spelled="writer")
    [warning] = told()
    assert "no column 'author'" in warning


def test_groups_are_apart_in_folds_and_test(write: Write) -> None:
    source = write("data.csv", rows(200, author=lambda number: f"author {number // 7}"))
    data = load(source, folds=4, group="author")

    def authors(texts: tuple[str, ...]) -> set[int]:
        return {number // 7 for number in numbers(texts)}

    assert 12 <= len(data.test) <= 20
    assert not authors(data.train.texts) & authors(data.test.texts)
    for fold in data.folds:
        train, validation = data.train.take(fold.train), data.train.take(fold.validation)
        assert not authors(train.texts) & authors(validation.texts)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("data.csv", lambda number: number),
        ("data.csv", lambda number: date.fromordinal(730_000 + number).isoformat()),
        ("data.jsonl", lambda number: f"2024-05-{1 + number // 24:02}T{number % 24:02}:00Z"),
        ("data.parquet", lambda number: datetime(2024, 1 + number // 28, 1 + number % 28)),
        ("data.parquet", lambda number: date.fromordinal(730_000 + number)),
        ("data.jsonl", lambda number: number / 7),
    ],
)
def test_by_time_the_test_split_is_the_latest(
    write: Write, name: str, cell: Callable[[int], object]
) -> None:
    shuffled = rows(100, day=cell)
    np.random.default_rng(0).shuffle(shuffled)  # type: ignore[arg-type]
    data = load(write(name, shuffled), folds=3, order="day")
    assert sorted(numbers(data.test.texts)) == list(range(90, 100))
    for fold in data.folds:
        train, validation = data.train.take(fold.train), data.train.take(fold.validation)
        assert max(numbers(train.texts)) < min(numbers(validation.texts))


def test_a_later_copy_of_a_training_text_is_not_in_the_test_split_too(write: Write) -> None:
    every = rows(100, day=lambda number: number)
    every[95]["text"], every[95]["label"] = every[3]["text"], every[3]["label"]
    data = load(write("data.csv", every), folds=3, order="day")
    assert not set(data.train.texts) & set(data.test.texts)
    assert any("also in the test split" in warning for warning in data.warnings)


@pytest.mark.parametrize(
    ("cell", "section", "place", "found", "hint"),
    [
        (
            lambda number: number,
            {"group": "auther"},
            "data.csv",
            "no column 'auther', but the columns 'text', 'label', 'author'",
            "Perhaps 'author'?",
        ),
        (
            lambda number: "" if number == 5 else "somebody",
            {"group": "author"},
            "data.csv, line 7",
            "no group in 1 of 60 rows (column 'author')",
            "Fill the column, remove those rows, or leave out validation.group.",
        ),
        (
            lambda number: "last week" if number == 5 else number,
            {"order": "author"},
            "data.csv, line 7",
            "'last week' in the column 'author'",
            "Correct that row, or name another column in validation.order.",
        ),
        (
            lambda number: "somebody",
            {"group": "author"},
            "data.csv",
            "no way to split off a test split of 10% by author",
            "Name another column, or give a test split of its own.",
        ),
    ],
)
def test_a_column_that_will_not_do_is_told(
    write: Write,
    cell: Callable[[int], object],
    section: dict[str, object],
    place: str,
    found: str,
    hint: str,
) -> None:
    source = write("data.csv", rows(author=cell))
    with pytest.raises(DataError) as raised:
        load(source, folds=3, **section)
    assert raised.value.place == str(source.parent / place)
    assert raised.value.found == found
    assert raised.value.hint == hint
