"""Every way in which an attempt at a trial can end, on a real SQLite study with its training stubbed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest
from sqlalchemy import exc, select

from hpo.errors import DiskError, HpoError, ModelError, StorageError, StudyFailedError
from hpo.leases.budget import NoTrial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.lease import LeaseLost
from hpo.runtime import kept_models, study_work, trainings
from hpo.runtime.events import Event, TrialEnded
from hpo.runtime.preparation import Prepared
from hpo.runtime.study_work import StudyWork, until_done
from hpo.storage.storage import Storage
from hpo.storage.tables import FREE, HELD, HPO_CLAIMS, OVER
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, open_study
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.tracking.tracker import StudyTracker
from hpo.tracking.trial_run import TrialRun
from hpo.training.checkpoint import CheckpointFile
from hpo.training.evaluate import TrainingDiverged
from hpo.training.loop import TrialInterrupted
from hpo.training.micro_batches import BatchTooLarge
from hpo.training.result import End
from tests.runtime.stubs import VALUE, StubTrial, Tracked, let_training, raising
from tests.storages import SpecFactory

DATABASE = exc.OperationalError("SELECT 1", {}, Exception("disk I/O error"))
NO_SPACE = OSError(28, "No space left on device", "/state/file")
MODEL = ModelError("model", found="none", expected="one", hint="Bring it.")


@pytest.fixture
def study(sqlite_storage: Storage, make_spec: SpecFactory) -> OpenStudy:
    submit(sqlite_storage, make_spec(study__trials=8))
    return open_study(sqlite_storage, "study")


@pytest.fixture
def tracked() -> Tracked:
    return Tracked()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def work(
    study: OpenStudy,
    tracked: Tracked,
    events: list[Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[StudyWork]:
    for module in (study_work, trainings):
        monkeypatch.setattr(module, "TrialTraining", StubTrial)
    monkeypatch.setattr(kept_models, "save_trained", lambda *_: None)
    data = SimpleNamespace(label_names=("bad", "good"), max_length=8, preprocessing=None)
    context = SimpleNamespace(data=data, task=SINGLE_LABEL, folds=())
    with Worker(study.storage, name="one") as worker:
        yield StudyWork(
            study=study,
            prepared=cast(Prepared, SimpleNamespace(context=context, environment=dict)),
            tracker=cast(StudyTracker, tracked),
            worker=worker,
            state=tmp_path,
            on_event=events.append,
            should_stop=lambda: False,
        )


Kept = Literal["kept", "removed"]


@dataclass(frozen=True)
class Case:
    """A way to end, and what is there afterwards.

    training: how it stops, or what it raises; optuna: the trial's state; claim: its status, HELD where it is
    another's by now; run: as `Tracked.run_end`; event: the state that listeners are told of, if they are;
    faulty: a function of study_work by name, and what it raises instead of doing its work.
    """

    name: str
    training: End | BaseException
    optuna: str
    claim: str
    run: str | None
    checkpoint: Kept
    event: str | None
    value: float | None = None
    reason: str | None = None
    raised: type[BaseException] | None = None
    faulty: tuple[str, BaseException] | None = None


ENDED = dict[str, Any](claim=OVER, checkpoint="removed")
BROKEN_OFF = dict[str, Any](
    optuna="RUNNING", claim=FREE, run="KILLED", checkpoint="kept", event=None
)
AFTER = dict[str, Any](optuna="COMPLETE", claim=OVER, checkpoint="kept")

CASES = [
    # Its own ends.
    Case(
        "complete", "finished", "COMPLETE", run="FINISHED", event="COMPLETE", value=VALUE, **ENDED
    ),
    Case("early", "early", "COMPLETE", run="FINISHED", event="COMPLETE", value=VALUE, **ENDED),
    Case("pruned", "pruned", "PRUNED", run="KILLED", event="PRUNED", value=VALUE, **ENDED),
    Case(
        "diverged",
        TrainingDiverged("the loss is NaN"),
        "FAIL",
        run="FAILED",
        event="FAIL",
        reason="the loss is NaN",
        **ENDED,
    ),
    Case(
        "too large",
        BatchTooLarge("one text is too much"),
        "FAIL",
        run="FAILED",
        event="FAIL",
        reason="one text is too much",
        **ENDED,
    ),
    Case(
        "a fault of training",
        ValueError("odd"),
        "FAIL",
        run="FAILED",
        event="FAIL",
        reason="ValueError: odd",
        **ENDED,
    ),
    Case(
        "a fault of saving",
        "finished",
        "FAIL",
        run="FAILED",
        event="FAIL",
        reason="ValueError: odd",
        faulty=("keep_trained", ValueError("odd")),
        **ENDED,
    ),
    # The attempt ends, and the trial does not.
    Case("stopped", TrialInterrupted(), **{**BROKEN_OFF, "event": "RELEASED"}),
    Case("claim lost", LeaseLost("gone"), **{**BROKEN_OFF, "claim": HELD, "event": "RELEASED"}),
    Case("no model", MODEL, raised=ModelError, **BROKEN_OFF),
    Case("no disk", NO_SPACE, raised=DiskError, **BROKEN_OFF),
    Case("no database", DATABASE, raised=StorageError, **BROKEN_OFF),
    Case(
        "no disk for the model",
        "finished",
        raised=DiskError,
        faulty=("keep_trained", NO_SPACE),
        **BROKEN_OFF,
    ),
    Case(
        "interrupted", KeyboardInterrupt(), raised=KeyboardInterrupt, **{**BROKEN_OFF, "run": None}
    ),
    # What follows the trial's end goes wrong, and gives it no other.
    Case(
        "no database after the end",
        "finished",
        run="left",
        event=None,
        raised=StorageError,
        faulty=("show_with_trial", DATABASE),
        **AFTER,
    ),
    Case(
        "no disk after the end",
        "finished",
        run="left",
        event=None,
        raised=DiskError,
        faulty=("show_with_trial", NO_SPACE),
        **AFTER,
    ),
    Case(
        "interrupted after the end",
        "finished",
        run="left",
        event=None,
        raised=KeyboardInterrupt,
        faulty=("show_with_trial", KeyboardInterrupt()),
        **AFTER,
    ),
    Case(
        "a fault after the end",
        "finished",
        run="left",
        event="COMPLETE",
        value=VALUE,
        faulty=("show_with_trial", ValueError("odd")),
        **AFTER,
    ),
    Case(
        "a fault of the note",
        "finished",
        run="FINISHED",
        event="COMPLETE",
        value=VALUE,
        faulty=("present_trial", ValueError("odd")),
        **AFTER,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_attempt_ends_everywhere_alike(
    work: StudyWork,
    study: OpenStudy,
    tracked: Tracked,
    events: list[Event],
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
) -> None:
    let_training(monkeypatch, case.training)
    if case.faulty is not None:
        name, error = case.faulty
        monkeypatch.setattr(study_work, name, raising(error))
    if case.raised is None:
        assert work.next_trial() is None
    else:
        with pytest.raises(case.raised):
            work.next_trial()
    [trial] = study.load().get_trials()
    checkpoint = work.checkpoint_of(trial.number).path
    assert trial.state.name == case.optuna
    assert claim_states(study) == [(case.claim, 0)]
    assert tracked.run_end() == case.run
    assert ("kept" if checkpoint.exists() else "removed") == case.checkpoint
    told = [each for each in events if isinstance(each, TrialEnded)]
    assert [(each.state, each.value, each.reason) for each in told] == (
        [] if case.event is None else [(case.event, case.value, case.reason)]
    )
    assert trial.user_attrs.get("hpo.reason") == case.reason


def claim_states(study: OpenStudy) -> list[tuple[str, int]]:
    """Each claim's status, and the deaths counted against its trial."""
    with study.storage.read() as connection:
        rows = connection.execute(select(HPO_CLAIMS.c.status, HPO_CLAIMS.c.deaths))
        return [(row.status, row.deaths) for row in rows]


@pytest.mark.parametrize("error", [NO_SPACE, DATABASE], ids=["disk", "database"])
def test_what_breaks_an_attempt_off_says_where_it_comes_from(
    work: StudyWork, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    let_training(monkeypatch, error)
    with pytest.raises(HpoError) as caught:
        work.next_trial()
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("outcome", ["finished", "pruned", ValueError("odd")], ids=str)
def test_the_storage_hears_of_an_end_first_and_the_checkpoint_goes_last(
    work: StudyWork, monkeypatch: pytest.MonkeyPatch, outcome: End | BaseException
) -> None:
    let_training(monkeypatch, outcome)
    heard: list[str] = []

    def listened(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            heard.append(f"{getattr(owner, '__name__', owner)}.{name}")
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    listened(Claim, "finish")
    listened(TrialRun, "finish")
    listened(study_work, "present_trial")
    listened(CheckpointFile, "remove")
    work.next_trial()
    assert heard == [
        "Claim.finish",
        "TrialRun.finish",
        "hpo.runtime.study_work.present_trial",
        "CheckpointFile.remove",
    ]


def test_failures_in_a_row_stop_the_study_and_a_trial_that_trains_between_them_does_not_count(
    work: StudyWork, study: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = ValueError("odd")
    let_training(monkeypatch, odd, "pruned", odd)
    with pytest.raises(StudyFailedError, match="5 failed trials in a row, the last because"):
        until_done(work.next_trial, work.should_stop)
    states = [trial.state.name for trial in study.load().get_trials()]
    assert states == ["FAIL", "PRUNED", *["FAIL"] * 5]


def test_work_is_done_when_the_budget_is_met(work: StudyWork) -> None:
    assert until_done(work.next_trial, work.should_stop)
    assert work.next_trial() is NoTrial.DONE
