"""An ensemble on its way into MLflow: saved, with its card, under the study's registered model."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hpo.model.ensemble import EnsembleClassifier
from hpo.model.saved import TextClassifier, save_transformers
from hpo.model.saved_ensemble import save_ensemble
from hpo.results.card import how_to_call
from hpo.results.ensembles.made import Ensemble
from hpo.spec.study import Metric
from hpo.tracking.registry import Registered
from hpo.tracking.tracker import StudyTracker


def publish_ensemble(
    ensemble: Ensemble,
    model: EnsembleClassifier | TextClassifier,
    tracker: StudyTracker,
    study_name: str,
    metric: Metric,
) -> None:
    """Register an ensemble: a soup as the plain model that it is, others with all their members.

    Args:
        ensemble: What is told of it.
        model: What is saved.
        tracker: Of the study.
        study_name: The study's.
        metric: The study's.

    Raises:
        TrackingError: The disk is full.
    """
    card = ensemble.card(study_name, metric, model.model.name, model.label_names)
    calls = how_to_call(
        ensemble.registered_name,
        model.max_length,
        model.model.tokenizer,
        model.preprocessing,
        problem_type=model.task.problem_type,
        ensemble=isinstance(model, EnsembleClassifier),
        alias=ensemble.alias,
    )
    with TemporaryDirectory(prefix="hpo-ensemble-") as folder:
        whole = Path(folder) / "model"
        _save(whole, model, ensemble)
        tracker.publish_champion(
            whole,
            f"{card}\n\n{calls}",
            {
                f"val/ensemble_{metric}": ensemble.comparison.ensemble,
                **{f"test/{key}": value for key, value in ensemble.test.metrics.items()},
            },
            ensemble.of_trials[0],
            times_tested=ensemble.times_tested,
            move=True,
            source_key=ensemble.key,
            alias=ensemble.alias,
        )


def find_ensemble(ensemble: Ensemble, tracker: StudyTracker) -> Registered:
    """What MLflow has of an ensemble.

    Raises:
        TrackingError: It cannot be asked.
    """
    return tracker.find_champion(
        ensemble.of_trials[0], ensemble.registered_name, ensemble.key, ensemble.alias
    )


def _save(folder: Path, model: EnsembleClassifier | TextClassifier, ensemble: Ensemble) -> None:
    if isinstance(model, EnsembleClassifier):
        facts = [{"method": ensemble.method, "number": each} for each in ensemble.members]
        save_ensemble(folder, model, facts)
        return
    save_transformers(
        folder,
        model.classifier,
        model.task,
        model.label_names,
        model.max_length,
        model.preprocessing,
    )
