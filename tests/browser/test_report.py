"""A report in a real browser: drawn without errors and without a network, on wide and narrow screens, and in print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hpo.results.report.facts import read_facts
from hpo.results.report.page import report_page
from hpo.storage.storage import open_storage
from tests.browser.pages import CHROMIUM, browser_page
from tests.results.report.studies import add_study

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
NAMES = ("<b>first", "second")
DRIVER = "GL Driver Message"  # how fast a machine without a GPU draws


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of one study, and of two."""
    pytest.importorskip("playwright", reason="no playwright here: pip install playwright")
    folder = tmp_path_factory.mktemp("report")
    with open_storage(f"sqlite:///{folder}/optuna.db") as storage:
        for name in NAMES:
            add_study(storage, name, 40)
        facts = [read_facts(storage, name) for name in NAMES]
    pages = {"one": report_page(facts[:1]), "two": report_page(facts)}
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in pages}


@contextmanager
def opened(path: Path, width: int) -> Iterator[Page]:
    """The page drawn; what it complained of or asked for is an error."""
    told: list[str] = []
    with browser_page(width, 900) as page:
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.append(request.url))
        page.goto(path.as_uri())
        page.locator("html[data-drawn]").wait_for(state="attached")
        yield page
    own = (path.as_uri(), "data:", "blob:")
    assert [each for each in told if DRIVER not in each and not each.startswith(own)] == []


def overflow(page: Page) -> int:
    """Pixels that the page is wider than the screen."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return wider


@pytest.mark.parametrize("width", [380, 1280])
@pytest.mark.parametrize("which", ["one", "two"])
def test_it_is_drawn_and_no_wider_than_the_screen(
    reports: dict[str, Path], which: str, width: int
) -> None:
    with opened(reports[which], width) as page:
        assert overflow(page) <= 0
        for box in page.locator(".plot:visible").all():
            assert box.locator(".main-svg").count() > 0
        for folded in page.locator("summary").all():
            folded.click()
        page.wait_for_timeout(1000)
        assert overflow(page) <= 0


def test_the_leaderboard_is_sorted_filtered_and_picked_from(reports: dict[str, Path]) -> None:
    with opened(reports["one"], 1280) as page:
        rows = page.locator(".leaderboard tbody tr:visible")
        first = rows.first.get_attribute("data-id")
        by_score = page.locator(".leaderboard th button", has_text="accuracy")
        assert rows.count() == 25
        page.get_by_role("button", name="Show all 40").click()
        assert rows.count() == 40
        by_score.click()
        scores = [
            float(text)
            for text in page.locator(".leaderboard tbody td:nth-child(3)").all_inner_texts()
            if text
        ]
        assert scores == sorted(scores)
        by_score.click()
        page.get_by_label("State").select_option("complete")
        assert rows.first.get_attribute("data-id") == first
        page.get_by_label("Filter").fill("lion")
        assert 0 < rows.count() < 30
        page.get_by_label("Filter").fill("")
        page.evaluate(
            """() => {
                const box = document.querySelector(".parallel .plot");
                const best = Math.max(...box.data[0].dimensions.at(-1).values);
                const last = box.data[0].dimensions.length - 1;
                return Plotly.restyle(box, {[`dimensions[${last}].constraintrange`]: [[best - 1e-9, best]]});
            }"""
        )
        assert rows.count() == 1
        assert rows.first.get_attribute("data-id") == first


def test_it_is_dark_where_people_want_it_and_light_on_paper(reports: dict[str, Path]) -> None:
    with opened(reports["one"], 700) as page:
        background = "getComputedStyle(document.documentElement).getPropertyValue('--panel').trim()"
        text = "document.querySelector('.plot')._fullLayout.font.color"
        light = page.evaluate(text)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(f"{text} !== '{light}'")
        assert page.evaluate(background) != "#ffffff"
        page.emulate_media(color_scheme="dark", media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate(background) == "#ffffff"
        page.wait_for_function(f"{text} === '{light}'")
        assert overflow(page) <= 0
