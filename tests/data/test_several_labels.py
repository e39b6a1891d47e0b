from __future__ import annotations

import pytest

from hpo.data.several_labels import listed_items, several_labels
from hpo.errors import DataError

SEVERAL = {
    "beside its parts": (["joy", "love", "joy,love"], "joy,love"),
    "with a space": (["joy", "love", "joy, love", "anger"], "joy, love"),
    "semicolons": (["joy", "love", "love; joy"], "love; joy"),
    "bars": (["joy", "love", "joy|love"], "joy|love"),
    "three": (["joy", "love", "anger", "anger,joy,love"], "anger,joy,love"),
    "numbers": (["2", "27", "2,27"], "2,27"),
    "two orders": (["joy,love", "love,joy"], "joy,love"),
    "never alone": (["a,b", "b,c", "c,d", "d,a"], "a,b"),
    "Python lists": (["['joy']", "['love']", "['joy', 'love']"], "['joy', 'love']"),
    "JSON lists": (['["joy"]', '["joy","love"]'], '["joy","love"]'),
    "NumPy lists": (["['joy']", "['joy' 'love']"], "['joy' 'love']"),
    "lists of numbers": (["[2]", "[27]", "[2, 27]"], "[2, 27]"),
    "NumPy numbers": (["[2]", "[27]", "[ 2 27]"], "[ 2 27]"),
    "lists of one": (["['joy']", "['love']"], "['love']"),
    "lists with none": (["[]", "['love']", "['joy']"], "['love']"),
    "rows of flags": (["[0, 1, 0]", "[1, 1, 0]"], "[1, 1, 0]"),
    "arrays of SQL": (["{joy}", "{joy,love}"], "{joy,love}"),
}
ONE_EACH = {
    "plain": ["joy", "love", "anger"],
    "commas in names": ["Sales, Marketing", "Legal", "Research, Development"],
    "half beside": ["Sales, Marketing", "Sales", "Legal"],
    "places": ["Paris, France", "Lyon, France", "London, UK", "Oxford, UK"],
    "paths": ["Sport, Football", "Sport, Tennis", "Arts, Film", "Arts, Music"],
    "a name in a list": ["Film, TV", "Music, Film, TV", "Sport"],
    "bars in names": ["yes | no", "maybe"],
    "signs": [";", "|", ",", ";-)", ":-|"],
    "sentences": ["no, never", "yes"],
    "numbers in words": ["1,000", "10,000", "100"],
    "intervals": ["[18, 25]", "[25, 40]", "[40, 99]"],
    "half open": ["[18, 25)", "[25, 40)"],
    "tokens": ["[INST]", "[UNK]"],
    "templates": ["{name}", "hello"],
    "one list among names": ["[1, 2]", "other", "more"],
    "nothing": [],
}


@pytest.mark.parametrize(("names", "cell"), SEVERAL.values(), ids=SEVERAL)
def test_several_labels_in_a_cell_are_recognised(names: list[str], cell: str) -> None:
    found = several_labels(names)
    assert found is not None
    assert found.cell == cell


@pytest.mark.parametrize("names", ONE_EACH.values(), ids=ONE_EACH)
def test_names_that_merely_contain_separators_are_classes(names: list[str]) -> None:
    assert several_labels(names) is None


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["joy", "love", "joy,love"], "'joy,love' beside 'joy' and 'love'; expected one label"),
        (["['joy']", "['joy', 'love']"], "written as a list; expected one label for each text"),
    ],
)
def test_they_are_refused_before_they_pass_for_classes(
    write, load, labels: list[str], said: str
) -> None:
    rows = [{"text": f"film {i}", "label": labels[i % len(labels)]} for i in range(60)]
    with pytest.raises(DataError) as caught:
        load(write("reviews.csv", rows))
    assert "found what looks like several labels in one cell of the label column" in str(
        caught.value
    )
    assert said in str(caught.value)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_lists_in_a_label_column_are_refused_with_their_row(write, load, suffix: str) -> None:
    rows = [{"text": f"film {i}", "label": ["joy", "love"][: 1 + i % 2]} for i in range(40)]
    with pytest.raises(
        DataError, match=r"1: found a list in the label column 'label', which looks"
    ):
        load(write(f"reviews.{suffix}", rows), task="single_label")


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ("['joy', 'love']", ("joy", "love")),
        ("['new york']", ("new york",)),
        ("['joy' 'love']", ("joy", "love")),
        ("[1, 2]", ("1", "2")),
        ("{joy,love}", ("joy", "love")),
        ("[]", ()),
        ("joy", None),
        ("[joy]", None),
    ],
)
def test_the_items_of_a_cell_that_is_written_as_a_list(
    cell: str, items: tuple[str, ...] | None
) -> None:
    assert listed_items(cell) == items
