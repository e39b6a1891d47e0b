"""What confirms a study is its own: never that of an earlier study of its name, whatever is done with either."""

from __future__ import annotations

import optuna

from hpo.runtime.study_parts import parts_of
from hpo.spec.names import confirmation_name
from hpo.storage.storage import Storage
from hpo.studies.confirmations import ConfirmationRun, RunKey, confirmation_trials, want_runs
from hpo.studies.overview import Overview, overviews
from hpo.studies.progress import studies_with_work
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from tests.storages import SpecFactory
from tests.studies.finished import finish_one


def seen(storage: Storage, name: str = "study") -> Overview:
    [study] = overviews(storage, name)
    return study


def want_one(storage: Storage) -> str:
    """Queue a training that confirms the study; the uid of what confirms it then."""
    study = open_study(storage, "study")
    point = dict(study.load().best_params)
    want_runs(study, [ConfirmationRun(RunKey(0, 0, "same"), point, scored_at=())])
    return parts_of(storage, seen(storage))[0].identity.uid


def test_what_confirmed_an_earlier_study_of_the_name_is_nothing_of_the_study(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec(study__trials=1))
    finish_one(storage, "study")
    left = want_one(storage)
    before = seen(storage)
    assert before.progress.confirmation is not None
    assert len(parts_of(storage, before)) == 2
    optuna.delete_study(study_name="study", storage=storage.optuna)
    submit(storage, make_spec(study__trials=1))
    finish_one(storage, "study")

    study = seen(storage)
    assert study.progress.confirmation is None
    assert study.as_json()["confirmation"] is None
    assert [part.name for part in parts_of(storage, study)] == ["study"]
    assert confirmation_trials(open_study(storage, "study")) == []
    assert not studies_with_work(storage)
    assert confirmation_name("study") in optuna.get_all_study_names(storage.optuna)
    # Once it is confirmed itself, its own has the name.
    assert want_one(storage) != left
    assert seen(storage).progress.confirmation is not None
    assert len(confirmation_trials(open_study(storage, "study"))) == 1
