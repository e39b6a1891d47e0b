"""Which members an ensemble of a study gets, by what its trials answered, and how good that honestly is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.errors import ModelError
from hpo.model.combination import Combination
from hpo.model.ensemble import EnsembleClassifier
from hpo.model.saved import TextClassifier
from hpo.results.ensembles.honest import Comparison, best_single, compare, cross_fitted
from hpo.results.ensembles.judge import Judge
from hpo.results.ensembles.methods import choice_by, choose
from hpo.results.ensembles.soup import greedy_soup
from hpo.results.leaderboard import Entry, leaderboard
from hpo.runtime.member_models import MemberModels, validation_answers
from hpo.runtime.session import Session
from hpo.spec.ensemble_methods import EnsembleMethod
from hpo.studies.trial_probabilities import kept_probabilities
from hpo.tasks.task import Labels, Probabilities, tuned_facts

Tell = Callable[[str], object]


@dataclass(frozen=True, eq=False)
class Assembled:
    """An ensemble before its test.

    Attributes:
        members: Numbers of trials, or of members that were trained for it.
        weights: Theirs, adding up to 1; none for stacking.
        model: Answers texts.
        answers: The probabilities of all validation texts, none by a choice that knew its label.
    """

    members: tuple[int, ...]
    weights: tuple[float, ...]
    model: EnsembleClassifier | TextClassifier
    answers: Probabilities


@dataclass(frozen=True)
class EnsembleChoice:
    """The choice of one ensemble in this process.

    Attributes:
        session: Of the study.
        method: How it is made.
        size: Members at most, or rounds.
        tell: Takes lines for people about what takes long.
        folder: For what MLflow has of members.
    """

    session: Session
    method: EnsembleMethod
    size: int
    tell: Tell
    folder: Path

    @cached_property
    def entries(self) -> list[Entry]:
        """The complete trials, best first."""
        found = self.session.study.read(leaderboard)
        if not found:
            raise no_complete_trial(self.session.study.name)
        return found

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the complete trials, best first."""
        return tuple(entry.number for entry in self.entries)

    @property
    def seed(self) -> int:
        """The study's."""
        return self.session.study.spec.study.seed

    def compared(self, answers: Probabilities) -> Comparison:
        """An ensemble's honest answers, held against those of the best single trial."""
        _, of_trials = self._candidates
        choice = best_single(self._judge, of_trials, self._labels)
        single = cross_fitted(choice, self._labels, self.seed)
        return compare(self._judge, single, answers, self._labels, self.seed)

    def choose(self) -> tuple[tuple[int, ...], Combination, Probabilities]:
        """Trials by number, how they are combined, and honest answers to the validation texts."""
        numbers, of_trials = self._candidates
        method, judge, labels, size, seed = (
            self.method,
            self._judge,
            self._labels,
            self.size,
            self.seed,
        )
        chosen = choose(method, judge, of_trials, labels, size=size, seed=seed)
        choice = choice_by(method, judge, of_trials, labels, size=size, seed=seed)
        members = tuple(numbers[place] for place in chosen.members)
        combination = self.tuned(chosen.combination, chosen.answers(of_trials))
        return members, combination, cross_fitted(choice, labels, seed)

    def tuned(self, combination: Combination, answers: Probabilities) -> Combination:
        """With what the task learns from the answers that it gives to the validation texts."""
        return replace(combination, task_facts=tuned_facts(self._judge.task, answers, self._labels))

    def of_trials(self) -> Assembled:
        """An ensemble of the study's own trials, each as it is."""
        members, combination, answers = self.choose()
        self._tell_of_models(members)
        model = EnsembleClassifier(tuple(map(self._models.model, members)), combination)
        return Assembled(members, shares(combination), model, answers)

    def soup(self) -> Assembled:
        """One model with the mean of the weights of trials."""
        numbers, _ = self._candidates
        answers = cross_fitted(
            lambda texts: self._cook(self._ingredients(texts)), self._labels, self.seed
        )
        places = self._ingredients(np.arange(len(self._labels)))
        members = tuple(numbers[place] for place in places)
        share, model = 1 / len(members), self._models.soup(members)
        model = replace(model, task=model.task.tuned(self._cook(places), self._labels))
        return Assembled(members, (share,) * len(members), model, answers)

    @cached_property
    def _candidates(self) -> tuple[list[int], Probabilities]:
        """The trials whose answers are known, and these: (trials, texts, scores)."""
        kept, found = kept_probabilities(self.session.study), {}
        for number in self.numbers:
            answers = kept.get(number)
            if answers is None and self.session.models.whole(number):
                answers = validation_answers(self.session, self._models.model(number))
            if answers is not None and len(answers) == len(self._labels):
                found[number] = answers
        left_out = len(self.entries) - len(found)
        if left_out:
            self.tell(
                f"{left_out} of {len(self.entries)} complete trials are left out: "
                "what they answered to the validation texts is not kept"
            )
        if not found:
            raise _no_answers(self.session.study.name)
        return list(found), np.stack(list(found.values()))

    @cached_property
    def _models(self) -> MemberModels:
        by_number = {entry.number: entry for entry in self.entries}
        return MemberModels(self.session, by_number, self.folder)

    @cached_property
    def _labels(self) -> Labels:
        return np.asarray(self.session.prepared.context.data.validation.labels)

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self.session.prepared.context.task, self.session.study.spec.study.metric)

    def _ingredients(self, texts: NDArray[np.int64]) -> tuple[int, ...]:
        """The trials of a soup, by their place among the candidates, as these texts would have it."""
        numbers, of_trials = self._candidates
        heads = {entry.number: entry.params.get("head") for entry in self.entries}
        ranked = self._judge.best_first(of_trials[:, texts], self._labels[texts])
        # Heads of another form have no mean.
        alike = [each for each in ranked if heads[numbers[each]] == heads[numbers[ranked[0]]]]
        ranked = alike[: self.size]
        if self.method == "uniform_soup":
            return tuple(ranked)
        return greedy_soup(self._judge, self._cook, ranked, self._labels, texts)

    def _cook(self, places: Sequence[int]) -> Probabilities:
        """What the soup of these candidates answers to the validation texts."""
        numbers, _ = self._candidates
        members = tuple(sorted(numbers[place] for place in places))
        if members not in self._cooked:
            self._tell_of_models(members)
            self._cooked[members] = validation_answers(self.session, self._models.soup(members))
        return self._cooked[members]

    @cached_property
    def _cooked(self) -> dict[tuple[int, ...], Probabilities]:
        return {}

    @cached_property
    def _told(self) -> set[int]:
        return set()

    def _tell_of_models(self, numbers: Sequence[int]) -> None:
        """Say how long it takes at most to train again what is not kept here."""
        gone = [n for n in numbers if n not in self._told and not self.session.models.has(n)]
        self._told.update(gone)
        if gone:
            seconds = sum(entry.seconds or 0 for entry in self.entries if entry.number in gone)
            self.tell(
                f"trials {', '.join(map(str, gone))} are not kept here: fetched from MLflow, "
                f"or trained again, for about {seconds:.0f} s at most"
            )


def shares(combination: Combination) -> tuple[float, ...]:
    """The members' weights as shares of 1."""
    total = sum(combination.weights)
    return tuple(weight / total for weight in combination.weights)


def no_complete_trial(study: str) -> ModelError:
    """The refusal of a study that has nothing to make an ensemble of."""
    return ModelError(
        f"study {study}",
        found="no complete trial",
        expected="one at least, to make an ensemble of",
        hint="Run the study first.",
    )


def _no_answers(study: str) -> ModelError:
    return ModelError(
        f"study {study}",
        found="no trial of which is kept what it answered to the validation texts",
        expected="trials of this version of hpo, or kept models",
        hint="Run some more trials: raise --trials.",
    )
