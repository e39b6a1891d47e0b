"""One small study of a table, stopped in every way there is, resumed, finished and used."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

import hpo
from hpo.api.progress import NotebookView
from hpo.errors import ModelError
from hpo.runtime.events import TrialEnded, TrialEvaluated
from hpo.terminal import StudyState

WORDS = ("joy", "delight", "triumph", "bore", "mess", "waste")
TABLE = pd.DataFrame(
    {
        "review": [f"a {word} of a film, number {n}" for n in range(20) for word in WORDS],
        "stars": ["good", "good", "good", "bad", "bad", "bad"] * 20,
    }
)


def study_of(table: pd.DataFrame) -> hpo.Study:
    return hpo.Study(
        table,
        text_column="review",
        label_column="stars",
        trials=4,
        space={"learning_rate": [1e-3, 3e-3]},
        settings={
            "training.epochs": 1,
            "training.freeze_depth": 4,
            "training.batch_size": 16,
            "search.pruner": "none",
        },
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_is_stopped_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    study, seen = study_of(TABLE), []

    def stop(trial: hpo.Trial) -> None:
        seen.append(trial)
        raise hpo.StopStudy

    study.run(workers=1, callbacks=[stop])
    assert study.trials[0].params == seen[0].params
    assert seen[0].number == 0
    assert seen[0].state == "COMPLETE"
    assert study.best == study.trials[0]
    with pytest.raises(ModelError, match="found no champion"):
        _ = study.champion

    def interrupt(trial: hpo.Trial) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="stopped at 2 finished trials; all is kept"):
        study.run(workers=1, callbacks=[interrupt])
    assert signal.getsignal(signal.SIGINT) is before

    def fail(trial: hpo.Trial) -> None:
        raise ZeroDivisionError("of the caller's")

    with pytest.raises(ZeroDivisionError, match="of the caller's"):
        study.run(workers=1, callbacks=[fail], quiet=True)
    again = study_of(TABLE.copy())
    assert [trial.state for trial in again.trials] == ["COMPLETE"] * 3
    again.run(trials=3, workers=1)
    table = again.trials_dataframe()
    assert list(table["params.learning_rate"]) == [t.params["learning_rate"] for t in study.trials]
    texts = pd.Series(["a joy of a film", None], index=["first", "second"])
    answers = again.champion.predict(texts, top=1)
    assert list(answers.index) == ["first", "second"]
    assert answers["label"]["first"] == answers["label_1"]["first"]
    assert answers["error"]["second"].startswith("not a text")
    assert 0 <= again.test_score <= 1
    assert again.confirmation is not None
    assert 0 <= again.confirmation["mean"] <= 1
    assert repr(again).startswith(f"<hpo.Study {again.name}: 3/3 trials, best accuracy")
    told = capfd.readouterr()
    assert "Traceback" not in told.err
    assert "Stopped at 1 finished trial; all is kept, and run() goes on from here" in told.err


def test_a_notebook_shows_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython.display

    shown = []

    class Handle:
        def update(self, data: dict[str, str], **options: object) -> None:
            shown[0] = data["text/plain"]

    def display(data: dict[str, str], **options: object) -> Handle:
        shown.append(data["text/plain"])
        return Handle()

    monkeypatch.setattr(IPython.display, "display", display)
    view = NotebookView(StudyState(wanted=2, finished=0, best=None, maximize=True))
    assert shown == ["0/2 trials"]
    view.on_event(TrialEvaluated(0, 0.5, 0.7))
    view.on_event(TrialEnded(0, "COMPLETE", 0.8, 1.0))
    view.close()
    assert len(shown) == 1
    assert shown[0].startswith("1/2 trials, best 0.8000 (trial 0)")
