"""A process's work on a study from its first trial to its last: the search, then what confirms its best.

Once the search's budget is met, the best trials are trained again with new seeds, by all workers side by
side, before one of them becomes the champion and the test split is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack

from optuna.trial import FrozenTrial, TrialState

from hpo.closing import Closing
from hpo.leases.budget import NoTrial
from hpo.results.confirmed import Confirmation, Confirmed, ranking
from hpo.results.leaderboard import Entry, leaderboard
from hpo.runtime.events import ConfirmationEvent, Event, FeatureProgress, bare
from hpo.runtime.session import Session, open_session
from hpo.runtime.study_work import until_done
from hpo.spec.names import confirmation_name
from hpo.studies.confirmations import (
    ConfirmationRun,
    RunKey,
    confirmation_trials,
    run_key,
    study_confirmed_on,
    trained_runs,
    want_runs,
)
from hpo.studies.studies import OpenStudy


class StudyCourse(Closing):
    """A process's part in a study, which it has open: its search and its confirmation."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._held = ExitStack()
        self._confirmation: Session | None = None

    def until_done(self) -> bool:
        """Take trials until both budgets are met (True) or somebody asks to stop (False).

        Raises:
            StudyFailedError: Many trials in a row have failed.
            StorageError: The database stays away.
        """
        return until_done(self.next_trial, self._session.work.should_stop)

    def next_trial(self) -> NoTrial | None:
        """Take one trial and bring it to its end; why there was none, where there was none."""
        outcome = self._session.work.next_trial()
        if outcome is not NoTrial.DONE or not is_unconfirmed(self._session.study):
            return outcome
        if self._confirmation is None:
            self._confirmation = self._held.enter_context(_confirmation(self._session))
        return self._confirmation.work.next_trial()

    def close(self) -> None:
        """Leave the confirmation. The session is the caller's."""
        self._held.close()


def is_unconfirmed(study: OpenStudy) -> bool:
    """Whether a study whose search is over still has its best to be confirmed; queues what is missing."""
    wanted = wanted_runs(study, study.read(leaderboard))
    over = trained_runs(confirmation_trials(study)) if wanted else {}
    if all(run.key in over for run in wanted):
        return False
    want_runs(study, wanted)
    return True


def wanted_runs(study: OpenStudy, entries: Sequence[Entry]) -> list[ConfirmationRun]:
    """The trainings that confirm a study, one seed of all before the next, so that all wait for none.

    Args:
        study: It.
        entries: Its leaderboard.
    """
    confirm = study.spec.confirm
    on = study_confirmed_on(study) if confirm.seeds else "same"
    return [
        ConfirmationRun(RunKey(entry.number, repetition, on), entry.params, entry.best_evaluations)
        for repetition in range(confirm.seeds)
        for entry in candidates(entries, confirm.top)
    ]


def candidates(entries: Sequence[Entry], top: int) -> list[Entry]:
    """The best trials, of those with the same parameters the best alone."""
    distinct: list[Entry] = []
    for entry in entries:
        if all(entry.params != each.params for each in distinct):
            distinct.append(entry)
        if len(distinct) == top:
            break
    return distinct


def confirmation_of(study: OpenStudy, entries: Sequence[Entry]) -> Confirmation | None:
    """What the confirmation came to; None where there is none, or it is not over.

    Args:
        study: It.
        entries: Its leaderboard.
    """
    wanted = wanted_runs(study, entries)
    over = trained_runs(confirmation_trials(study)) if wanted else {}
    if not wanted or any(run.key not in over for run in wanted):
        return None
    on, seeds = wanted[0].key.on, range(study.spec.confirm.seeds)
    return ranking(
        [
            Confirmed(
                entry.number,
                entry.value,
                tuple(_value(over[RunKey(entry.number, seed, on)]) for seed in seeds),
            )
            for entry in candidates(entries, study.spec.confirm.top)
        ],
        study.spec.direction,
        on,
    )


def _value(trial: FrozenTrial) -> float | None:
    return trial.value if trial.state is TrialState.COMPLETE else None


def _confirmation(session: Session) -> AbstractContextManager[Session]:
    """This process's part in the confirmation: of the same data and model, told of as what it is."""
    study, work = session.study, session.work
    trials, wanted = confirmation_trials(study), wanted_runs(study, study.read(leaderboard))
    runs: dict[int, RunKey] = {trial.number: run_key(trial) for trial in trials}
    over = trained_runs(trials)
    finished, seeds = sum(run.key in over for run in wanted), study.spec.confirm.seeds

    def tell(event: Event) -> None:
        told = bare(event)
        known = None if isinstance(told, FeatureProgress) else runs.get(told.number)
        run = None if known is None else (known.trial, known.repetition)
        work.on_event(ConfirmationEvent(told, run, len(wanted) // seeds, seeds, finished))

    return open_session(
        study.storage,
        confirmation_name(study.name),
        session.locations,
        prepared=session.prepared,
        on_event=tell,
        should_stop=work.should_stop,
    )
