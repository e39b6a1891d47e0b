"""What a study found is told later as it was remembered, each line with its figures, and nothing that is not there."""

from __future__ import annotations

import json
from dataclasses import replace

from hpo.results.champion import Champion
from hpo.results.confirmed import Confirmed, ranking
from hpo.results.final_test import TestScore
from hpo.results.found import Found, found_by
from hpo.results.presentation import CHAMPION_KEY
from hpo.results.refitted import REFIT_KEY, Refit
from hpo.storage.storage import Storage
from hpo.studies.memory import remember
from hpo.studies.registration import submit
from tests.storages import SpecFactory

CHAMPION = Champion(
    number=1,
    value=0.918,
    test=TestScore(200, {"accuracy": 0.9045}, {"accuracy": (0.893, 0.9165)}, ((99, 1), (1, 99))),
    registered_name="study-1c6fbd46",
    times_tested=1,
    confirmation=ranking([Confirmed(1, 0.918, (0.9, 0.908))], "maximize", "new"),
)
REFIT = Refit("train+validation", 1, 1700, 2.0, "study-1c6fbd46")


def test_what_was_remembered_is_found_again(
    sqlite_storage: Storage, make_spec: SpecFactory
) -> None:
    study_id = submit(sqlite_storage, make_spec()).study_id
    nothing = found_by(sqlite_storage, study_id)
    assert nothing.in_words("accuracy") == {}
    assert nothing.as_json() == {"champion": None, "refit": None}

    told = json.loads(json.dumps([CHAMPION.as_json(), REFIT.as_json()]))
    for key, document in zip((CHAMPION_KEY, REFIT_KEY), told, strict=True):
        remember(sqlite_storage, study_id, key, document)
    found = found_by(sqlite_storage, study_id)
    assert found == Found(CHAMPION, REFIT)
    assert found.in_words("accuracy") == {
        "champion": "models:/study-1c6fbd46@champion, trial 1",
        "confirmed": "accuracy 0.9040 ± 0.0040 over 2 new seeds on new texts; "
        "optimism of the search +0.0140",
        "test": "accuracy 0.9045 (95 % interval 0.8930 to 0.9165, 200 texts, looked at once)",
        "refit": "models:/study-1c6fbd46@refit, trial 1 trained once more for 2.00 epochs "
        "on train+validation (1,700 texts)",
    }
    assert found.as_json()["champion"]["registered"] == "models:/study-1c6fbd46@champion"
    assert found.as_json()["champion"]["confirmation"]["mean"] == 0.904


def test_a_champion_that_nothing_confirmed_is_told_without() -> None:
    said = Found(replace(CHAMPION, confirmation=None), None).in_words("accuracy")
    assert list(said) == ["champion", "test"]
