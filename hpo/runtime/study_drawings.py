"""The drawings of a finished study: its champion's confusion matrix and the best trials' learning curves."""

from __future__ import annotations

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from hpo.results.champion import Champion
from hpo.results.dashboard_drawings import show_with_study
from hpo.results.drawings import draw_confusion, draw_curves
from hpo.results.leaderboard import Entry
from hpo.runtime.session import Session
from hpo.studies.studies import OpenStudy

_CURVES = 5


def show_drawings(session: Session, entries: list[Entry], champion: Champion) -> None:
    """The champion's confusion matrix and the best trials' learning curves, in MLflow and the dashboard."""
    study, metric = session.study, session.study.spec.study.metric
    folds = bool(study.spec.validation.folds)
    drawings = {
        "learning_curves.svg": draw_curves(
            _learning_curves(study, entries[:_CURVES]),
            "Learning curves of the best trials",
            x_label="epochs of one fold after another" if folds else "epochs",
            y_label=f"validation {metric}",
            subtitle=f"study {study.name}",
        ),
    }
    if champion.test.confusion:
        drawings["test_confusion.svg"] = draw_confusion(
            np.array(champion.test.confusion, np.int64),
            session.prepared.context.data.label_names,
            "Confusion on the test split",
            f"champion: {champion.source.words}, {metric} {champion.test.metrics[metric]:.4f}",
        )
    for name, drawing in drawings.items():
        session.tracker.log_study_text(drawing, f"figures/{name}")
        show_with_study(study.storage, study.study_id, session.work.state, name, drawing)


def _learning_curves(
    study: OpenStudy, entries: list[Entry]
) -> dict[str, list[tuple[float, float]]]:
    """The metric at each evaluation of the trials, by epochs."""
    trials = study.read(_by_number)
    an_epoch = study.spec.training.evaluations_per_epoch
    return {
        f"trial {entry.number}": [
            (index / an_epoch, value)
            for index, value in sorted(trials[entry.number].intermediate_values.items())
        ]
        for entry in entries
    }


def _by_number(study: optuna.Study) -> dict[int, FrozenTrial]:
    return {trial.number: trial for trial in study.get_trials(deepcopy=False)}
