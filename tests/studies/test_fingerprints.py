"""Data and model that a study's trials have in common."""

from __future__ import annotations

from dataclasses import replace

import pytest
from optuna.trial import TrialState

from hpo.errors import (
    DataError,
    HpoError,
    ModelError,
)
from hpo.leases.budget import claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.storage.storage import Storage
from hpo.studies.fingerprints import Fingerprints, check_fingerprints
from hpo.studies.progress import progress
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from tests.storages import SpecFactory
from tests.studies.finished import SEEN, finish_one


@pytest.mark.parametrize(
    ("other", "kind"),
    [(replace(SEEN, data="3" * 64), DataError), (replace(SEEN, model="3" * 64), ModelError)],
)
def test_a_study_with_trials_is_refused_other_data_or_another_model_with_nothing_written(
    storage: Storage, make_spec: SpecFactory, other: Fingerprints, kind: type[HpoError]
) -> None:
    submit(storage, make_spec(study__trials=1), fingerprints=SEEN)
    finish_one(storage, "study")
    with pytest.raises(kind, match=f"fingerprint {'3' * 12}, theirs [12]"):
        submit(storage, make_spec(study__trials=9), fingerprints=other)
    assert progress(storage, "study").wanted == 1
    assert submit(storage, make_spec(study__trials=2), fingerprints=SEEN).wanted == 2


def test_a_trial_that_was_given_back_counts_as_trained_on_its_data(
    storage: Storage, make_spec: SpecFactory
) -> None:
    submit(storage, make_spec(), fingerprints=SEEN)
    with Worker(storage) as worker:
        claim = claim_trial(open_study(storage, "study"), worker)
        assert isinstance(claim, Claim)
        claim.release()
    with pytest.raises(DataError):
        submit(storage, make_spec(), fingerprints=replace(SEEN, data="3" * 64))


def test_data_may_be_mended_as_long_as_no_trial_came_to_anything(
    storage: Storage, make_spec: SpecFactory
) -> None:
    study_id = submit(storage, make_spec(), fingerprints=SEEN).study_id
    with Worker(storage) as worker:
        claim = claim_trial(open_study(storage, "study"), worker)
        assert isinstance(claim, Claim)
        claim.finish(TrialState.FAIL, reason="the loss became nan")
    mended = replace(SEEN, data="3" * 64)
    submit(storage, make_spec(), fingerprints=mended)
    check_fingerprints(storage, study_id, "study", mended)
    with pytest.raises(DataError):
        check_fingerprints(storage, study_id, "study", SEEN)


def test_a_study_registered_before_its_data_was_seen_takes_those_of_the_first_who_comes(
    storage: Storage, make_spec: SpecFactory
) -> None:
    study_id = submit(storage, make_spec()).study_id
    check_fingerprints(storage, study_id, "study", SEEN)
    submit(storage, make_spec())  # without a look at the data, again
    with pytest.raises(ModelError):
        check_fingerprints(storage, study_id, "study", replace(SEEN, model="3" * 64))
