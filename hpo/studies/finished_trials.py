"""Finished trials that somebody names, `quickstart#17`: found, or refused with the nearest."""

from __future__ import annotations

import re
from typing import Final

from optuna.trial import FrozenTrial, TrialState

from hpo.errors import OptionError
from hpo.storage.storage import Storage
from hpo.studies.progress import FINISHED
from hpo.studies.renamed import check_registered

OPTION: Final = "--replay"
_REASON: Final = "hpo.reason"


def named_trial(named: str, storage_url: str) -> tuple[str, int]:
    """The study and the number that `quickstart#17` names; creates nothing.

    Raises:
        OptionError: It is no such name.
        StudyGoneError: There is no such study.
    """
    name, _, number = named.rpartition("#")
    if not name or not re.fullmatch(r"[0-9]{1,9}", number):
        raise OptionError(
            OPTION,
            found=repr(named),
            expected="a study and the number of one of its trials",
            hint="Write e.g. --replay 'quickstart#17'.",
        )
    check_registered(storage_url, name)
    return name, int(number)


def finished_trial(storage: Storage, study_id: int, name: str, number: int) -> FrozenTrial:
    """The trial with its end. Raises OptionError where it has none, or is none."""
    trials = storage.retry(
        lambda: storage.optuna.get_all_trials(study_id, deepcopy=False), "reading the trials"
    )
    place, expected = f"{OPTION} {name}#{number}", "a trial that is complete or was pruned"
    known = [each.number for each in trials if each.state in FINISHED]
    near = min(known, key=lambda each: abs(each - number), default=None)
    hint = "Run the study first." if near is None else f"The nearest is {name}#{near}."
    if number >= len(trials):
        count = f"no trial {number} among the {len(trials)} of the study"
        raise OptionError(place, found=count, expected=expected, hint=hint)
    [trial] = (each for each in trials if each.number == number)
    if number not in known:
        found = {
            TrialState.WAITING: "a trial that waits to be tried",
            TrialState.RUNNING: "a trial that is still under way",
            TrialState.FAIL: f"a trial that failed ({trial.user_attrs.get(_REASON, 'nobody said why')})",
        }[trial.state]
        raise OptionError(place, found=found, expected=expected, hint=hint)
    return trial
