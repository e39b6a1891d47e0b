"""Replacements that texts show, and those of a table."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from hpo.data.augmentation import Replacements
from hpo.data.replacement_table import ReplacementTable, read_replacements
from hpo.data.replacements import learnt_replacements
from hpo.errors import DataError


def texts_of_two_classes() -> tuple[list[str], list[int]]:
    """Films are good or fine in one class and bad or poor in the other, in the same sentences."""
    draws, texts, labels = random.Random(0), [], []
    for at in range(400):
        label = at % 2
        word = draws.choice([["good", "fine"], ["bad", "poor"]][label])
        thing = draws.choice(["film", "movie"])
        texts.append(f"this {thing} was very {word} and {draws.choice(['I', 'we'])} said so {at}")
        labels.append(label)
    return texts, labels


class TestLearnt:
    def test_words_of_like_use_are_found_but_never_those_of_another_class(self) -> None:
        texts, labels = texts_of_two_classes()
        learnt = learnt_replacements(texts, np.eye(2)[labels])
        assert learnt["film"][0] == "movie"
        assert learnt["good"] == ("fine",)
        assert learnt["poor"] == ("bad",)

    def test_without_classes_they_are_alike(self) -> None:
        texts, _ = texts_of_two_classes()
        assert {"fine", "bad", "poor"} == set(learnt_replacements(texts, np.ones((400, 1)))["good"])

    def test_the_order_of_the_texts_makes_no_difference(self) -> None:
        texts, labels = texts_of_two_classes()
        order = np.random.default_rng(1).permutation(len(texts))
        other = learnt_replacements([texts[at] for at in order], np.eye(2)[labels][order])
        assert other == learnt_replacements(texts, np.eye(2)[labels])

    def test_only_words_of_the_texts_are_known_and_none_replaces_itself(self) -> None:
        texts, labels = texts_of_two_classes()
        learnt = learnt_replacements(texts, np.eye(2)[labels])
        known = {word for text in texts for word in text.lower().split()}
        assert all(word in known and set(new) <= known for word, new in learnt.items())
        assert not any(word in new for word, new in learnt.items())

    @pytest.mark.parametrize(
        "texts", [[], [""], ["one two three"], ["a a a a"], ["酒店 酒店 酒店"]]
    )
    def test_texts_that_show_nothing_give_nothing(self, texts: list[str]) -> None:
        learnt = learnt_replacements(texts, np.ones((len(texts), 1)))
        assert all(word not in new for word, new in learnt.items())


class TestTable:
    def test_lines_of_a_word_and_its_replacements_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "synonyms.tsv"
        path.write_text("Good\tfine\tnice\n\nfilm\ta movie\n酒店\t宾馆\ngood\tgreat\n")
        table = read_replacements(str(path))
        assert table.replacements == {
            "good": ("fine", "nice", "great"),
            "film": ("a movie",),
            "酒店": ("宾馆",),
        }

    def test_the_fingerprint_is_of_what_the_table_says(self, tmp_path: Path) -> None:
        one, other = tmp_path / "one.tsv", tmp_path / "other.tsv"
        one.write_text("good\tfine\nfilm\tmovie\n")
        other.write_text("film\tmovie\n\ngood\tfine\n")
        assert read_replacements(str(one)).fingerprint == read_replacements(str(other)).fingerprint
        assert (
            ReplacementTable(Replacements({"good": ("nice",)})).fingerprint
            != read_replacements(str(one)).fingerprint
        )

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            ("good\tfine\nfilm\n", "line 2: found 'film'"),
            ("good\tfine\nfilm\t\tmovie\n", "line 2: found 'film"),
            ("\tfine\n", "line 1: found an empty field"),
            ("hot dog\tsausage\n", "line 1: found 'hot dog'"),
            ("!\tfine\n", "line 1: found '!'"),
            ("", "an empty file"),
        ],
    )
    def test_a_line_that_is_wrong_is_named(self, tmp_path: Path, content: str, found: str) -> None:
        path = tmp_path / "synonyms.tsv"
        path.write_text(content)
        with pytest.raises(DataError, match=found):
            read_replacements(str(path))

    def test_a_table_that_is_not_there_is_told_with_its_key(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"training\.augment\.table = .*no such file"):
            read_replacements(str(tmp_path / "none.tsv"))
        with pytest.raises(DataError, match="a folder"):
            read_replacements(str(tmp_path))
