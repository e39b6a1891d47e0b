"""After a real study, both UIs show it in a real browser."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hpo.execution.servers import Links, Uis
from hpo.spec.locations import Locations
from tests.browser.pages import (
    CHROMIUM,
    browser_page,
    go,
    open_charts,
    open_comparison,
    open_run,
    open_study,
    open_trials,
)
from tests.browser.screenshots import NAMES, take
from tests.finished_studies import run_study

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
TRIALS, TRIALS_OF_SECOND = 50, 6


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Links]:
    pytest.importorskip("playwright", reason="no playwright here: pip install playwright")
    folder, cache = tmp_path_factory.mktemp("studied"), tmp_path_factory.mktemp("cache")
    run_study(folder, cache, trials=TRIALS)
    run_study(
        folder,
        cache,
        "--name",
        "second",
        "--set",
        "training.optimizer=sgd",
        trials=TRIALS_OF_SECOND,
    )
    locations = Locations.of(
        storage=f"sqlite:///{folder}/optuna.db",
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        environment={"HPO_STATE": str(folder / ".hpo"), "HPO_CACHE": str(cache)},
    )
    with Uis(locations) as uis:
        assert uis.wait()
        yield uis.links


@pytest.fixture(scope="module")
def page(links: Links) -> Iterator[Page]:
    with browser_page() as page:
        yield page


@pytest.fixture(scope="module")
def experiment(links: Links) -> str:
    """MLflow's id of the study `first`."""
    found = api(links, "experiments/get-by-name?experiment_name=first")
    return str(found["experiment"]["experiment_id"])


@pytest.fixture(scope="module")
def parent(links: Links, experiment: str) -> str:
    """The id of the study's run."""
    body = {"experiment_ids": [experiment], "filter": "attributes.run_name = 'first'"}
    return str(api(links, "runs/search", body)["runs"][0]["info"]["run_id"])


def api(links: Links, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{links.mlflow}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_mlflow_lists_the_experiment(page: Page, links: Links) -> None:
    go(page, f"{links.mlflow}/#/experiments?workflowType=machine_learning")
    page.get_by_role("link", name="first").wait_for()
    page.get_by_role("link", name="second").wait_for()


def test_mlflow_shows_every_trial_with_what_was_searched(
    page: Page, links: Links, experiment: str
) -> None:
    shown = open_trials(page, links.mlflow, experiment)
    assert len(shown) > 10  # the table draws only those that fit the window
    assert {*shown} <= {f"trial-{number:04d}" for number in range(TRIALS)}
    page.get_by_text(f"{TRIALS} matching runs").wait_for()
    for column in ("learning_rate", "batch_size", "epochs", "val/best_accuracy"):
        assert page.get_by_text(column).count(), column


def test_mlflow_draws_a_metric_of_several_trials(page: Page, links: Links, experiment: str) -> None:
    assert open_charts(page, links.mlflow, experiment, "val/accuracy") >= 3


def test_the_studys_run_says_what_it_is_about(
    page: Page, links: Links, experiment: str, parent: str
) -> None:
    open_run(page, links.mlflow, experiment, parent)
    page.get_by_text("A first search on embedded data.").wait_for()
    page.get_by_text("test/accuracy").first.wait_for()
    more = page.get_by_text("Show more")
    if more.count():
        more.click()
    link = page.get_by_role("link", name="Optuna dashboard")
    assert "/dashboard/studies/" in str(link.get_attribute("href"))


def test_drawings_are_shown_as_pictures(
    page: Page, links: Links, experiment: str, parent: str
) -> None:
    open_run(page, links.mlflow, experiment, parent, "/artifacts/figures/test_confusion.svg")
    page.wait_for_function(
        "[...document.images].some(i => i.src.startsWith('blob:') && i.naturalWidth > 300)"
    )


def test_the_champion_is_a_registered_model_with_a_card(page: Page, links: Links) -> None:
    go(page, f"{links.mlflow}/#/models/first")
    page.get_by_text("GPT-2 text classifier").first.wait_for()
    page.get_by_text("champion").first.wait_for()


def test_the_dashboard_draws_the_study(page: Page, links: Links) -> None:
    assert open_study(page, links.dashboard, 1) >= 3
    assert page.get_by_text("accuracy").count()


def test_a_trials_note_leads_to_its_run(page: Page, links: Links) -> None:
    go(page, f"{links.dashboard}/dashboard/studies/1/trials?numbers=0")
    link = page.get_by_role("link", name=re.compile("MLflow run of trial"))
    link.first.wait_for()
    go(page, str(link.first.get_attribute("href")))
    page.get_by_text("trial-0000").first.wait_for()
    page.get_by_text("val/best_accuracy").first.wait_for()


def test_a_trials_figure_is_shown_with_it(page: Page, links: Links) -> None:
    with urllib.request.urlopen(f"{links.dashboard}/api/studies/1?after=0") as answer:
        trials = json.load(answer)["trials"]
    complete = next(trial for trial in trials if trial["state"] == "Complete")
    assert [a["filename"] for a in complete["artifacts"]] == ["confusion_matrix.svg"]
    go(page, f"{links.dashboard}/dashboard/studies/1/trials?numbers={complete['number']}")
    page.wait_for_function(
        "[...document.images].some(i => i.src.includes('/artifacts/') && i.naturalWidth > 300)"
    )


def test_the_dashboard_compares_two_studies(page: Page, links: Links) -> None:
    legend = open_comparison(page, links.dashboard, [1, 2])
    assert "first (accuracy)" in legend
    assert "second (accuracy)" in legend


def test_the_dashboards_cards_tell_studies_apart(page: Page, links: Links) -> None:
    go(page, f"{links.dashboard}/dashboard")
    page.locator(".hpo-facts").nth(1).wait_for()
    for told in page.locator(".hpo-facts").all_inner_texts():
        assert re.fullmatch(r"accuracy · best 0\.\d{4} \(trial \d+\) · demo on demo", told)


def test_a_page_of_another_origin_cannot_use_the_dashboard(page: Page, links: Links) -> None:
    """What any page may load from anywhere, a picture, is refused; the dashboard's own gets it."""
    with urllib.request.urlopen(f"{links.dashboard}/api/studies/1?after=0") as answer:
        artifact = json.load(answer)["artifacts"][0]
    picture = f"{links.dashboard}/artifacts/1/{artifact['artifact_id']}"

    def loads_from(origin: str) -> bool:
        go(page, origin)
        return bool(
            page.evaluate(
                """address => new Promise(done => {
                    const picture = new Image();
                    picture.onload = () => done(true);
                    picture.onerror = () => done(false);
                    picture.src = address;
                })""",
                picture,
            )
        )

    assert loads_from(f"{links.dashboard}/dashboard")
    assert not loads_from(f"{links.mlflow}/health")


def test_the_pictures_of_the_documentation_can_be_taken(
    page: Page, links: Links, tmp_path: Path
) -> None:
    take(page, links, tmp_path)
    for name in NAMES:
        assert (tmp_path / name).stat().st_size > 20_000, name
