"""The options that a message proposes for columns of any names: typed as they stand, they work."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo.data.dataset import LabelledData
from hpo.errors import DataError

Load = Callable[..., LabelledData]
ROWS = range(24)
TEXTS = [f"see you at {n} then, and bring the {n % 5} books" for n in ROWS]
CLASSES = [("ham", "spam")[n % 3 == 0] for n in ROWS]

# Columns and the cells of each: of sets that people have.
TABLES = {
    "the SMS collection of Kaggle": (
        {"v1": CLASSES, "v2": TEXTS, "Unnamed: 2": [""] * 24, "Unnamed: 3": [""] * 24},
        "v2",
        "v1",
    ),
    "Enron": (
        {
            "Message ID": [str(n) for n in ROWS],
            "Subject": [f"meter {n}" for n in ROWS],
            "Body of it": TEXTS,
            "Spam/Ham": CLASSES,
            "Date": [f"1999-12-{n + 1:02}" for n in ROWS],
        },
        "Body of it",
        "Spam/Ham",
    ),
    "headlines": (
        {
            "is_sarcastic": [str(n % 2) for n in ROWS],
            "words": TEXTS,
            "link": [f"https://example.org/a/long/path/to/an/article/about/it/{n}" for n in ROWS],
        },
        "words",
        "is_sarcastic",
    ),
    "Chinese": (
        {"内容": ["今天天气很好" + chr(0x4E00 + n) for n in ROWS], "情感": CLASSES},
        "内容",
        "情感",
    ),
    "spaces and quotes": ({"the 'words'": TEXTS, "a $kind": CLASSES}, "the 'words'", "a $kind"),
    "a constant column": ({"lang": ["en"] * 24, "words": TEXTS, "kind": CLASSES}, "words", "kind"),
}


def written(path: Path, columns: dict[str, list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def proposed(load: Load, path: Path, **named: str) -> dict[str, str]:
    """The keys of [data] that the message's options set."""
    with pytest.raises(DataError) as caught:
        load(path, **named)
    line = re.search(r"Perhaps `(.*)`\?$", str(caught.value))
    assert line, caught.value
    words = shlex.split(line[1])
    keys = {"--text-column": "text", "--label-column": "label"}
    return {keys[words[n]]: words[n + 1] for n in range(0, len(words), 2)}


@pytest.mark.parametrize("name", TABLES)
def test_the_options_proposed_are_those_that_work(tmp_path: Path, load: Load, name: str) -> None:
    columns, text, label = TABLES[name]
    path = written(tmp_path / "reviews.csv", columns)
    assert proposed(load, path) == {"text": text, "label": label}
    assert proposed(load, path, text=text) == {"label": label}
    assert proposed(load, path, label=label) == {"text": text}
    assert len(load(path, text=text, label=label).label_names) == 2


def test_a_usual_name_goes_before_what_stands_in_the_columns(tmp_path: Path, load: Load) -> None:
    columns = {"Subject": TEXTS, "Body": [text[:30] for text in TEXTS], "Spam/Ham": CLASSES}
    path = written(tmp_path / "enron.csv", columns)
    assert proposed(load, path) == {"label": "Spam/Ham"}


@pytest.mark.parametrize(
    "columns",
    [
        {"a": ["1", "2", "3"], "b": ["4", "5", "6"]},
        {"a": ["x"] * 3, "b": ["y"] * 3},
        {"a": ["", "", "1"], "b": ["2", "", ""]},
    ],
)
def test_where_nothing_looks_like_texts_none_is_proposed(
    tmp_path: Path, load: Load, columns: dict[str, list[str]]
) -> None:
    with pytest.raises(DataError, match=r"Name it with --text-column\.$"):
        load(written(tmp_path / "reviews.csv", columns))


@given(
    names=st.lists(
        st.text(st.characters(codec="utf-8", categories=("L", "P", "S")), min_size=1, max_size=8),
        min_size=2,
        max_size=2,
        unique_by=lambda name: name.strip().casefold(),
    ),
    swapped=st.booleans(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_of_any_name_are_proposed_in_words_that_a_shell_reads(
    tmp_path: Path, load: Load, names: list[str], swapped: bool
) -> None:
    cells = dict(zip(names, (CLASSES, TEXTS) if swapped else (TEXTS, CLASSES), strict=True))
    path = written(tmp_path / "reviews.csv", cells)
    try:
        data = load(path)
    except DataError as error:
        if "Perhaps `" not in str(error):
            return  # of other faults, such as a name that looks like a row
    else:
        assert len(data.label_names) == 2
        return
    named = proposed(load, path)
    text, label = names[::-1] if swapped else names
    assert {"text": text, "label": label}.items() >= named.items()


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ({"doc": {"text": "some words"}, "label": "a"}, {}),
        ({"doc": {"text": "some words"}, "label": "a"}, {"text": "doc.text"}),
        ({"doc": {"text": "some words"}, "label": "a"}, {"text": "dox"}),
        ({"doc": {"text": "some words"}, "label": "a"}, {"text": "doc"}),
        ({"turns": [{"says": "some words"}, {"says": "others"}], "label": "a"}, {}),
        ({"text": "some words", "meta": {"label": "a"}}, {}),
        ({"text": "some words", "meta": {"label": "a"}}, {"label": "meta.label"}),
        ({"text": "some words", "meta": {"label": "a"}}, {"label": "meta"}),
        ({"text": "some words", "labels": {"label": "a"}}, {}),
    ],
)
def test_a_column_of_objects_is_never_proposed_but_the_tool_that_lays_them_open(
    write, load: Load, row: dict[str, object], options: dict[str, str]
) -> None:
    path = write("nested.jsonl", [{**row, "number": number} for number in range(4)])
    with pytest.raises(DataError, match=r"pandas\.json_normalize` or jq") as caught:
        load(path, **options)
    assert "Perhaps" not in str(caught.value)


def test_a_column_of_lists_is_not_proposed_for_texts_and_is_told_to_be_joined(
    write, load: Load
) -> None:
    rows = [{"words": ["several", "of", "them"], "label": name} for name in "abab"]
    path = write("lists.jsonl", rows)
    with pytest.raises(DataError, match="Name it with --text-column"):
        load(path)
    with pytest.raises(DataError, match=r"found a list .* Join the parts of each list"):
        load(path, text="words")
