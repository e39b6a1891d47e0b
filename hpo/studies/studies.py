"""Studies in a storage: found by name, opened for work, and whether their plan can be carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from pydantic import ValidationError
from sqlalchemy import select

from hpo.errors import StorageError, StudyGoneError
from hpo.search.grid import GridSampler, check_grid_budget
from hpo.search.pruners import make_pruner, most_evaluations
from hpo.search.samplers import make_sampler
from hpo.spec.confirm import UNCONFIRMED
from hpo.spec.names import confirmed_study, model_name
from hpo.spec.space import IntRange, SearchSpace, resolve_dimension
from hpo.spec.study import StudySpec
from hpo.spec.study_file import search_space
from hpo.storage.optuna_tables import STUDIES
from hpo.storage.seals import Damaged, damage, spec_text
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_STUDIES
from hpo.studies.earlier_names import (
    NEVER_RENAMED,
    EarlierNames,
    check_whole,
    earlier_names,
    name_of,
)
from hpo.studies.integrity import check_study, seal_finished
from hpo.studies.progress import unknown_study
from hpo.studies.renamed import WAY_ON, copies, named

T = TypeVar("T")


@dataclass(frozen=True)
class OpenStudy:
    """A study ready for work: its file, its space with `n_layer` resolved, its sampler and pruner.

    Attributes:
        uid: Names it for good: a study deleted and made again under its name has another.
    """

    storage: Storage
    study_id: int
    uid: str
    name: str
    spec: StudySpec
    space: SearchSpace
    sampler: BaseSampler
    pruner: BasePruner
    earlier: EarlierNames = NEVER_RENAMED

    @property
    def names(self) -> tuple[str, ...]:
        """Its name, and those that it had before."""
        return self.name, *self.earlier.former

    @property
    def registered_name(self) -> str:
        """What its registered model is called."""
        return model_name(self.earlier.registered_as or self.name)

    @property
    def confirms(self) -> bool:
        """Whether this is no study of its own, but what confirms one (confirmations.py)."""
        return confirmed_study(self.name) is not None

    @property
    def kept_models(self) -> int | None:
        """How many trials' models stay while workers are at it; None means all of them."""
        return 0 if self.confirms else self.spec.kept_models

    @property
    def grid_size(self) -> int | None:
        """Points of the grid; None where the sampler is no grid."""
        return len(self.sampler) if isinstance(self.sampler, GridSampler) else None

    def load(self) -> optuna.Study:
        """The study as Optuna has it. Made anew each time, for it caches its trials as they were."""
        return optuna.load_study(
            study_name=self.name,
            storage=self.storage.optuna,
            sampler=self.sampler,
            pruner=self.pruner,
        )

    def read(self, look: Callable[[optuna.Study], T]) -> T:
        """What `look` finds in the study; it is asked again where the database went away meanwhile.

        Raises:
            StudyGoneError: The study was deleted.
            StorageError: The database stays away.
        """
        try:
            return self.storage.retry(lambda: look(self.load()), "reading the study")
        except KeyError as error:  # Optuna's word for a study that it does not find
            if self._is_there():
                raise
            raise self.gone() from error

    def gone(self) -> StudyGoneError:
        """The error for a study that was deleted, or renamed, while it was open."""

        def look() -> tuple[str | None, list[str]]:
            with self.storage.read() as connection:
                return name_of(connection, self.uid), copies(connection)

        name, renamed = self.storage.retry(look, "looking for a copy of the study")
        if name is not None:
            return StudyGoneError(
                self.storage.redacted,
                found=f"the study {self.name} renamed to {name}",
                expected="a study that keeps its name while workers are at it",
                hint="Go on with it under that name.",
            )
        if renamed:
            return StudyGoneError(
                self.storage.redacted,
                found=f"the study {self.name} deleted, and a copy {named(renamed)}",
                expected="a study that keeps its name while workers are at it",
                hint=WAY_ON,
            )
        return StudyGoneError(
            self.storage.redacted,
            found=f"the study {self.name} deleted",
            expected="a study that stays while workers are at it",
            hint="Submit it again.",
        )

    def _is_there(self) -> bool:
        def look() -> bool:
            with self.storage.read() as connection:
                return name_of(connection, self.uid) == self.name

        return self.storage.retry(look, "looking for the study")


@dataclass(frozen=True)
class _Row:
    """A study as it was registered."""

    study_id: int
    uid: str
    spec_json: str
    trials: int
    study_name: str


def load_spec(storage: Storage, name: str) -> StudySpec:
    """The study file that the study was last submitted with.

    Raises:
        StudyGoneError: There is none.
    """
    return stored_spec(storage, _row_of(storage, name))


def open_study(storage: Storage, name: str, *, n_layer: int | None = None) -> OpenStudy:
    """Open a registered study for work.

    Args:
        n_layer: Blocks of the model, which `high = "n_layer"` stands for; needed where the space
            says so.

    Raises:
        StudyGoneError: There is no such study.
        StudyFileError: Sampler or pruner refuse.
        StorageError: What is stored of it is damaged.
    """
    row = _row_of(storage, name)
    spec = stored_spec(storage, row)
    check_whole(storage, spec.name)
    try:
        check_study(storage, row.study_id, name, spec.direction)
        seal_finished(storage, row.study_id)
    except KeyError as error:  # Optuna's word for a study that it does not find
        raise unknown_study(storage, name) from error
    space = resolved_space(spec, n_layer)
    sampler, pruner = _plan(spec, space)
    if isinstance(sampler, GridSampler):
        check_grid_budget(len(sampler), row.trials)
    earlier = earlier_names(storage, row.study_id)
    return OpenStudy(storage, row.study_id, row.uid, name, spec, space, sampler, pruner, earlier)


def check_plan(spec: StudySpec, n_layer: int | None = None) -> None:
    """Raise StudyFileError where sampler, pruner or grid cannot do what the study asks of them.

    Args:
        n_layer: Blocks of the model; None as long as that is not known, when all else is checked.
    """
    space = search_space(spec)
    complete = n_layer is not None or not needs_model(space)
    # As few layers as the space allows stand in for the model's.
    layers = {name: each.low for name, each in space.items() if isinstance(each, IntRange)}
    resolved = {
        name: resolve_dimension(each, layers.get(name, 0) if n_layer is None else n_layer)
        for name, each in space.items()
    }
    sampler, _ = _plan(spec, resolved)
    if complete and isinstance(sampler, GridSampler):
        check_grid_budget(len(sampler), spec.study.trials)


def resolved_space(spec: StudySpec, n_layer: int | None) -> SearchSpace:
    """The study's space with `n_layer` replaced by the model's number of blocks."""
    space = search_space(spec)
    if n_layer is None:
        if needs_model(space):
            raise ValueError("the space says n_layer, so the model's number of blocks is needed")
        return space
    return {name: resolve_dimension(dimension, n_layer) for name, dimension in space.items()}


def _plan(spec: StudySpec, space: SearchSpace) -> tuple[BaseSampler, BasePruner]:
    sampler = make_sampler(spec.search.sampler, space, seed=spec.study.seed)
    pruner = make_pruner(
        spec.search.pruner,
        max_resource=most_evaluations(spec, space),
        evaluations_per_epoch=spec.training.evaluations_per_epoch,
    )
    return sampler, pruner


def _row_of(storage: Storage, name: str) -> _Row:
    table = HPO_STUDIES
    query = (
        select(
            table.c.study_id,
            table.c.uid,
            table.c.spec_json,
            table.c.trials,
            STUDIES.c.study_name,
        )
        .join(STUDIES, STUDIES.c.study_id == table.c.study_id)
        .where(STUDIES.c.study_name == name)
    )

    def read() -> _Row | None:
        with storage.read() as connection:
            row = connection.execute(query).first()
            return None if row is None else _Row(*row)

    found = storage.retry(read, "looking for the study")
    if found is None:
        raise unknown_study(storage, name)
    return found


def stored_spec(storage: Storage, row: Any) -> StudySpec:
    """The study file of a row with uid, study_name, trials and spec_json.

    Raises:
        StorageError: It is damaged, or this version cannot read it.
    """
    name = row.study_name
    try:
        spec = StudySpec.model_validate_json(spec_text(row))
    except Damaged as error:
        raise damage(storage.redacted, f"study {name}, its study file", error) from error
    except ValidationError as error:
        raise StorageError(
            storage.redacted,
            found=f"a study {name} that another version of hpo wrote",
            expected="settings that this version knows",
            hint="Use another --name, or the version that wrote it.",
        ) from error
    if "confirm" not in spec.model_fields_set:
        return spec.model_copy(update={"confirm": UNCONFIRMED})
    if "validation" not in spec.confirm.model_fields_set:  # which was not asked then
        confirm = spec.confirm.model_copy(update={"validation": "same"})
        return spec.model_copy(update={"confirm": confirm})
    return spec


def needs_model(space: SearchSpace) -> bool:
    """Whether a space says `n_layer`."""
    return any(isinstance(each, IntRange) and each.high is None for each in space.values())
