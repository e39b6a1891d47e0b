"""A training of a study before its first step: a trial's, or one that confirms a trial."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from optuna.trial import BaseTrial

from hpo.data.exchange import exchanged
from hpo.runtime.preparation import Prepared
from hpo.runtime.wider import wider
from hpo.search.pruners import evaluations_a_training
from hpo.search.samplers import confirmation_seed, seed_for
from hpo.spec.space import SearchSpace
from hpo.spec.training import TrialParams
from hpo.studies.confirmations import run_key, scored_at
from hpo.studies.studies import OpenStudy
from hpo.training.folds import FoldedTraining
from hpo.training.loop import TrialTraining
from hpo.training.micro_batches import MicroBatches
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import StoredTexts, TrialData

Training = TrialTraining | FoldedTraining


def training_of(
    prepared: Prepared,
    space: SearchSpace,
    params: TrialParams,
    seed: int,
    micro_batches: MicroBatches,
) -> Training:
    """A trial of the study, on its validation split or over its folds."""
    context = prepared.context
    if not context.folds:
        return TrialTraining(context, params, seed=seed, micro_batches=micro_batches)
    return FoldedTraining(
        context,
        params,
        seed=seed,
        evaluations_a_fold=evaluations_a_training(prepared.spec, space),
        micro_batches=micro_batches,
    )


@dataclass
class Confirming:
    """The trainings with new seeds that confirm a study's trials."""

    prepared: Prepared
    micro_batches: MicroBatches

    def training(
        self, params: TrialParams, repetition: int, *, on_new: bool, scored_at: int | None
    ) -> TrialTraining:
        """One on a split.

        Args:
            params: Of the trial that is confirmed.
            repetition: Which of the new seeds it has, from 0.
            on_new: Whether it is scored on new validation texts, not on those that the trials had.
            scored_at: The evaluation that counts; None: its best.
        """
        return TrialTraining(
            self._wide if on_new else self.prepared.context,
            params,
            seed=confirmation_seed(self.prepared.spec.study.seed, repetition),
            texts=new_texts(self.prepared, repetition) if on_new else None,
            micro_batches=self.micro_batches,
            scored_at=scored_at,
        )

    @cached_property
    def _wide(self) -> TrialContext:
        return wider(self.prepared, "train+validation")


def new_texts(prepared: Prepared, repetition: int) -> TrialData:
    """What a training reads that is scored on new validation texts, of the context with both splits joined."""
    data, seed = prepared.data, prepared.spec.study.seed
    fold = exchanged(data.train, data.validation, seed=seed, repetition=repetition)
    return TrialData(StoredTexts("train", fold.train), StoredTexts("train", fold.validation))


@dataclass
class Trainings:
    """The trainings of one study in this process."""

    study: OpenStudy
    prepared: Prepared
    micro_batches: MicroBatches

    def of(self, trial: BaseTrial, params: TrialParams) -> Training:
        """That of a trial as the storage has it, whatever its study is."""
        seed, confirms = self.study.spec.study.seed, self.study.confirms
        if confirms and not self.prepared.context.folds:
            return self._confirming.training(
                params,
                run_key(trial).repetition,
                on_new=run_key(trial).on == "new",
                scored_at=scored_at(trial),
            )
        own = (
            confirmation_seed(seed, run_key(trial).repetition)
            if confirms
            else seed_for(seed, trial.number)
        )
        return training_of(self.prepared, self.study.space, params, own, self.micro_batches)

    @cached_property
    def _confirming(self) -> Confirming:
        return Confirming(self.prepared, self.micro_batches)
