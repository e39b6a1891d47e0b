"""How a study shows itself to people: the description of its MLflow run, notes and names in the dashboard.

Notes are written without the dashboard's own functions, for workers need not have it installed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import optuna
from optuna.trial import TrialState
from sqlalchemy import Connection, select

from hpo.documents import parse_json
from hpo.results.baseline import baseline_in
from hpo.results.champion import Champion
from hpo.results.leaderboard import Entry, counts, leaderboard
from hpo.results.noise import noise_of
from hpo.results.notes import (
    TrialFacts,
    described_end,
    stopped_in_words,
    study_note,
    trial_end,
    trial_note,
)
from hpo.results.why_best import Reached, why_best
from hpo.spec.locations import dashboard_url
from hpo.spec.study import StudySpec
from hpo.storage.optuna_rows import read_note, set_attribute, set_metric_name, write_note
from hpo.storage.optuna_tables import (
    STUDIES,
    STUDY_USER_ATTRIBUTES,
    TRIAL_USER_ATTRIBUTES,
    TRIALS,
)
from hpo.storage.seals import read_trial
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_CLAIMS, HPO_STUDIES
from hpo.studies.memory import kept, remember
from hpo.studies.reading import known_reading
from hpo.studies.studies import OpenStudy, stored_spec
from hpo.tracking.tracker import StudyTracker

CHAMPION_KEY = "champion"  # under which the study remembers it
_WHY_KEY = "why the champion"
_SEAL = re.compile(r"\n\n\[//\]: # \(hpo (?P<digest>[0-9a-f]{16})\)$")


def present_study(
    study: OpenStudy,
    tracker: StudyTracker,
    champion: Champion | None = None,
    registered: str | None = None,
) -> None:
    """Describe the study as it stands in both places.

    Args:
        registered: Where the champion was seen to be.
    """
    spec = study.spec
    entries, counted = linked_leaderboard(study), study.read(counts)
    reading = known_reading(study.storage, study.study_id)

    why = [] if champion is None else _why(study, entries, champion, with_end=True)

    def note(links: dict[str, str]) -> str:
        return study_note(
            spec, study.space, counted, entries, champion, links, reading, registered, why
        )

    dashboard = f"{dashboard_url()}/dashboard/studies/{study.study_id}"
    table = tracker.table_url
    tracker.describe(note({"Optuna dashboard": dashboard, "all trials as a table": table}))
    body = note({"MLflow run of the study": tracker.study_url, "all trials as a table": table})

    def write() -> None:
        with study.storage.write() as connection:
            set_metric_name(connection, study.study_id, spec.study.metric)
            for key, value in (_what_it_is(spec) | _best(entries)).items():
                set_attribute(connection, STUDY_USER_ATTRIBUTES, study.study_id, key, value)
            _write_note(connection, study.study_id, None, body)

    study.storage.retry(write, "writing the study's note")


def _why(
    study: OpenStudy, entries: list[Entry], champion: Champion, *, with_end: bool
) -> list[str]:
    """Why the study's champion is that, a sentence or two each; none of an ensemble."""
    if champion.source.how == "ensemble":
        return []
    metric, reading = study.spec.study.metric, known_reading(study.storage, study.study_id)
    noise = None
    if reading is not None:
        validation = baseline_in(reading, "validation", [metric])
        noise = noise_of([entry.value for entry in entries], metric, validation)
    facts = _facts_of(study, champion.number) if with_end else None
    return why_best(
        champion.number,
        entries,
        study.read(lambda trials: _reached(trials, metric)),
        study.space,
        metric,
        noise=noise,
        confirmation=champion.confirmation,
        end="" if facts is None else stopped_in_words(facts),
    )


def _reached(study: optuna.Study, metric: str) -> list[Reached]:
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    trials = study.get_trials(deepcopy=False, states=states)
    values = [
        (trial, trial.value if trial.state == TrialState.COMPLETE else trial.user_attrs.get(metric))
        for trial in trials
    ]
    return [
        Reached(trial.number, value, trial.params) for trial, value in values if value is not None
    ]


def present_champion(
    study: OpenStudy, tracker: StudyTracker, champion: Champion, former: Champion | None
) -> None:
    """Describe a study that has its champion, whose trial then says why it is that, and a former one's no longer.

    Args:
        study: The study.
        tracker: Its own.
        champion: As the study keeps it.
        former: What it was before, if it had one.
    """
    present_study(study, tracker, champion)
    why = _why(study, linked_leaderboard(study), champion, with_end=False)
    remember(study.storage, study.study_id, _WHY_KEY, {"trial": champion.number, "why": [*why]})
    reasons_of: dict[int, list[str]] = {} if former is None else {former.number: []}
    reasons_of[champion.number] = why
    for number, reasons in reasons_of.items():
        present_trial(study.storage, study.uid, number)
        facts, attempt = _facts_of(study, number), _attempt_of(study, number)
        if facts is not None and attempt is not None:
            tracker.describe_trial(number, attempt, described_end(facts, reasons))


def _facts_of(study: OpenStudy, number: int) -> TrialFacts | None:
    """What is known of a trial."""
    return study.storage.retry(
        lambda: _trial_facts(study.storage, study.uid, number), "looking up a trial"
    )


def _attempt_of(study: OpenStudy, number: int) -> int | None:
    """The number of the last attempt at a trial."""
    query = (
        select(HPO_CLAIMS.c.attempt)
        .join(TRIALS, TRIALS.c.trial_id == HPO_CLAIMS.c.trial_id)
        .where(TRIALS.c.study_id == study.study_id, TRIALS.c.number == number)
    )

    def read() -> int | None:
        with study.storage.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    return study.storage.retry(read, "looking up the attempts at a trial")


def trial_runs(storage: Storage, study_id: int) -> dict[int, tuple[str, str]]:
    """The MLflow run of each trial that has a link to it, as run id and address, by the trial's number.

    As they are now: Optuna keeps in memory what a finished trial's attributes were when it was first read.
    """
    table = TRIAL_USER_ATTRIBUTES
    query = (
        select(TRIALS.c.number, table.c.key, table.c.value_json)
        .join(table, table.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, table.c.key.in_(("mlflow_run_id", "mlflow_url")))
    )

    def read() -> dict[int, tuple[str, str]]:
        found: dict[int, dict[str, str]] = {}
        with storage.read() as connection:
            for row in connection.execute(query):
                found.setdefault(row.number, {})[row.key] = str(parse_json(row.value_json))
        return {
            number: (each.get("mlflow_run_id", ""), each["mlflow_url"])
            for number, each in found.items()
            if each.get("mlflow_url")
        }

    return storage.retry(read, "looking up the trials' runs")


def linked_leaderboard(study: OpenStudy) -> list[Entry]:
    """The leaderboard, with the links to MLflow's runs that hold now."""
    links = trial_runs(study.storage, study.study_id)
    return [
        replace(entry, mlflow_url=links[entry.number][1] if entry.number in links else None)
        for entry in study.read(leaderboard)
    ]


def present_trial(storage: Storage, uid: str, number: int) -> None:
    """Write the note of a trial from what the storage knows of it.

    Args:
        storage: Where its study is.
        uid: The study's.
        number: The trial's.
    """
    query = select(TRIALS.c.trial_id, TRIALS.c.study_id).join(
        HPO_STUDIES, HPO_STUDIES.c.study_id == TRIALS.c.study_id
    )
    query = query.where(HPO_STUDIES.c.uid == uid, TRIALS.c.number == number)

    def write() -> None:
        facts = _trial_facts(storage, uid, number)
        if facts is None:
            return
        with storage.write() as connection:
            row = connection.execute(query).first()
            if row is None:
                return
            body = trial_note(facts, _why_champion(connection, row.study_id, number))
            if body:
                _write_note(connection, row.study_id, row.trial_id, body)

    storage.retry(write, f"writing the note of trial {number}")


def _why_champion(connection: Connection, study_id: int, number: int) -> list[str]:
    """Why a trial is the champion, as it was told last; nothing of another trial."""
    known = kept(connection, study_id, _WHY_KEY)
    if not isinstance(known, dict) or known["trial"] != number:
        return []
    reasons = known["why"]
    return list(map(str, reasons)) if isinstance(reasons, list) else []


def end_in_words(storage: Storage, uid: str, number: int) -> str:
    """What came of a trial and why it stopped, as the storage knows it; empty where it has not ended."""
    facts = storage.retry(lambda: _trial_facts(storage, uid, number), "looking up a trial")
    return "" if facts is None else trial_end(facts)


def _trial_facts(storage: Storage, uid: str, number: int) -> TrialFacts | None:
    """None where the trial was deleted meanwhile."""
    query = (
        select(
            TRIALS.c.trial_id,
            HPO_STUDIES.c.uid,
            HPO_STUDIES.c.spec_json,
            HPO_STUDIES.c.trials,
            STUDIES.c.study_name,
        )
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == TRIALS.c.study_id)
        .join(STUDIES, STUDIES.c.study_id == TRIALS.c.study_id)
        .where(HPO_STUDIES.c.uid == uid, TRIALS.c.number == number)
    )
    # Read by itself, in one state of the database, as the trial's seals need it.
    with storage.read() as connection:
        row = connection.execute(query).first()
        if row is None:
            return None
        trial = read_trial(connection, row.trial_id)
    metric = stored_spec(storage, row).study.metric
    return TrialFacts.of(number, trial.state.name, metric, trial.value, trial.user_attrs)


def _what_it_is(spec: StudySpec) -> dict[str, str]:
    """What tells studies apart that are looked at side by side."""
    return {
        "model": spec.model.name,
        "data": spec.data.source,
        "metric": spec.study.metric,
        "sampler": spec.search.sampler.name,
        "pruner": spec.search.pruner.name,
    }


def _best(entries: list[Entry]) -> dict[str, str]:
    if not entries:
        return {}
    return {"best": f"{entries[0].score_in_words()} (trial {entries[0].number})"}


def _write_note(connection: Connection, study_id: int, trial_id: int | None, body: str) -> None:
    """Write a note, unless a person has changed the one that is there."""
    if _is_ours(read_note(connection, study_id, trial_id)):
        sealed = f"{body}\n\n[//]: # (hpo {_digest(body)})"
        write_note(connection, study_id, trial_id, sealed)


def _is_ours(note: str) -> bool:
    """Whether a note is as we wrote it: its last line, which Markdown does not show, is its digest."""
    seal = _SEAL.search(note)
    return not note or (seal is not None and seal["digest"] == _digest(note[: seal.start()]))


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]
