"""What a run would do: how far its study is, what it would search, on what, and where all of it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hpo.redaction import redacted
from hpo.runtime.preparation import Prepared
from hpo.spec.confirm import ConfirmedOn
from hpo.spec.locations import Locations
from hpo.spec.space import Choice, Dimension, IntRange
from hpo.spec.study import StudySpec
from hpo.spec.study_file import search_space
from hpo.storage.storage import open_storage, registered_names
from hpo.studies.confirmations import confirmed_on
from hpo.studies.progress import StudyProgress, progress
from hpo.studies.registration import check_same_settings
from hpo.studies.studies import resolved_space

_LEFT = 10


@dataclass(frozen=True)
class Plan:
    """What `hpo.run` would do.

    Attributes:
        finished: Trials that the study has; None where it is new.
        trials: How many it should have.
        confirmed: How many of the best are trained again then, at most.
        seeds: How often each of them is, with new seeds.
        confirmed_on: On which validation texts those trainings are scored.
        refit: On which splits the champion's parameters are trained once more; none: they are not.
        points: How many are to be tried first.
        trainings: How many confirm the study then, at most.
        space: What each searched option may be, in words.
        places: What is kept where.
    """

    study: str
    finished: int | None
    trials: int
    confirmed: int
    seeds: int
    confirmed_on: ConfirmedOn
    refit: str
    points: int
    trainings: int
    metric: str
    direction: str
    sampler: str
    pruner: str
    space: Mapping[str, str]
    data: str
    model: str
    places: Mapping[str, str]

    @property
    def to_go(self) -> int:
        return max(0, self.trials - (self.finished or 0))

    def as_json(self) -> dict[str, Any]:
        """The same for a machine."""
        return {**asdict(self), "to_go": self.to_go}

    def in_words(self) -> list[str]:
        """A line for each thing, a word on the left."""
        state = "new" if self.finished is None else f"{self.finished} finished"
        trials = "trial" if self.to_go == 1 else "trials"
        when = "first" if self.to_go else "once it is to have more trials"
        lines = {
            "Study": f"{self.study} ({state})",
            "To go": f"{self.to_go} {trials}, to {self.direction} {self.metric}",
            **({"Points": f"{self.points} to be tried {when}"} if self.points else {}),
            **({"Confirm": self._confirmation_in_words()} if self.seeds else {}),
            **(
                {"Refit": f"the champion, on {self.refit}, unless it is done"}
                if self.refit != "none"
                else {}
            ),
            "Search": self._search_in_words(),
            **{f"  {name}": words for name, words in self.space.items()},
            "Data": self.data,
            "Model": self.model,
            **self.places,
        }
        left = max(_LEFT, *(len(name) + 2 for name in lines))
        return [f"{name:<{left}}{words}" for name, words in lines.items()]

    def _confirmation_in_words(self) -> str:
        runs = self.trainings
        best = "the best trial" if self.confirmed == 1 else f"the best {self.confirmed}"
        seeds = "1 new seed" if self.seeds == 1 else f"{self.seeds} new seeds"
        more = f"up to {runs} more trainings" if runs > 1 else "1 more training"
        more = more if runs else "all trained"
        on = "new validation texts" if self.confirmed_on == "new" else "the same validation texts"
        return f"{best} with {seeds}{' each' if self.confirmed > 1 else ''} on {on}, {more}"

    def _search_in_words(self) -> str:
        if not self.space:
            return "nothing: the one trial is the study's fixed options, the baseline"
        return f"{self.sampler}, pruned by {self.pruner}"


def plan_of(spec: StudySpec, prepared: Prepared, locations: Locations, points: int = 0) -> Plan:
    """What a run of the study would do; nothing is written.

    Args:
        points: How many are to be tried first.

    Raises:
        StorageError: The study of this name has other settings, or the storage cannot be used.
    """
    space = resolved_space(spec, prepared.n_layer)
    at = _progress(spec, locations)
    confirmed = min(spec.confirm.top, spec.study.trials)
    return Plan(
        study=spec.name,
        finished=None if at is None else at.finished,
        trials=spec.study.trials,
        confirmed=confirmed,
        seeds=spec.confirm.seeds,
        confirmed_on=confirmed_on(spec, prepared.data.split_off),
        refit=spec.confirm.refit,
        points=points,
        trainings=_trainings(at, spec.study.trials, confirmed * spec.confirm.seeds),
        metric=spec.study.metric,
        direction=spec.direction,
        sampler=spec.search.sampler.name,
        pruner=spec.search.pruner.name,
        space={name: _in_words(space[name]) for name in search_space(spec)},
        data=prepared.data.source,
        model=prepared.context.model.name,
        places={
            "Storage": redacted(locations.storage_url),
            "MLflow": redacted(locations.tracking_uri),
            "State": str(locations.state),
            "Cache": str(locations.cache),
        },
    )


def _progress(spec: StudySpec, locations: Locations) -> StudyProgress | None:
    if spec.name not in registered_names(locations.storage_url):
        return None
    with open_storage(locations.storage_url, for_viewing=True) as storage:
        check_same_settings(storage, spec)
        return progress(storage, spec.name)


def _trainings(at: StudyProgress | None, trials: int, most: int) -> int:
    """How many trainings still confirm a study: of one that is searched already those that are not over."""
    if at is None or at.confirmation is None or at.finished < trials:
        return most
    return max(0, min(most, at.confirmation.wanted - at.confirmation.finished))


def _in_words(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return "one of " + ", ".join(map(str, dimension.values))
    how = " by orders of magnitude" if dimension.log else ""
    step = dimension.step
    steps = "" if step in (None, 1) else f" in steps of {step:g}"
    whole = "a whole number from " if isinstance(dimension, IntRange) else ""
    return f"{whole}{dimension.low:g} to {dimension.high:g}{how}{steps}"
