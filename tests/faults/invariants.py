"""What must hold after any fault: one checker for every scenario of the campaign.

`examine` holds the study's storage, MLflow and what workers were told against each other and says what was
lost, what is there twice and what is wrong. `hold` fails on any of it.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import select

from hpo.outbox.outbox import waiting_in
from hpo.results.leaderboard import leaderboard, top_numbers
from hpo.runtime.finish import known_champion
from hpo.storage.optuna_tables import TRIALS
from hpo.storage.storage import Storage, open_storage
from hpo.storage.tables import HPO_CLAIMS
from hpo.studies.progress import progress
from hpo.studies.studies import OpenStudy, open_study
from hpo.tracking.keys import registered_name, trial_run_key
from tests.faults.findings import STATUS, Findings, Run, find_runs
from tests.faults.place import EVALUATIONS, LAYERS, STUDY, Place

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def examine(place: Place, trials: int) -> Findings:
    """Hold the study's storage, MLflow and the witnesses' log against each other."""
    found = Findings()
    with open_storage(place.storage_url) as storage:
        study = open_study(storage, STUDY, n_layer=LAYERS)
        stored = study.load().get_trials(deepcopy=False)
        attempts = _attempts(storage, study.study_id)
        runs = find_runs(place)
        found.attempts = sum(attempts.values())
        _check_budget(storage, stored, trials, found)
        for trial in stored:
            _check_trial(trial, study, found)
            _check_runs(trial, attempts.get(trial.number, 0), study.uid, study, runs, found)
        _check_all_runs(runs, found)
        _check_acknowledged(place, study.uid, stored, runs, found)
        _check_models(place, study, found)
        _check_champion(place, study, found)
    waiting = waiting_in(place.state)
    if waiting:
        found.lost.append(f"{waiting} operations still wait for MLflow")
    return found


def _check_budget(
    storage: Storage, stored: Sequence[FrozenTrial], trials: int, found: Findings
) -> None:
    states = Counter(trial.state for trial in stored)
    finished = sum(states[state] for state in _FINISHED)
    found.trials = finished
    if finished < trials:
        found.lost.append(f"{trials - finished} of {trials} finished trials")
    if finished > trials:
        found.doubled.append(f"{finished - trials} trials more than the {trials} wanted")
    for state in (TrialState.RUNNING, TrialState.WAITING):
        if states[state]:
            found.wrong.append(f"{states[state]} trials are {state.name}")
    numbers = sorted(trial.number for trial in stored)
    if numbers != list(range(len(numbers))):
        found.wrong.append(f"trials are numbered {numbers}")
    now = progress(storage, STUDY)
    if (now.held, now.free) != (0, 0):
        found.wrong.append(f"{now.held} claims held, {now.free} free")


def _check_trial(trial: FrozenTrial, study: OpenStudy, found: Findings) -> None:
    name = f"trial {trial.number} ({trial.state.name})"
    if trial.state not in _FINISHED:
        if not trial.user_attrs.get("hpo.reason"):
            found.wrong.append(f"{name} says no reason")
        return
    if trial.params.keys() != study.space.keys():
        found.lost.append(f"parameters of {name}: has {sorted(trial.params)}")
    reports = trial.intermediate_values
    if sorted(reports) != list(range(1, len(reports) + 1)) or not reports:
        found.lost.append(f"reports of {name}: has {sorted(reports)}")
    if trial.value is None or not math.isfinite(trial.value):
        found.lost.append(f"the value of {name}")
    if trial.state is TrialState.COMPLETE:
        if len(reports) != EVALUATIONS:
            found.lost.append(f"reports of {name}: {len(reports)} of {EVALUATIONS}")
        if reports and trial.value != max(reports.values()):
            found.wrong.append(
                f"{name} has {trial.value}, its best report is {max(reports.values())}"
            )


def _check_runs(
    trial: FrozenTrial,
    attempts: int,
    uid: str,
    study: OpenStudy,
    runs: Mapping[str, Sequence[Run]],
    found: Findings,
) -> None:
    """The last attempt's run tells of the trial; those of earlier ones end as abandoned."""
    name = f"trial {trial.number} ({trial.state.name})"
    for attempt in range(1, attempts + 1):
        of_attempt = runs.get(trial_run_key(STUDY, uid, trial.number, attempt), ())
        if len(of_attempt) > 1:
            found.doubled.append(f"the run of {name}, attempt {attempt}: {len(of_attempt)} times")
        if attempt < attempts:
            for run in of_attempt:
                if run.status != "KILLED" or run.tags.get("hpo.abandoned") != "true":
                    found.wrong.append(
                        f"the run of {name}, attempt {attempt} of {attempts}, is {run.status}, "
                        f"abandoned: {run.tags.get('hpo.abandoned')}"
                    )
            continue
        if not of_attempt:
            if trial.state in _FINISHED:
                found.lost.append(f"the run of {name}, attempt {attempt}")
            continue  # a worker may have died before it could open the run of a trial that failed
        _check_last_run(trial, name, of_attempt[0], study, found)


def _check_last_run(
    trial: FrozenTrial, name: str, run: Run, study: OpenStudy, found: Findings
) -> None:
    state = trial.state.name
    if run.status != STATUS[state]:
        found.wrong.append(f"the run of {name} is {run.status}")
    if run.tags.get("optuna.trial_state") != state:
        found.wrong.append(f"the run of {name} says {run.tags.get('optuna.trial_state')}")
    if trial.state not in _FINISHED:
        return
    if run.tags.get("hpo.abandoned"):
        found.wrong.append(f"the run of {name} counts as abandoned")
    if trial.user_attrs.get("mlflow_run_id") != run.run_id:
        found.wrong.append(f"{name} names the run {trial.user_attrs.get('mlflow_run_id')}")
    if not trial.user_attrs.get("mlflow_url"):
        found.lost.append(f"mlflow_url of {name}")
    for key, value in trial.params.items():
        if run.params.get(key) != str(value):
            found.lost.append(f"parameter {key} of the run of {name}: {run.params.get(key)}")
    _check_metrics(trial, name, run, study, found)


def _check_metrics(
    trial: FrozenTrial, name: str, run: Run, study: OpenStudy, found: Findings
) -> None:
    metric = f"val/{study.spec.study.metric}"
    reports = [value for _, value in sorted(trial.intermediate_values.items())]
    for key, steps in run.metrics.items():
        for step, values in steps.items():
            if len(values) > 1:
                found.doubled.append(f"{key} of {name} at step {step}: {values}")
    evaluated = run.metrics.get(metric, {})
    values = [stored[-1] for _, stored in sorted(evaluated.items())]
    if values != reports:
        found.lost.append(f"{metric} of {name}: MLflow has {values}, Optuna {reports}")
    for key in ("train/loss", "train/learning_rate", "val/loss", "val/f1_macro"):
        if sorted(run.metrics.get(key, {})) != sorted(evaluated):
            found.lost.append(f"{key} of {name} at steps {sorted(run.metrics.get(key, {}))}")
    best = run.metrics.get(f"val/best_{study.spec.study.metric}", {})
    if [list(each) for each in best.values()] != [[max(reports, default=math.nan)]]:
        found.lost.append(f"val/best of {name}: {dict(best)}")
    elif list(best) != [max(evaluated)]:
        found.wrong.append(f"val/best of {name} is at step {list(best)}")


def _check_all_runs(runs: Mapping[str, Sequence[Run]], found: Findings) -> None:
    parents = [run for each in runs.values() for run in each if run.key.startswith("study:")]
    if len(parents) > 1:
        found.doubled.append(f"the study's run: {len(parents)} times")
    if not parents:
        found.lost.append("the study's run")
    for run in parents:
        if run.status != "FINISHED":
            found.wrong.append(f"the study's run is {run.status}")
    for each in runs.values():
        for run in each:
            if run.status not in ("FINISHED", "KILLED", "FAILED"):
                found.wrong.append(f"run {run.name} ({run.key}) is {run.status}")


def _check_acknowledged(
    place: Place,
    uid: str,
    stored: Sequence[FrozenTrial],
    runs: Mapping[str, Sequence[Run]],
    found: Findings,
) -> None:
    """What workers were told is stored, and nobody was told the same twice."""
    by_number = {trial.number: trial for trial in stored}
    told = place.acknowledged()
    begun = Counter((each["number"], each["attempt"]) for each in told if each["event"] == "begun")
    ended = Counter(each["number"] for each in told if each["event"] == "finished")
    found.doubled += [f"attempt {key} was given out {n} times" for key, n in begun.items() if n > 1]
    found.doubled += [f"trial {key} was finished {n} times" for key, n in ended.items() if n > 1]
    for each in told:
        trial = by_number.get(each.get("number", -1))
        match each["event"]:
            case "logged":
                missing = _not_logged(each, runs.get(each["run"], ()))
                if missing:
                    found.lost.append(f"{missing} of {each['run']} at step {each['step']}")
            case _ if trial is None:
                found.lost.append(f"trial {each['number']}, which a worker had {each['event']}")
            case "drawn" if trial.params != each["params"]:
                found.lost.append(f"parameters that were drawn for trial {trial.number}")
            case "reported" if trial.state in _FINISHED:
                if trial.intermediate_values.get(each["step"]) != each["value"]:
                    found.lost.append(f"report {each['step']} of trial {trial.number}")
            case "finished":
                value = trial.value if each["value"] is not None else None
                if (trial.state.name, value) != (each["state"], each["value"]):
                    found.lost.append(f"the end of trial {trial.number}: {each}")


def _not_logged(told: Mapping[str, Any], runs: Sequence[Run]) -> list[str]:
    if not runs:
        return list(told["metrics"])
    return [
        key
        for key, value in told["metrics"].items()
        if value not in runs[0].metrics.get(key, {}).get(told["step"], ())
    ]


def _check_models(place: Place, study: OpenStudy, found: Findings) -> None:
    """Each trial whose model is to be kept has one logged model, and it is whole."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=place.tracking_uri)
    experiment = client.get_experiment_by_name(STUDY)
    assert experiment is not None
    models = client.search_logged_models([experiment.experiment_id])
    assert not models.token, "more models than a page holds: nothing was dropped"
    of_trials = [model for model in models if model.name.startswith("trial-")]
    logged = Counter(int(model.tags["optuna.trial_number"]) for model in of_trials)
    kept = top_numbers(leaderboard(study.load()), study.spec.tracking.kept_models)
    for number in kept:
        if logged[number] != 1:
            where = found.doubled if logged[number] else found.lost
            where.append(f"the logged model of trial {number}: {logged[number]} of them")
    if logged.keys() - kept:
        found.wrong.append(f"models of {sorted(logged.keys() - kept)} are there, kept are {kept}")
    for model in of_trials:
        if str(model.status) != "READY":
            found.wrong.append(f"the logged model {model.name} is {model.status}")


def _check_champion(place: Place, study: OpenStudy, found: Findings) -> None:
    """The best trial's model is registered once and classifies."""
    from mlflow.artifacts import download_artifacts
    from mlflow.tracking import MlflowClient
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    best = leaderboard(study.load())[0]
    champion = known_champion(study)
    if champion is None or champion.number != best.number:
        found.lost.append(f"the champion: {champion}, the best is trial {best.number}")
        return
    client = MlflowClient(tracking_uri=place.tracking_uri, registry_uri=place.tracking_uri)
    name = registered_name(STUDY)
    versions = client.search_model_versions(f"name = '{name}'")
    of_best = [v for v in versions if v.tags.get("optuna.trial_number") == str(best.number)]
    if len(of_best) != 1:
        where = found.doubled if of_best else found.lost
        where.append(f"the champion's registered version: {len(of_best)} of them")
        return
    version = client.get_model_version_by_alias(name, "champion")
    if version.version != of_best[0].version:
        found.wrong.append(f"the alias champion is at version {version.version}")
    with tempfile.TemporaryDirectory() as folder:
        # Not by `models:/`: MLflow would have to be told of the server for good, and tells it to
        # every process that is started later.
        path = download_artifacts(
            artifact_uri=client.get_model_version_download_uri(name, version.version),
            dst_path=folder,
            tracking_uri=place.tracking_uri,
        )
        model = AutoModelForSequenceClassification.from_pretrained(Path(path) / "model")
        tokenizer = AutoTokenizer.from_pretrained(Path(path) / "model")
        logits = model(**tokenizer("A film with no plot.", return_tensors="pt")).logits
        if not bool(logits.isfinite().all()):
            found.wrong.append("the champion's answer is not finite")


def _attempts(storage: Storage, study_id: int) -> dict[int, int]:
    """The last attempt at each trial, by its number."""
    query = (
        select(TRIALS.c.number, HPO_CLAIMS.c.attempt)
        .join(HPO_CLAIMS, HPO_CLAIMS.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id)
    )
    with storage.read() as connection:
        return {int(number): int(attempt) for number, attempt in connection.execute(query)}
