"""Optuna's tables, as the installed Optuna declares them: read by all, written by `optuna_rows` alone."""

from __future__ import annotations

from typing import Any, Final, cast

from optuna.storages._rdb import models
from sqlalchemy import MetaData, Table


def _table(model: Any) -> Table:
    return cast(Table, model.__table__)


OPTUNA_METADATA: Final = cast(MetaData, models.BaseModel.metadata)
STUDIES: Final = _table(models.StudyModel)
STUDY_USER_ATTRIBUTES: Final = _table(models.StudyUserAttributeModel)
STUDY_SYSTEM_ATTRIBUTES: Final = _table(models.StudySystemAttributeModel)
STUDY_DIRECTIONS: Final = _table(models.StudyDirectionModel)
TRIALS: Final = _table(models.TrialModel)
TRIAL_VALUES: Final = _table(models.TrialValueModel)
TRIAL_PARAMS: Final = _table(models.TrialParamModel)
TRIAL_INTERMEDIATE_VALUES: Final = _table(models.TrialIntermediateValueModel)
TRIAL_USER_ATTRIBUTES: Final = _table(models.TrialUserAttributeModel)
TRIAL_SYSTEM_ATTRIBUTES: Final = _table(models.TrialSystemAttributeModel)
