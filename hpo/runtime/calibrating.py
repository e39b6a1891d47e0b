"""The temperature of a finished classifier, fitted to texts that it was not trained on."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from hpo.model.predictor import Predictor
from hpo.results.calibration import temperature_for
from hpo.runtime.member_models import validation_answers
from hpo.runtime.session import Session
from hpo.studies.trial_probabilities import kept_probabilities
from hpo.tasks.task import Labels, Probabilities

_Model = TypeVar("_Model", bound=Predictor)


def calibrated(session: Session, predictor: _Model, number: int) -> _Model:
    """The classifier with the temperature at which the validation labels are the likeliest.

    Of a trial over folds, whose classifier was trained on all of them at the end, the answers count
    that its folds gave to the texts that each had left out. Where they are not kept, it is as it was.

    Args:
        session: Of the study.
        predictor: Without a temperature; an ensemble gets one as a whole.
        number: The trial that it is made of, or the best of several.
    """
    context = session.prepared.context
    if context.folds:
        found = _fold_answers(session, number)
    else:
        labels = np.asarray(context.data.validation.labels)
        found = validation_answers(session, predictor), labels
    return (
        predictor if found is None else predictor.tempered(temperature_for(predictor.task, *found))
    )


def _fold_answers(session: Session, number: int) -> tuple[Probabilities, Labels] | None:
    """What a trial's folds answered, in the order of the training split."""
    context, kept = session.prepared.context, kept_probabilities(session.study).get(number)
    positions = np.sort(
        np.concatenate([fold.validation.positions(context.data) for fold in context.folds])
    )
    if kept is None or len(kept) != len(positions):
        return None
    return kept, np.asarray(context.data.train.labels)[positions]
