from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import DataError, StudyFileError

ROWS = [
    {"title": f"Title {n}", "description": f"about {n}", "label": "ab"[n % 2]} for n in range(40)
]


def test_texts_of_several_columns_are_joined_with_the_separator(write, load) -> None:
    path = write("news.csv", ROWS)
    data = load(path, text=["Title", "description"])
    assert data.text_column == "title + description"
    assert "Title 1 about 1" in data.train.texts + data.validation.texts + data.test.texts
    data = load(path, text=["title", "description"], text_separator=" | ")
    assert all(" | about " in text for text in data.train.texts)


def test_an_empty_part_adds_no_separator_and_a_row_of_empty_parts_is_left_out(write, load) -> None:
    rows = [*ROWS, {"title": "", "description": "alone", "label": "a"}]
    rows.append({"title": " ", "description": "", "label": "a"})
    data = load(write("news.csv", rows), text=["title", "description"])
    texts = data.train.texts + data.validation.texts + data.test.texts
    assert "alone" in texts
    assert len(texts) == 41


@pytest.mark.parametrize("names", [["title", "txt"], ["title", "title"]])
def test_columns_that_there_are_not_or_that_are_named_twice_are_told(
    write, load, names: list[str]
) -> None:
    with pytest.raises(DataError, match=r"no column 'txt'|more than one column named 'title'"):
        load(write("news.csv", ROWS), text=names)


def test_a_separator_for_one_column_is_refused(write, load) -> None:
    with pytest.raises(StudyFileError, match=r"data\.text_separator"):
        load(write("news.csv", ROWS), text="title", text_separator="|")


def test_a_held_out_split_without_one_of_the_columns_is_told(tmp_path: Path, write, load) -> None:
    write("train.csv", ROWS)
    write("test.csv", [{"title": "a title", "label": "a"}])
    with pytest.raises(DataError, match=r"test\.csv: found no column 'description'"):
        load(tmp_path, text=["title", "description"])
