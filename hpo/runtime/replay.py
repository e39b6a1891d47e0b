"""A trial that is over, trained once more from what is stored of it, and compared number by number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpo.model.weights_file import weights_digest
from hpo.runtime.outcomes import THREADS
from hpo.runtime.preparation import Prepared, prepare, trial_params
from hpo.runtime.trained_part import as_many_threads
from hpo.runtime.trainings import training_of
from hpo.runtime.trial_report import dashboard_columns
from hpo.search.samplers import seed_for
from hpo.spec.locations import Locations
from hpo.storage.storage import open_storage
from hpo.studies.fingerprints import compare_fingerprints
from hpo.studies.finished_trials import finished_trial
from hpo.studies.progress import progress
from hpo.studies.provenance import ENVIRONMENTS, WEIGHTS, changes
from hpo.studies.studies import load_spec, resolved_space
from hpo.training.evaluate import TrainingDiverged
from hpo.training.loop import TrialTraining
from hpo.training.micro_batches import BatchTooLarge, MicroBatches
from hpo.training.result import Evaluation, TimeParts, TrialResult, Verdict

_OF_THE_CLOCK = ("seconds", "examples_per_second", *TimeParts().as_attributes(), THREADS)


@dataclass(frozen=True)
class Replayed:
    """What came of it.

    Attributes:
        study: The study's name.
        number: The trial's.
        changed: What is other than when the trial was trained, a line each.
        compared: How many numbers.
        different: Those that are not the same, in the order of training, a line each.
    """

    study: str
    number: int
    changed: tuple[str, ...]
    compared: int
    different: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """In a line for people."""
        trial, beside = f"Trial {self.number} of {self.study}", ""
        if self.changed:
            beside = f" (with {len(self.changed)} changed: {'; '.join(self.changed)})"
        if not self.different:
            return f"{trial}: all {self.compared} numbers are the same{beside}."
        count = f"{len(self.different)} of {self.compared} numbers differ"
        return f"{trial}: {count}{beside}, the first at {self.different[0]}."

    def as_json(self) -> dict[str, Any]:
        """As a document."""
        return {**vars(self), "same": not self.different}


def replay(
    name: str,
    number: int,
    locations: Locations,
    say: Callable[[str], None],
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> Replayed:
    """Train a trial again. Nothing is written but caches.

    Args:
        name: The study's.
        number: The trial's.
        locations: Where the storage and the caches are.
        say: Is told of what has changed, and of the way, in lines for people.
        should_stop: Asked after each step.

    Raises:
        OptionError: There is no such trial, or it has no numbers to compare with.
        StudyGoneError: There is no such study.
        DataError: The data are not those that it was trained on, or cannot be read.
        ModelError: The model is not the one that it began with.
        TrialInterrupted: `should_stop` said so.
    """
    with open_storage(locations.storage_url) as storage:
        study_id = progress(storage, name).study_id
        stored = finished_trial(storage, study_id, name, number)
        prepared = prepare(load_spec(storage, name), locations, say)
        compare_fingerprints(storage, study_id, name, prepared.fingerprints)
    changed = _told_changes(stored, prepared, say)
    then = _numbers_of(stored)
    now = _trained_again(stored, prepared, say, should_stop)
    different = tuple(_different(then, now))
    return Replayed(name, number, changed, len(then), different)


def _told_changes(
    stored: FrozenTrial, prepared: Prepared, say: Callable[[str], None]
) -> tuple[str, ...]:
    attempts = stored.system_attrs.get(ENVIRONMENTS, [])
    changed = tuple(changes(attempts, prepared.environment()))
    if not attempts:
        say("An earlier release trained it, and kept neither its versions nor its device.")
    for line in changed:
        say(f"changed: {line}")
    return changed


def _numbers_of(stored: FrozenTrial) -> dict[str, object]:
    """All that the storage has of a trial's numbers, in the order of training."""
    reports = sorted(stored.intermediate_values.items())
    numbers: dict[str, object] = {_at(index): value for index, value in reports}
    numbers["the value"] = stored.value
    numbers |= {key: value for key, value in stored.user_attrs.items() if _is_compared(key, value)}
    if WEIGHTS in stored.system_attrs:
        numbers["the digest of the weights"] = stored.system_attrs[WEIGHTS]
    return numbers


def _is_compared(key: str, value: object) -> bool:
    """Whether an attribute is a number that training gives, and not the clock or a link."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and key not in _OF_THE_CLOCK


def _trained_again(
    stored: FrozenTrial,
    prepared: Prepared,
    say: Callable[[str], None],
    should_stop: Callable[[], bool],
) -> dict[str, object]:
    """The same numbers of a training of now: up to where the trial was pruned, if it was."""
    spec = prepared.spec
    space = resolved_space(spec, prepared.n_layer)
    params = trial_params(spec, {name: stored.params[name] for name in space})
    seed = seed_for(spec.study.seed, stored.number)
    last = max(stored.intermediate_values, default=0)
    numbers: dict[str, object] = {}

    def on_evaluation(evaluation: Evaluation) -> Verdict:
        if not evaluation.is_reported:
            return Verdict.GO_ON
        value = evaluation.metrics[f"val/{spec.study.metric}"]
        numbers[_at(evaluation.index)] = value
        say(f"{_at(evaluation.index)}, epoch {evaluation.epoch:.2f}: {value:.4f}")
        is_over = stored.state is TrialState.PRUNED and evaluation.index >= last
        return Verdict.PRUNE if is_over else Verdict.GO_ON

    with as_many_threads(stored.user_attrs.get(THREADS)):
        trial = training_of(prepared, space, params, seed, MicroBatches())
        try:
            result = trial.run(on_evaluation, should_stop=should_stop)
        except (TrainingDiverged, BatchTooLarge) as error:
            return {**numbers, "the end": f"failed: {error}"}
    if result.end != "pruned" and isinstance(trial, TrialTraining):
        numbers["the digest of the weights"] = weights_digest(trial.classifier.parameters)
    return {**numbers, **_at_the_end(result, numbers.get(_at(last)))}


def _at_the_end(result: TrialResult, last: object) -> Mapping[str, object]:
    # A pruned trial's value is that of its last report.
    value = last if result.end == "pruned" else result.value
    return {**dashboard_columns(result), "the value": value}


def _different(then: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    for name, value in then.items():
        found = now.get(name, "nothing")
        # NaN is not equal to itself.
        if found != value and not (_is_nan(found) and _is_nan(value)):
            yield f"{name}: {value} then, {found} now"
    beyond = [name for name in now if name.startswith("evaluation ") and name not in then]
    yield from (f"{name}: nothing then, {now[name]} now" for name in beyond)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _at(index: int) -> str:
    return f"evaluation {index}"
