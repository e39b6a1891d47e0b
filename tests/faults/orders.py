"""What a worker of the crew is told to do, and the instant at which it is to die."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

# Imported here, so that a worker that is forked from the server has them already.
import mlflow.pyfunc
import mlflow.store.tracking.sqlalchemy_store
import mlflow.tracking  # noqa: F401
import transformers.models.gpt2.modeling_gpt2  # noqa: F401

import hpo.data.tokens as tokens
import hpo.model.feature_cache as feature_cache
import hpo.model.frozen_features as frozen_features
import hpo.runtime.kept_models as kept_models
import hpo.runtime.study_work as study_work
import hpo.training.checkpoint as checkpoints
from hpo.leases.claims import Claim
from hpo.model.frozen_blocks import FrozenBlocks
from hpo.outbox.outbox import Outbox
from hpo.runtime.kept_models import KeptModels
from hpo.tracking import orphans
from hpo.tracking.delivery import Delivery
from hpo.tracking.tracker import StudyTracker
from hpo.tracking.trial_run import TrialRun
from hpo.training.checkpoint import CheckpointFile
from tests.faults.place import Place

When = Literal["before", "after"]


_WHEN: tuple[When, When] = ("before", "after")


# Every function after which something is stored that was not before, in the order of a trial's life.
POINTS: dict[str, tuple[Any, str]] = {
    "claim a trial": (study_work, "claim_trial"),
    "draw parameters": (Claim, "suggest"),
    "open the run": (StudyTracker, "start_trial"),
    "go back to the checkpoint": (Claim, "forget_reports_after"),
    "log metrics": (TrialRun, "log"),
    "report": (Claim, "report"),
    "write a checkpoint": (CheckpointFile, "write"),
    "write the checkpoint's file": (checkpoints, "write_weights"),
    "set attributes": (Claim, "set_user_attrs"),
    "write the model": (kept_models, "save_trained"),
    "keep the model": (KeptModels, "keep"),
    "finish the trial": (Claim, "finish"),
    "log the model": (TrialRun, "log_model"),
    "drop a model": (KeptModels, "drop"),
    "end the run": (TrialRun, "finish"),
    "remove the checkpoint": (CheckpointFile, "remove"),
    "send to MLflow": (Delivery, "_send_first"),
    "note that it arrived": (Delivery, "_settle"),
    "close a dead worker's runs": (orphans, "close_runs"),
    "take over an outbox": (Outbox, "adopt"),
}


# Where files are written that a study can do without.
CACHE_POINTS: dict[str, tuple[Any, str]] = {
    "make room for hidden states": (feature_cache, "_reserve"),
    "fill hidden states": (FrozenBlocks, "run"),
    "name the hidden states": (frozen_features, "finish_states"),
    "keep the tokens": (tokens, "_write_entry"),
}


# Reached by a worker whose own outbox is empty, where a dead one's is there.
IN_QUIET = ("close a dead worker's runs", "take over an outbox")


@dataclass(frozen=True)
class Doom:
    """Kill -9 before or after the n-th call of a point, counted from 1."""

    point: str
    when: When
    call: int = 1

    def witness(self, order: Order) -> Path:
        """The file that says that it came about."""
        return order.place.folder / f"doom-{order.seed}"


@dataclass(frozen=True)
class Filling:
    """The disk that `filler` lies on is full from the first call of a point on, until somebody removes it."""

    point: str
    filler: Path


@dataclass(frozen=True)
class Order:
    """What a worker is to do, and what is done to it.

    after_seconds: kill -9 so long after the start, whatever it is doing; after_reports: kill -9 at so
    many reports, where the doom has not come about before; max_deaths: None leaves the usual limit;
    clock_jumps: seconds by one of which its clock is set forward, or back, now and then; poison: the
    number of a trial that kills its worker whenever it is tried; fill: when its disk fills; finish:
    promote the champion and wait for MLflow, as the parent does, for no longer than flush_seconds.
    """

    place: Place
    seed: int = 0
    doom: Doom | None = None
    after_seconds: float | None = None
    after_reports: int | None = None
    max_deaths: int | None = None
    clock_jumps: tuple[float, ...] = ()
    poison: int | None = None
    fill: Filling | None = None
    finish: bool = False
    flush_seconds: float = 60.0
    retry_seconds: float = 120.0


class Orders(Protocol):
    """What the next worker is to do, and a word of each that has ended."""

    def next(self) -> Order: ...

    def ended(self, order: Order, *, killed: bool) -> None: ...


class Fates:
    """Orders for one worker after another, each with the doom that has waited longest.

    A doom that did not come about, because its worker died or was done before, is given out again.
    """

    def __init__(self, place: Place, seed: int, rounds: int, **more: Any) -> None:
        """Every point, before and after, in an order that follows from the seed; `rounds` times."""
        self.came_about: list[Doom] = []
        self._place = place
        self._more = more
        self._dice = random.Random(seed)
        self._seeds = iter(range(10**6))
        self._waiting: list[Doom] = []
        for number in range(rounds):
            dooms = [
                Doom(point, when, 1 if point in IN_QUIET else 1 + number % 2)
                for point in POINTS
                for when in _WHEN
            ]
            self._dice.shuffle(dooms)
            self._waiting += dooms
        # The more trials there are, the fewer come among the best, whose models are logged.
        self._waiting.sort(key=lambda doom: doom.point != "log the model")

    @property
    def left(self) -> int:
        return len(self._waiting)

    def next(self) -> Order:
        seed = next(self._seeds)
        if not self._waiting:
            return Order(self._place, seed, **self._more)
        doom, latest = self._waiting.pop(0), self._dice.randint(4, 14)
        return Order(self._place, seed, doom, after_reports=latest, **self._more)

    def ended(self, order: Order, *, killed: bool) -> None:
        if order.doom is None:
            return
        if order.doom.witness(order).exists():
            self.came_about.append(order.doom)
        else:
            self._waiting.append(order.doom)


class RandomInstants:
    """Orders to die at an instant between the start and `longest` seconds later, `times` over."""

    def __init__(self, place: Place, seed: int, times: int, longest: float, **more: Any) -> None:
        self.left = times
        self._place = place
        self._longest = longest
        self._more = more
        self._dice = random.Random(seed)
        self._seeds = iter(range(10**6))

    def next(self) -> Order:
        if self.left <= 0:
            return Order(self._place, next(self._seeds), **self._more)
        seconds = self._dice.uniform(0.0, self._longest)
        return Order(self._place, next(self._seeds), after_seconds=seconds, **self._more)

    def ended(self, order: Order, *, killed: bool) -> None:
        self.left -= killed


class Peaceful:
    """The same order for every worker, each with a seed of its own."""

    left = 0

    def __init__(self, order: Order) -> None:
        self._order = order
        self._seeds = itertools.count(order.seed)

    def next(self) -> Order:
        return replace(self._order, seed=next(self._seeds))

    def ended(self, order: Order, *, killed: bool) -> None:
        pass
