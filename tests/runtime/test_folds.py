"""Studies whose trials are validated on folds, from the first trial to a champion that was lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from optuna.trial import FrozenTrial

from hpo.data.folds import validated_texts
from hpo.digests import file_digest
from hpo.errors import ModelError
from hpo.model.saved import TRAINED_FILE
from hpo.results.leaderboard import BEST_EVALUATION, leaderboard
from hpo.results.report.facts import read_facts
from hpo.results.report.hard_texts import hard_text_sections
from hpo.runtime.announcement import announce_champion
from hpo.runtime.course import StudyCourse
from hpo.runtime.ensembling import make_ensemble
from hpo.runtime.events import Event, TrialEnded, TrialEvaluated
from hpo.runtime.finish import finish_study, tidy
from hpo.runtime.preparation import Prepared, prepare
from hpo.runtime.session import Session, open_session
from hpo.spec.ensemble_methods import USUAL_SIZES
from hpo.spec.locations import Locations
from hpo.spec.study import StudySpec
from hpo.storage.storage import open_storage
from hpo.studies.confirmations import confirmation_trials, run_key, scored_at
from hpo.studies.registration import submit
from hpo.tracking.local_store import make_local_store
from tests.storages import SpecFactory
from tests.tracking.reading import client, run_named

pytestmark = pytest.mark.slow

FOLDS = 3


@pytest.fixture
def spec(make_spec: SpecFactory) -> StudySpec:
    """Two trials of a moment: the demo's model, all but its last layer frozen."""
    return make_spec(
        space={"learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}},
        study__trials=2,
        data__max_train_examples=60,
        training__batch_size=8,
        training__epochs=2,
        training__freeze_depth=4,
        training__evaluations_per_epoch=2,
        training__checkpoint="always",
        validation__folds=FOLDS,
    )


def places(folder: Path) -> Locations:
    return Locations(
        f"sqlite:///{folder}/optuna.db",
        f"sqlite:///{folder}/mlflow.db",
        folder / "state",
        folder / "cache",
        10**9,
    )


@pytest.fixture
def locations(tmp_path: Path) -> Locations:
    return places(tmp_path)


@pytest.fixture
def prepared(spec: StudySpec, locations: Locations) -> Prepared:
    return prepare(spec, locations)


def weights(session: Session, number: int) -> str:
    return str(file_digest(session.models.path(number) / TRAINED_FILE))


def trials_of(session: Session) -> list[FrozenTrial]:
    return session.study.load().trials


def test_the_champion_is_trained_on_all_texts_once_and_again_where_it_is_lost(
    prepared: Prepared, locations: Locations, tmp_path: Path
) -> None:
    events: list[Event] = []
    with open_storage(locations.storage_url) as storage:
        submit(storage, prepared.spec)
        with open_session(
            storage, "study", locations, prepared=prepared, on_event=events.append
        ) as session:
            assert StudyCourse(session).until_done()
            assert not session.models.numbers()
            champion = finish_study(session)
            assert champion is not None
            best = session.study.read(leaderboard)[0]
            assert (champion.number, champion.source.how) == (best.number, "refit")
            assert champion.times_tested == 1
            assert finish_study(session) == champion
            shown = read_facts(storage, "study").hard_texts
            assert shown is not None
            assert (shown.folds, shown.texts) == (FOLDS, len(validated_texts(prepared.data.folds)))
            assert "without it" in hard_text_sections(read_facts(storage, "study"))
            assert champion.test.temperature != 1
            assert [e.state for e in events if isinstance(e, TrialEnded)][-1] == "RETRAINED"
            assert session.models.numbers() == {best.number}
            for method in USUAL_SIZES:
                with pytest.raises(ModelError, match="trials over folds"):
                    make_ensemble(session, method)
            trained = weights(session, best.number)
            assert announce_champion(session, champion).uri == "models:/study@champion"
        tidy(session)

        # Somebody loses both the folder of kept models and MLflow.
        shutil.rmtree(session.models.folder)
        (tmp_path / "new").mkdir()
        make_local_store(f"sqlite:///{tmp_path}/new/mlflow.db")
        elsewhere = replace(locations, tracking_uri=f"sqlite:///{tmp_path}/new/mlflow.db")
        with open_session(storage, "study", elsewhere, prepared=prepared) as session:
            assert finish_study(session) == champion
            assert announce_champion(session, champion).uri == "models:/study@champion"
            assert weights(session, best.number) == trained


def test_each_fold_that_confirms_is_scored_at_the_searchs_best_evaluation_of_it(
    spec: StudySpec, locations: Locations
) -> None:
    confirm = spec.confirm.model_copy(update={"seeds": 2, "top": 2})
    confirmed = spec.model_copy(update={"confirm": confirm})
    prepared = prepare(confirmed, locations)
    with open_storage(locations.storage_url) as storage:
        submit(storage, confirmed)
        with open_session(storage, "study", locations, prepared=prepared) as session:
            assert StudyCourse(session).until_done()
            entries = {entry.number: entry for entry in session.study.read(leaderboard)}
            confirming = confirmation_trials(session.study)
    assert len(confirming) == 4
    for trial in confirming:
        at = entries[run_key(trial).trial].best_evaluations
        assert len(at) == FOLDS
        assert scored_at(trial) == at == tuple(trial.user_attrs[BEST_EVALUATION])
    assert len({trial.value for trial in confirming}) > 1


def test_a_trial_tells_of_each_fold_and_of_their_mean(
    prepared: Prepared, locations: Locations
) -> None:
    with open_storage(locations.storage_url) as storage:
        submit(storage, prepared.spec)
        with open_session(storage, "study", locations, prepared=prepared) as session:
            session.work.next_trial()
            [trial] = trials_of(session)
    assert sorted(trial.intermediate_values) == [1, 2, 3, 4, 8, 12]
    assert trial.intermediate_values[12] == trial.value
    assert trial.user_attrs["folds"] == FOLDS
    metrics = run_named(locations.tracking_uri, "study", "trial-0000").data.metrics
    of_folds = [metrics[f"fold_{fold}/val/best_accuracy"] for fold in (1, 2, 3)]
    assert trial.value == pytest.approx(sum(of_folds) / FOLDS)
    assert metrics["val/accuracy"] == metrics["val/best_accuracy"] == trial.value
    assert metrics["val/accuracy_std"] == trial.user_attrs["std_over_folds"]
    assert 0 < metrics["val/best_epoch"] <= 2


KILLED = """
import os, signal, sys
from pathlib import Path
from hpo.runtime.ensembling import make_ensemble
from hpo.runtime.events import TrialEvaluated
from hpo.runtime.session import open_session
from hpo.storage.storage import open_storage
from tests.runtime.test_folds import places

def on_event(event):
    if isinstance(event, TrialEvaluated) and event.share > 0.8:
        os.kill(os.getpid(), signal.SIGKILL)

where = places(Path(sys.argv[1]))
with open_storage(where.storage_url) as storage:
    with open_session(storage, "study", where, on_event=on_event) as session:
        session.work.next_trial()
"""


def kill_in(script: str, folder: Path) -> None:
    """Run a script that kills itself in the middle of the study in a folder."""
    # As many threads as here: sums in another order are other numbers.
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-c", script, str(folder)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment)
    assert ended.returncode == -signal.SIGKILL


def test_a_worker_killed_in_the_third_fold_makes_no_difference(
    spec: StudySpec, prepared: Prepared, tmp_path: Path
) -> None:
    outcomes = []
    for kill in (False, True):
        folder = tmp_path / f"killed {kill}"
        folder.mkdir()
        where = replace(places(folder), cache=tmp_path / "cache")
        with open_storage(where.storage_url) as storage:
            submit(storage, spec)
            if kill:
                kill_in(KILLED, folder)
            events: list[Event] = []
            with open_session(
                storage,
                "study",
                where,
                prepared=prepared,
                on_event=events.append,
            ) as session:
                assert StudyCourse(session).until_done()
                first, second = trials_of(session)
            outcomes.append(
                [
                    (t.value, t.intermediate_values, t.user_attrs["best_epoch"])
                    for t in (first, second)
                ]
            )
            if kill:  # it was gone on with where it was, in its last fold
                shares = [each.share for each in events if isinstance(each, TrialEvaluated)]
                assert shares[0] > 2 / 3
    assert outcomes[0] == outcomes[1]


KILLED_IN_THE_REFIT = """
import os, signal, sys
from pathlib import Path
from hpo.runtime.course import StudyCourse
from hpo.runtime.ensembling import make_ensemble
from hpo.runtime.events import TrialEvaluated
from hpo.runtime.finish import finish_study
from hpo.runtime.session import open_session
from hpo.storage.storage import open_storage
from tests.runtime.test_folds import places

where, done = places(Path(sys.argv[1])), []

def hear(event):
    if done and isinstance(event, TrialEvaluated) and event.share > 0.5:
        os.kill(os.getpid(), signal.SIGKILL)

with open_storage(where.storage_url) as storage:
    with open_session(storage, "study", where, on_event=hear) as session:
        assert StudyCourse(session).until_done()
        done.append(True)
        finish_study(session)
"""


def test_killed_in_the_training_on_all_texts_there_is_the_same_champion_once(
    spec: StudySpec, prepared: Prepared, tmp_path: Path
) -> None:
    found = []
    for kill in (False, True):
        folder = tmp_path / f"killed {kill}"
        folder.mkdir()
        where = replace(places(folder), cache=tmp_path / "cache")
        with open_storage(where.storage_url) as storage:
            submit(storage, spec)
            if kill:
                kill_in(KILLED_IN_THE_REFIT, folder)
            with open_session(storage, "study", where, prepared=prepared) as session:
                assert StudyCourse(session).until_done()
                champion = finish_study(session)
                assert champion is not None
                assert session.tracker.flush(120) == 0
                assert announce_champion(session, champion).uri == "models:/study@champion"
                found.append((champion, weights(session, champion.number)))
        assert len(client(where.tracking_uri).search_model_versions("name = 'study'")) == 1
    assert found[0] == found[1]
