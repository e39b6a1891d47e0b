"""An ensemble that was made of a study: what it is, how good it is, its words and its model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hpo.results.card import purpose
from hpo.results.ensembles.honest import Comparison
from hpo.results.final_test import TestScore
from hpo.results.score_card import score_sections
from hpo.spec.ensemble_methods import EnsembleMethod
from hpo.spec.study import Metric

TRAINED_METHODS = ("bagging", "boosting")
"""The methods whose members are trained for the ensemble; those of the others are the study's trials."""


@dataclass(frozen=True)
class Ensemble:
    """An ensemble of a study.

    Attributes:
        method: How it was made.
        size: That was asked for.
        members: Numbers of trials; of members that were trained for it, from 0.
        weights: Of the members in the vote, adding up to 1; none for stacking.
        of_trials: The complete trials that there were to choose from.
        comparison: With the best single trial, on the validation split.
        test: Its score on the test split.
        registered_name: Of the registered model.
        alias: By which it loads.
        times_tested: Looks of this study at the test split so far, this one included.
    """

    method: EnsembleMethod
    size: int
    members: tuple[int, ...]
    weights: tuple[float, ...]
    of_trials: tuple[int, ...]
    comparison: Comparison
    test: TestScore
    registered_name: str
    alias: str
    times_tested: int

    @property
    def key(self) -> str:
        """Tells it from other ensembles of the study."""
        weights = [round(weight, 6) for weight in self.weights]
        text = json.dumps([self.method, self.members, weights, self.of_trials])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def uri(self) -> str:
        """Where it loads from once MLflow has it."""
        return f"models:/{self.registered_name}@{self.alias}"

    def as_json(self) -> dict[str, Any]:
        """Facts for `from_json`."""
        return asdict(self)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Ensemble:
        """The ensemble that `as_json` told of."""
        values = dict(document)
        compared, test = dict(values.pop("comparison")), TestScore.from_json(values.pop("test"))
        compared["interval"] = tuple(compared["interval"])
        for name in ("members", "weights", "of_trials"):
            values[name] = tuple(values[name])
        return Ensemble(comparison=Comparison(**compared), test=test, **values)

    def in_words(self, metric: Metric) -> list[str]:
        """Lines for people: members, the honest comparison, the test score, where it loads from."""
        compared, (low, high) = self.comparison, self.test.intervals[metric]
        verdict = "better" if compared.interval[0] > 0 else "not clearly better"
        if compared.interval[1] < 0:
            verdict = "worse"
        return [
            f"Ensemble ({self.method}) of {self._members_in_words()}",
            f"Validation {metric}, chosen on one half of {compared.texts} texts, scored on the other:",
            f"  best single trial  {compared.single:.4f}",
            f"  ensemble           {compared.ensemble:.4f}",
            f"  gain               {compared.gain:+.4f} "
            f"(95 % {compared.interval[0]:+.4f} to {compared.interval[1]:+.4f}): {verdict}",
            f"Test {metric}: {self.test.metrics[metric]:.4f} (95 % {low:.4f} to {high:.4f}; "
            f"{self.test.texts} texts, look {self.times_tested} at them)",
            f"Ensemble:  {self.uri}",
        ]

    def card(self, study_name: str, metric: Metric, base_model: str, labels: Sequence[str]) -> str:
        """Markdown: what it is and how good."""
        told = [f"- {line.strip()}" for line in self.in_words(metric)[:-1]]
        return "\n".join(
            [
                f"# {study_name}, ensemble by {self.method}",
                "",
                f"GPT-2 text classifiers, `{base_model}` fine-tuned, that together "
                f"{purpose(self.test, labels)}.",
                "",
                *told,
                *score_sections(self.test, labels),
            ]
        )

    def _members_in_words(self) -> str:
        what = "member" if self.method in TRAINED_METHODS else "trial"
        if not self.weights:
            return f"{what}s " + ", ".join(map(str, self.members))
        pairs = zip(self.members, self.weights, strict=True)
        named = ", ".join(f"{member} ({weight:.0%})" for member, weight in pairs)
        return f"{what}{'s' if len(self.members) > 1 else ''} {named}"
