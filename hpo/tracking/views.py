"""How MLflow's own page of an experiment shows a study: a view with the columns that matter.

A view is a tag of the experiment, in the form in which MLflow's page saves one (seen in MLflow 3.17): JSON
with a name and a state, which is deflated JSON in base64. A page that does not know it passes over it.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.spec.names import key_part
from hpo.tracking.hidden_tags import name_in_mlflow
from hpo.tracking.keys import RUN_KEY_TAG

_KEY = "hpo-trials"
_NAME = "Trials"
_SECTION = "hpo-compared"
_RUN_URL = re.compile(r"(?P<server>.+)/#/experiments/(?P<experiment>[^/?]+)/runs/[^/?]+")


@dataclass(frozen=True)
class TrialsTable:
    """The trials of a study as a table.

    Attributes:
        metric: What they are ranked by.
        params: What was searched.
    """

    metric: str
    params: tuple[str, ...]
    maximize: bool


def experiment_tags(table: TrialsTable, study_uid: str, now_ms: int) -> Mapping[str, str]:
    """Tags of the experiment: that it is of the training kind, and the view of the study's trials.

    Args:
        study_uid: An earlier study of the name may have its trials in the same experiment.
    """
    best = f"val/best_{table.metric}"
    state = {
        "searchFilter": f"tags.`{name_in_mlflow(RUN_KEY_TAG)}` LIKE 'trial:%:{key_part(study_uid)}:%'",
        "orderByKey": f"metrics.`{best}`",
        "orderByAsc": not table.maximize,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            f"metrics.`{best}`",
            "metrics.`val/log_loss`",
            *(f"params.`{name}`" for name in table.params),
            "tags.`optuna.trial_state`",
        ],
        "columnOrder": [],
        "columnWidths": {},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "compareRunCharts": _charts(table),
        "compareRunSections": [
            {
                "uuid": _SECTION,
                "name": "Trials compared",
                "display": True,
                "isReordered": True,
                "deleted": False,
                "isGenerated": False,
            }
        ],
        # Otherwise the sections are sorted by name, and this is not the first.
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    view = {"name": _NAME, "createdAt": now_ms, "updatedAt": now_ms, "state": f"deflate;{packed}"}
    return {
        # Without it the page asks, and shows what is for generative models.
        "mlflow.experimentKind": "custom_model_development",
        f"mlflow.sharedViewState.{_KEY}": json.dumps(view),
    }


def table_url(server: str, experiment_id: str) -> str:
    """The experiment's page with that view: the table of its trials."""
    return (
        f"{server}/#/experiments/{experiment_id}/runs"
        f"?workflowType=machine_learning&viewStateShareKey={_KEY}"
    )


def charts_url(table: str) -> str:
    """The same view's charts.

    Args:
        table: What `table_url` gave.
    """
    return f"{table}&compareRunsMode=CHART"


def table_url_of(run_url: str) -> str | None:
    """The table that the run at an address stands in; None for an address of anything else."""
    match = _RUN_URL.fullmatch(run_url)
    return None if match is None else table_url(match["server"], match["experiment"])


def _charts(table: TrialsTable) -> list[dict[str, Any]]:
    """The charts that come first, those that compare trials; the page adds one for each other metric."""
    best = f"val/best_{table.metric}"
    lines = dict.fromkeys((f"val/{table.metric}", "val/log_loss"))
    compared: list[dict[str, Any]] = [
        {
            "type": "PARALLEL",
            "selectedParams": list(table.params),
            "selectedMetrics": [best],
            "showAllRuns": True,
        },
        *({"type": "LINE", "metricKey": name, **_LINE} for name in lines),
        {"type": "BAR", "metricKey": best},
    ]
    return [
        {
            "uuid": f"{_SECTION}-{index}",
            "metricSectionId": _SECTION,
            "runsCountToCompare": 100,
            "deleted": False,
            "isGenerated": False,
            **chart,
        }
        for index, chart in enumerate(compared)
    ]


_LINE = {
    "lineSmoothness": 0,
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "range": {},
    "xAxisKey": "step",
    "selectedXAxisMetricKey": "",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "ignoreOutliers": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}
