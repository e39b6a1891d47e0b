"""What the two UIs are told of a study: notes, names, drawings; and that people's own notes are left alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from hpo.results.dashboard_drawings import artifact_folder, show_with_study, show_with_trial
from hpo.results.leaderboard import counts, leaderboard
from hpo.results.notes import TrialFacts, study_note, trial_note
from hpo.results.presentation import end_in_words, present_champion, present_study, present_trial
from hpo.runtime.outcomes import set_trial_run
from hpo.spec.study import StudySpec
from hpo.storage.storage import Storage, open_storage
from hpo.studies.reading import known_reading, note_reading
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, open_study
from tests.test_terminal import READING, champion

dashboard = pytest.importorskip("optuna_dashboard")
URL = "http://127.0.0.1:5000/#/experiments/1/runs/abc"


class Tracker:
    """Keeps what the study's run is described as."""

    study_url = "http://m/#/experiments/1/runs/1"
    table_url = "http://m/#/experiments/1/runs"
    description = ""

    def describe(self, markdown: str) -> None:
        self.description = markdown


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with open_storage(f"sqlite:///{tmp_path}/optuna.db") as storage:
        yield storage


@pytest.fixture
def study(storage: Storage) -> OpenStudy:
    spec = StudySpec.model_validate(
        {
            "study": {"name": "s", "metric": "accuracy", "trials": 5},
            "search": {
                "space": {
                    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
                    "batch_size": [8, 16],
                    "epochs": {"low": 1, "high": 5},
                }
            },
        }
    )
    submit(storage, spec)
    return open_study(storage, "s")


def add_trial(
    study: OpenStudy, value: float | None, state: TrialState = TrialState.COMPLETE, **more: Any
) -> None:
    distributions = {"learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True)}
    study.load().add_trial(
        optuna.trial.create_trial(
            params={"learning_rate": 1e-3},
            distributions=distributions,
            value=value,
            state=state,
            user_attrs={"epochs_run": 2.5, "seconds": 9.0, "stopped": "early", **more},
        )
    )


def note(study: OpenStudy, number: int | None = None) -> str:
    """The note as the dashboard reads it."""
    loaded = study.load()
    attributes = study.storage.optuna.get_study_system_attrs(study.study_id)
    from optuna_dashboard._note import get_note_from_system_attrs

    trial_id = None if number is None else loaded.trials[number]._trial_id
    return str(get_note_from_system_attrs(attributes, trial_id)["body"])


def test_a_trials_note_links_to_its_run_and_says_how_it_ended(study: OpenStudy) -> None:
    add_trial(study, 0.87)
    set_trial_run(study.storage, study.uid, 0, run_id="abc", url=URL)
    present_trial(study.storage, study.uid, 0)
    assert note(study, 0).startswith(f"[MLflow run of trial 0]({URL})")
    assert "accuracy **0.8700**; stopped early" in note(study, 0)


def test_a_run_is_described_by_what_came_of_its_trial(study: OpenStudy) -> None:
    add_trial(study, 0.87)
    words = end_in_words(study.storage, study.uid, 0)
    assert (
        words
        == "accuracy **0.8700**; stopped early, as it no longer improved; 2.50 epochs in 9.0 s."
    )
    assert end_in_words(study.storage, study.uid, 1) == ""


def test_a_note_grows_with_what_is_known(study: OpenStudy) -> None:
    add_trial(study, 0.87)
    present_trial(study.storage, study.uid, 0)
    assert "MLflow" not in note(study, 0)
    set_trial_run(study.storage, study.uid, 0, run_id="abc", url=URL)
    present_trial(study.storage, study.uid, 0)
    assert URL in note(study, 0)


def test_the_champions_trial_says_why_it_is_that_until_another_is(study: OpenStudy) -> None:
    add_trial(study, 0.87)
    add_trial(study, 0.90)
    note_reading(study.storage, study.study_id, READING)
    tracker: Any = Tracker()
    first, second = (replace(champion(((47, 5), (6, 42))), number=number) for number in (0, 1))
    present_champion(study, tracker, first, None)
    assert "0.0300 worse than the best of the search, trial 1" in note(study, 0)
    present_champion(study, tracker, second, first)
    assert "Why it is the champion" not in note(study, 0)
    for words in (note(study, 1), note(study), tracker.description):
        assert "0.0300 better than the next, trial 0. The search alone does not tell" in words
    assert "It stopped early, as it no longer improved, after 2.50 epochs." in tracker.description


def test_a_note_that_a_person_edited_is_left_alone(study: OpenStudy) -> None:
    add_trial(study, 0.87)
    present_trial(study.storage, study.uid, 0)
    edited = note(study, 0).replace("stopped", "was stopped") + "\n\nMine."
    from optuna_dashboard._note import save_note_with_version

    trial_id = study.load().trials[0]._trial_id
    save_note_with_version(study.storage.optuna, study.study_id, trial_id, 2, edited)
    present_trial(study.storage, study.uid, 0)
    assert note(study, 0) == edited


def test_the_study_is_described_in_both_places(
    study: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_DASHBOARD_URL", "http://d/")
    tracker = Tracker()
    present_study(study, tracker)  # type: ignore[arg-type]
    assert "0 of 5 trials finished" in tracker.description
    add_trial(study, 0.7)
    add_trial(study, 0.9)
    present_study(study, tracker)  # type: ignore[arg-type]
    assert "**Best so far: trial 1**, validation accuracy **0.9000**" in tracker.description
    assert "[Optuna dashboard](http://d/dashboard/studies/1)" in tracker.description
    assert "| learning_rate&emsp; | 1e-05 to 0.01, by its logarithm |" in tracker.description
    assert tracker.study_url in note(study)
    assert "Best so far: trial 1" in note(study)
    assert study.load().metric_names == ["accuracy"]
    assert study.load().user_attrs["metric"] == "accuracy"
    assert study.load().user_attrs["best"] == "0.9000 (trial 1)"


def test_the_study_is_described_with_what_its_scores_are_held_against(study: OpenStudy) -> None:
    note_reading(study.storage, study.study_id, READING)
    for value in (0.52, 0.51, 0.3):
        add_trial(study, value)
    tracker = Tracker()
    present_study(study, tracker, champion())  # type: ignore[arg-type]
    for text in (tracker.description, note(study)):
        assert "On the validation split: Always answering 'good', the largest class" in text
        assert "1 of the other 2 complete trials lies within one standard error" in text
        assert "**Beware:** the champion does not beat always answering 'bad'" in text
        assert "**Beware:** the champion never answers 1 of the 2 classes" in text
        assert READING.in_words() in text


def test_what_was_read_is_kept_once_with_the_study(study: OpenStudy) -> None:
    assert known_reading(study.storage, study.study_id) is None
    for _ in range(2):
        note_reading(study.storage, study.study_id, READING)
        assert known_reading(study.storage, study.study_id) == READING


def test_a_long_note_is_cut_as_the_dashboard_cuts_and_shrinks_again(study: OpenStudy) -> None:
    spec = study.spec.model_dump()
    spec["study"]["description"] = "long " * 2000
    long = OpenStudy(**{**vars(study), "spec": StudySpec.model_validate(spec)})
    present_study(long, Tracker())  # type: ignore[arg-type]
    assert note(study).count("long ") == 2000
    present_study(study, Tracker())  # type: ignore[arg-type]
    assert "long" not in note(study)
    assert "\n\nFine-tuning" in note(study)


def test_drawings_are_artifacts_as_optuna_lists_them(study: OpenStudy, tmp_path: Path) -> None:
    add_trial(study, 0.87)
    trial = study.load().trials[0]
    for drawing in ("<svg>1</svg>", "<svg>2</svg>"):
        show_with_trial(study.storage, trial._trial_id, tmp_path, "confusion.svg", drawing)
        show_with_study(study.storage, study.study_id, tmp_path, "curves.svg", drawing)
    with open_storage(study.storage.url, for_viewing=True) as viewed:
        loaded = optuna.load_study(study_name="s", storage=viewed.optuna)
        of_trial = optuna.artifacts.get_all_artifact_meta(loaded.trials[0], storage=viewed.optuna)
        of_study = optuna.artifacts.get_all_artifact_meta(loaded)
    assert [meta.filename for meta in of_trial] == ["confusion.svg"]
    assert [meta.filename for meta in of_study] == ["curves.svg"]
    assert of_trial[0].mimetype == "image/svg+xml"
    stored = artifact_folder(tmp_path) / of_trial[0].artifact_id
    assert stored.read_text() == "<svg>2</svg>"


def test_a_failed_trial_says_why() -> None:
    facts = TrialFacts(3, "FAIL", "accuracy", None, {"reason": "the loss is NaN"})
    assert trial_note(facts) == "**Failed**: the loss is NaN"


def test_a_trial_of_which_nothing_is_known_has_no_note() -> None:
    assert trial_note(TrialFacts(3, "RUNNING", "accuracy", None, {})) == ""


def test_values_cannot_break_the_table(study: OpenStudy) -> None:
    add_trial(study, 0.5, mlflow_url=URL)
    loaded = study.load()
    text = study_note(study.spec, study.space, counts(loaded), leaderboard(loaded), None, {})
    rows = [line for line in text.splitlines() if line.startswith("| [0]")]
    assert rows == [f"| [0]({URL})&emsp; | 0.5000&emsp; | 0.001&emsp; | &emsp; |  |"]
    assert json.dumps(text)
