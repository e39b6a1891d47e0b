"""The drawings and the report of a finished study: confusion matrix, the best trials' learning curves, one page."""

from __future__ import annotations

import logging

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from hpo.results.champion import Champion
from hpo.results.dashboard_drawings import show_with_study
from hpo.results.drawings import draw_confusion, draw_curves
from hpo.results.leaderboard import Entry
from hpo.runtime.session import Session
from hpo.studies.studies import OpenStudy

logger = logging.getLogger(__name__)

REPORT = "report.html"
"""A file of the study's run in MLflow."""
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


def log_report(session: Session) -> None:
    """The study's report in MLflow; where it cannot be made, a warning says why, for the champion stands."""
    study = session.study
    try:
        # Here alone, for it brings plotly, which a worker that crowns nobody need not load.
        from hpo.results.report.facts import read_facts
        from hpo.results.report.page import report_page

        page = report_page([read_facts(study.storage, study.name)])
        session.tracker.log_study_text(page, REPORT)
    except Exception as error:  # noqa: BLE001 - whatever a page fails on, the study has its end
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        logger.warning("study %s: no report is logged to MLflow: %s", study.name, reason)


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
