"""The pages of both UIs that people look at, opened in headless Chromium and waited for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PATIENCE = 60_000  # milliseconds; MLflow's page is 10 MB of scripts
# MLflow opens its assistant at the first visit; it would cover a third of the page.
_SETTLED = """
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
"""


@contextmanager
def browser_page(width: int = 1500, height: int = 1000) -> Iterator[Page]:
    """A page of a fresh browser."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        context = browser.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(_PATIENCE)
        context.add_init_script(_SETTLED)
        try:
            yield context.new_page()
        finally:
            browser.close()


def go(page: Page, address: str) -> None:
    """Open an address anew: one that differs after # alone would not be loaded again."""
    page.goto("about:blank")
    page.goto(address)


def open_trials(page: Page, mlflow: str, experiment: str) -> list[str]:
    """The experiment's view of its trials. Returns the names of the runs shown."""
    address = f"{mlflow}/#/experiments/{experiment}/runs?workflowType=machine_learning"
    go(page, f"{address}&viewStateShareKey=hpo-trials")
    page.get_by_role("link", name="trial-0000").wait_for()
    _close_banner(page)
    page.wait_for_timeout(1500)
    return page.locator("a:has-text('trial-')").all_inner_texts()


def open_charts(page: Page, mlflow: str, experiment: str, metrics: str) -> int:
    """Charts of the metrics whose names match, over the trials. Returns how many lines the first has."""
    address = f"{mlflow}/#/experiments/{experiment}/runs?workflowType=machine_learning"
    go(page, f"{address}&viewStateShareKey=hpo-trials&compareRunsMode=CHART")
    search = page.get_by_placeholder("Search metric charts")
    search.wait_for()
    _close_banner(page)
    search.fill(metrics)
    page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for()
    page.wait_for_timeout(3000)
    return page.locator(".js-plotly-plot").first.locator(".scatterlayer .trace").count()


def _close_banner(page: Page) -> None:
    """Away with the remark that this is a saved view."""
    remark = page.get_by_text("viewing a shared view")
    remark.wait_for()
    page.get_by_role("alert").get_by_role("button").last.click()
    page.mouse.move(0, 0)


def open_run(page: Page, mlflow: str, experiment: str, run: str, tab: str = "") -> None:
    """The page of a run."""
    go(page, f"{mlflow}/#/experiments/{experiment}/runs/{run}{tab}")


def open_study(page: Page, dashboard: str, study: int) -> int:
    """A study in the dashboard. Returns how many plots have something in them."""
    go(page, f"{dashboard}/dashboard/studies/{study}")
    page.get_by_text("Hyperparameter Importance").wait_for()
    page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for()
    page.wait_for_timeout(2500)
    return page.locator(".js-plotly-plot").filter(has=page.locator(".trace, .bars")).count()


def open_comparison(page: Page, dashboard: str, studies: list[int]) -> str:
    """Studies side by side. Returns what the legend says."""
    ids = ",".join(map(str, studies))
    go(page, f"{dashboard}/dashboard/compare-studies?ids={ids}")
    page.locator(".js-plotly-plot .legend").first.wait_for()
    page.wait_for_timeout(2500)
    return " ".join(
        page.locator(".js-plotly-plot .legend").first.locator("text").all_text_contents()
    )
