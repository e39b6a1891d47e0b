"""The view that MLflow's page is given says what the page understands."""

from __future__ import annotations

import base64
import json
import zlib

from hpo.tracking.views import TrialsTable, charts_url, experiment_tags, table_url, table_url_of


def test_the_view_ranks_the_trials_and_shows_what_was_searched() -> None:
    table = TrialsTable("log_loss", ("learning_rate", "epochs"), maximize=False)
    tags = experiment_tags(table, "u1", 1_700_000_000_000)
    view = json.loads(tags["mlflow.sharedViewState.hpo-trials"])
    kind, packed = view["state"].split(";")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert (kind, view["name"]) == ("deflate", "Trials")
    assert state["orderByKey"] == "metrics.`val/best_log_loss`"
    assert state["orderByAsc"] is True
    assert state["searchFilter"] == "tags.`mlflow.hpo.run_key` LIKE 'trial:%:u1:%'"
    assert "params.`epochs`" in state["selectedColumns"]
    assert len(state["selectedColumns"]) == len(set(state["selectedColumns"]))
    first = state["compareRunCharts"][0]
    assert (first["type"], first["selectedParams"]) == ("PARALLEL", ["learning_rate", "epochs"])
    drawn = [chart.get("metricKey") for chart in state["compareRunCharts"][1:]]
    assert drawn == ["val/log_loss", "val/best_log_loss"]


def test_the_view_fits_into_a_tag_however_much_is_searched() -> None:
    names = tuple(f"some_parameter_{index}" for index in range(40))
    tags = experiment_tags(TrialsTable("accuracy", names, maximize=True), "u1", 0)
    assert max(len(value) for value in tags.values()) < 5000


def test_the_table_has_an_address() -> None:
    assert table_url("http://h:1", "7").startswith("http://h:1/#/experiments/7/runs?")


def test_a_run_leads_to_the_table_that_it_stands_in() -> None:
    table = table_url("https://h/mlflow", "7")
    assert table_url_of("https://h/mlflow/#/experiments/7/runs/abc") == table
    assert charts_url(table).startswith(table)
    assert table_url_of("https://h/mlflow") is None
