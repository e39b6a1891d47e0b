"""The five pictures of the documentation: `python -m tests.browser.screenshots FOLDER docs/images`.

FOLDER holds optuna.db and mlflow.db with two studies or more; the first two are shown.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.execution.servers import Links, Uis
from hpo.results.report.facts import read_facts
from hpo.results.report.page import report_page
from hpo.spec.locations import Locations
from hpo.storage.storage import open_storage
from tests.browser.pages import (
    browser_page,
    open_charts,
    open_comparison,
    open_study,
    open_trials,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("mlflow.png", "mlflow-chart.png", "dashboard.png", "dashboard-compare.png")
REPORT = "report.png"


def take(page: Page, links: Links, target: Path, experiment: str = "1") -> None:
    """Write the pictures into a folder."""
    target.mkdir(parents=True, exist_ok=True)
    open_trials(page, links.mlflow, experiment)
    page.screenshot(path=target / NAMES[0])
    open_charts(page, links.mlflow, experiment, "")
    page.screenshot(path=target / NAMES[1])
    open_study(page, links.dashboard, 1)
    page.screenshot(path=target / NAMES[2])
    open_comparison(page, links.dashboard, [1, 2])
    page.screenshot(path=target / NAMES[3])


def take_report(page: Page, target: Path) -> None:
    """Write the picture of the first study's report, as the folder of its storage holds it."""
    file = Path("report.html")
    with open_storage(Locations.of().storage_url) as storage:
        name = storage.optuna.get_all_studies()[0].study_name
        file.write_text(report_page([read_facts(storage, name)]), encoding="utf-8")
    page.goto(file.absolute().as_uri())
    page.locator("html[data-drawn]").wait_for(state="attached")
    page.wait_for_timeout(1500)
    page.screenshot(path=target / REPORT)


def main() -> int:
    """Serve what is in the folder, and take the pictures."""
    target = Path(sys.argv[2]).resolve()
    os.chdir(sys.argv[1])
    with Uis(Locations.of()) as uis:
        uis.wait()
        with browser_page() as page:
            take(page, uis.links, target)
            take_report(page, target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
