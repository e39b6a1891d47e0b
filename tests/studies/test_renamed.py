"""A study renamed as the Optuna dashboard does it: copied under the new name, then deleted."""

from __future__ import annotations

import logging

import optuna
import pytest

from hpo.errors import StorageError, StudyGoneError
from hpo.storage.storage import Storage
from hpo.studies.registration import submit
from hpo.studies.renamed import study_not_found
from hpo.studies.studies import open_study
from tests.storages import SpecFactory
from tests.studies.finished import finish_one


def rename(storage: Storage, old: str, new: str) -> None:
    source = optuna.load_study(study_name=old, storage=storage.optuna)
    copy = optuna.create_study(study_name=new, storage=storage.optuna, directions=source.directions)
    copy.add_trials(source.get_trials(deepcopy=False))
    optuna.delete_study(study_name=old, storage=storage.optuna)


def test_a_renamed_study_is_named_as_such(
    storage: Storage, make_spec: SpecFactory, caplog: pytest.LogCaptureFixture
) -> None:
    submit(storage, make_spec(study__trials=3))
    finish_one(storage, "study")
    study = open_study(storage, "study")
    rename(storage, "study", "better")
    with pytest.raises(StorageError, match=r"renamed in the dashboard.*--name that is free"):
        submit(storage, make_spec(study__name="better"))
    with pytest.raises(StudyGoneError, match="deleted, and a copy better, made when a study"):
        study.read(lambda each: each.trials)
    url = storage.url
    with pytest.raises(StudyGoneError, match=r"a copy of one of hpo's.*--name that is free"):
        raise study_not_found(url, "better", [])
    with pytest.raises(StudyGoneError, match="found no study bettor; expected one of study"):
        raise study_not_found(url, "bettor", ["study"])
    with caplog.at_level(logging.WARNING):
        submit(storage, make_spec(study__trials=3))
    assert "begins anew; there is a copy better" in caplog.text
