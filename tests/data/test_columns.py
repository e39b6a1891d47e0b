from __future__ import annotations

import numpy as np
import pytest

from hpo.data.columns import find_columns
from hpo.data.table import Table
from hpo.errors import DataError


def table(*names: str) -> Table:
    return Table("reviews.csv", names, lambda name: [], np.empty(0, dtype=np.int64))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("text", "label"), ("text", "label")),
        (("label", "text"), ("text", "label")),
        (("Text", "LABEL"), ("Text", "LABEL")),
        (("idx", "sentence", "label"), ("sentence", "label")),
        (("review", "sentiment"), ("review", "sentiment")),
        (("content", "title", "labels"), ("content", "labels")),
        (("utterance", "intent"), ("utterance", "intent")),
        (("question", "category"), ("question", "category")),
        (("tweet", "class", "id"), ("tweet", "class")),
        (("comment", "target"), ("comment", "target")),
    ],
)
def test_columns_are_found_by_their_usual_names(
    names: tuple[str, ...], found: tuple[str, str]
) -> None:
    text, label = found
    assert find_columns(table(*names), None, None) == (text, (label,))


def test_a_named_column_goes_before_a_usual_one() -> None:
    assert find_columns(table("text", "title", "label"), "title", None) == ("title", ("label",))


def test_a_named_column_may_differ_in_case() -> None:
    assert find_columns(table("Body", "Stars"), "body", "stars") == ("Body", ("Stars",))


def test_a_named_column_that_is_missing_brings_the_nearest_name() -> None:
    with pytest.raises(DataError) as caught:
        find_columns(table("id", "review_text", "stars"), "reviewtext", None)
    said = str(caught.value)
    assert "reviews.csv: found no column 'reviewtext', but the columns 'id', 'review_text'" in said
    assert "--text-column review_text" in said


@pytest.mark.parametrize(
    ("names", "option"),
    [(("id", "words", "label"), "--text-column"), (("text", "id"), "--label-column")],
)
def test_unusual_columns_are_listed_with_the_option_that_names_them(
    names: tuple[str, ...], option: str
) -> None:
    with pytest.raises(DataError) as caught:
        find_columns(table(*names), None, None)
    assert all(repr(name) in str(caught.value) for name in names)
    assert option in str(caught.value)


def test_a_column_with_nearly_a_usual_name_is_offered() -> None:
    with pytest.raises(DataError, match=r"Perhaps `--label-column label_name`\?$"):
        find_columns(table("text", "label_name"), None, None)


def test_a_column_is_offered_by_the_last_telling_word_of_its_name() -> None:
    columns = table("review_id", "Sentence Label", "Review Text")
    with pytest.raises(
        DataError, match=r"Perhaps `--text-column 'Review Text' --label-column 'Sentence Label'`\?$"
    ):
        find_columns(columns, None, None)
    with pytest.raises(DataError, match=r"Perhaps `--label-column 'Sentence Label'`\?$"):
        find_columns(columns, "Review Text", None)


def test_a_label_column_is_not_offered_for_texts() -> None:
    with pytest.raises(DataError, match=r"Name it with --text-column\.$"):
        find_columns(table("sentence label", "number"), None, None)


def test_one_column_cannot_be_both() -> None:
    with pytest.raises(DataError, match="for both texts and labels"):
        find_columns(table("text", "label"), "label", None)


def test_a_table_of_many_columns_is_not_listed_whole() -> None:
    with pytest.raises(DataError, match="and 88 more"):
        find_columns(table(*(f"c{i}" for i in range(100))), None, None)
