"""What a line of progress says: a time left only where one is known, and nothing behind a bar that stands alone."""

from __future__ import annotations

from hpo.runtime.events import ConfirmationEvent, TrialEnded, TrialStarted
from hpo.study_state import StudyState


def test_no_time_is_left_of_what_follows_the_last_trial() -> None:
    state = StudyState(wanted=2, finished=0, best=None, maximize=True)
    assert state.line() == "0/2 trials"
    for number in range(2):
        state.update(TrialStarted(number, 1))
        assert state.line().endswith(f" | #{number} 0%")
        state.update(TrialEnded(number, "COMPLETE", 0.5, 1.0))
        assert (" left" in state.line()) == (number == 0)
    assert state.line() == "2/2 trials, best 0.5000 (trial 0)"

    confirming = ConfirmationEvent(TrialEnded(0, "COMPLETE", 0.5, 1.0), (0, 0), 1, 1, 0)
    state.update(confirming)
    assert state.line() == f"{confirming.title}: 1/1 trainings"
