"""The trials of a study as a table: what an export of it holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.trial import FrozenTrial

from hpo.storage.storage import Storage


def trial_records(storage: Storage, study_id: int) -> list[dict[str, Any]]:
    """The trials of a study in their order, with `params` as a mapping: what an export holds."""
    trials = storage.retry(
        lambda: storage.optuna.get_all_trials(study_id, deepcopy=False), "reading the trials"
    )
    return [_record(trial) for trial in trials]


def as_rows(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a trial; its parameters in columns `params.NAME`."""
    return [
        {
            **{key: value for key, value in record.items() if key != "params"},
            **{f"params.{name}": value for name, value in record["params"].items()},
        }
        for record in records
    ]


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """A line a trial, with the columns of `as_rows`."""
    rows = as_rows(records)
    columns = dict.fromkeys(["number", "state", "value"])
    for row in rows:
        columns |= dict.fromkeys(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _record(trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.value if trial.state.is_finished() else None,
        "params": dict(trial.params),
        "started": _moment(trial.datetime_start),
        "ended": _moment(trial.datetime_complete),
        "seconds": attributes.get("seconds"),
        "epochs_run": attributes.get("epochs_run"),
        "reason": attributes.get("hpo.reason"),
        "mlflow_url": attributes.get("mlflow_url"),
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.replace(tzinfo=UTC).isoformat()
