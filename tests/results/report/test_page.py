"""The page: one file, nothing of anybody's in it that a browser would take for more than words."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.results.report.facts import StudyFacts, read_facts
from hpo.results.report.page import in_script, report_page
from hpo.results.report.tables import Cell, Table, as_html, label_table, leaderboard_table
from hpo.storage.storage import Storage
from tests.results.report.conftest import DESCRIPTION, EVIL

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Parsed(HTMLParser):
    """A page's elements and words, as a browser takes them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def page(studies: Storage) -> str:
    names = (EVIL, "by loss", "nothing yet")
    return report_page([read_facts(studies, name) for name in names])


def test_somebodys_words_stay_words(page: str) -> None:
    parsed = Parsed(page)
    tags = [tag for tag, _ in parsed.elements]
    assert tags.count("script") == 3
    assert not {"img", "iframe", "link", "object"} & set(tags)
    assert not any(
        name.startswith("on") for _, attributes in parsed.elements for name in attributes
    )
    assert EVIL in parsed.words
    assert DESCRIPTION in parsed.words
    assert sum(words.startswith("</td><img src=x") for words in parsed.words) == 20


def test_it_asks_nothing_of_any_network(page: str) -> None:
    for tag, attributes in Parsed(page).elements:
        assert "src" not in attributes
        assert tag == "a" or "href" not in attributes
    assert "default-src 'none'" in page


def test_plotly_is_there_once(page: str) -> None:
    assert page.count("plotly.js v") == 1
    assert len(page.encode()) < 10e6


def test_the_charts_can_be_read_back(page: str) -> None:
    (text,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page)
    charts: list[dict[str, Any]] = json.loads(text)
    places = [
        int(attributes["data-chart"] or -1)
        for _, attributes in Parsed(page).elements
        if "data-chart" in attributes
    ]
    assert sorted(places) == list(range(len(charts)))


@given(JSON)
def test_nothing_in_the_data_ends_the_script_that_holds_them(document: Any) -> None:
    text = in_script(document)
    assert not set("<>&") & set(text)
    assert json.loads(text) == document


def test_what_is_no_number_becomes_none() -> None:
    assert in_script({"y": [1.0, float("nan"), float("-inf")]}) == '{"y":[1.0,null,null]}'


def test_the_leaderboard_has_every_trial_with_its_own_numbers(facts: StudyFacts) -> None:
    table = leaderboard_table(facts)
    by_number = {trial.number: trial for trial in facts.trials}
    assert [int(each) for each in table.ids[:2]] == [t.number for t in facts.complete[:2]]
    assert sorted(map(int, table.ids)) == sorted(by_number)
    for number, row in zip(table.ids, table.rows, strict=True):
        trial = by_number[int(number)]
        assert row[2].value == trial.value
        for name, cell in zip(table.columns[5:], row[5:], strict=True):
            assert cell.value == trial.params[name] or cell.text == str(trial.params[name])
    assert [row[1].text for row in table.rows][-1] == "failed: out of memory"


def test_each_label_has_its_precision_and_recall(facts: StudyFacts) -> None:
    table = label_table(facts)
    assert table is not None
    by_name = {row[0].text: [cell.value for cell in row[1:]] for row in table.rows}
    assert by_name["bad"] == pytest.approx([52, 47 / 53, 47 / 52, 94 / 105])
    assert by_name["good"] == pytest.approx([48, 42 / 47, 42 / 48, 84 / 95])


def test_a_table_links_to_addresses_of_the_web_alone() -> None:
    rows = [[Cell("1", 1, "javascript:alert(1)"), Cell('"><b>', None, 'https://h/"onclick="x')]]
    elements = Parsed(as_html(Table(("a", "<b>"), rows))).elements
    assert [attributes for tag, attributes in elements if tag == "a"] == [
        {"href": 'https://h/"onclick="x', "rel": "noreferrer"}
    ]
    assert "b" not in [tag for tag, _ in elements]
