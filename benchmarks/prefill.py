"""Studies that have their finished trials already: thousands of rows in a few statements."""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.trial import TrialState
from sqlalchemy import insert, select, update

from hpo.search.distributions import distributions
from hpo.spec.space import Choice, FloatRange
from hpo.storage.optuna_tables import (
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_PARAMS,
    TRIAL_USER_ATTRIBUTES,
    TRIAL_VALUES,
    TRIALS,
)
from hpo.storage.seals import seal_trial, sealed_spec
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_CLAIMS, HPO_STUDIES
from hpo.studies.studies import OpenStudy

_ATTRIBUTES = ("accuracy", "f1_macro", "log_loss", "seconds", "epochs_run", "mlflow_run_id")


def add_finished_trials(study: OpenStudy, count: int, *, reports: int, seed: int = 0) -> None:
    """Give the study `count` more complete trials with `reports` evaluations each, as if workers had."""
    dice = random.Random(seed)
    with study.storage.write() as connection:
        number = connection.execute(
            select(TRIALS.c.number)
            .where(TRIALS.c.study_id == study.study_id)
            .order_by(TRIALS.c.number.desc())
            .limit(1)
        ).scalar()
        first = 0 if number is None else int(number) + 1
        now = datetime.now(UTC).replace(tzinfo=None)
        rows = [
            {
                "study_id": study.study_id,
                "number": first + index,
                "state": TrialState.COMPLETE,
                "datetime_start": now,
                "datetime_complete": now,
            }
            for index in range(count)
        ]
        if not rows:
            return
        connection.execute(insert(TRIALS), rows)
        ids = [
            int(each)
            for each in connection.execute(
                select(TRIALS.c.trial_id)
                .where(TRIALS.c.study_id == study.study_id, TRIALS.c.number >= first)
                .order_by(TRIALS.c.number)
            ).scalars()
        ]
        values = {trial_id: dice.uniform(0.5, 0.9) for trial_id in ids}
        connection.execute(insert(TRIAL_PARAMS), _params(study, ids, dice))
        connection.execute(
            insert(TRIAL_VALUES),
            [
                {"trial_id": i, "objective": 0, "value": v, "value_type": "FINITE"}
                for i, v in values.items()
            ],
        )
        connection.execute(
            insert(TRIAL_INTERMEDIATE_VALUES),
            [
                {
                    "trial_id": i,
                    "step": step,
                    "intermediate_value": v * step / reports,
                    "intermediate_value_type": "FINITE",
                }
                for i, v in values.items()
                for step in range(1, reports + 1)
            ],
        )
        connection.execute(
            insert(TRIAL_USER_ATTRIBUTES),
            [
                {"trial_id": i, "key": key, "value_json": json.dumps(v)}
                for i, v in values.items()
                for key in _ATTRIBUTES
            ],
        )
        connection.execute(insert(HPO_CLAIMS), [_claim(study.study_id, i, now) for i in ids])
        for trial_id in ids:
            seal_trial(connection, trial_id)


def set_budget(storage: Storage, study: OpenStudy, trials: int) -> None:
    """How many finished trials the study should have."""
    sealed = sealed_spec(
        study.spec.model_dump_json(), uid=study.uid, name=study.name, trials=trials
    )
    with storage.write() as connection:
        connection.execute(
            update(HPO_STUDIES)
            .where(HPO_STUDIES.c.study_id == study.study_id)
            .values(trials=trials, spec_json=sealed)
        )


def _params(study: OpenStudy, ids: list[int], dice: random.Random) -> list[dict[str, Any]]:
    rows = []
    for name, distribution in distributions(study.space).items():
        dimension, described = study.space[name], distribution_to_json(distribution)
        for trial_id in ids:
            value: Any
            if isinstance(dimension, Choice):
                value = dice.choice(dimension.values)
            elif isinstance(dimension, FloatRange):
                value = dice.uniform(dimension.low, dimension.high)
            else:
                assert dimension.high is not None
                value = dice.randint(dimension.low, dimension.high)
            rows.append(
                {
                    "trial_id": trial_id,
                    "param_name": name,
                    "param_value": distribution.to_internal_repr(value),
                    "distribution_json": described,
                }
            )
    return rows


def _claim(study_id: int, trial_id: int, now: datetime) -> dict[str, Any]:
    return {
        "study_id": study_id,
        "trial_id": trial_id,
        "status": "finished",
        "token": uuid.uuid4().hex,
        "worker": "prefilled",
        "machine": "prefilled",
        "pid": 0,
        "process_started": "",
        "attempt": 1,
        "deaths": 0,
        "beat": 0,
        "grid_slot": None,
        "taken_utc": now,
    }
