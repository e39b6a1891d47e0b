"""A training of a study before its first step: a trial's, or one that confirms a trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from optuna.trial import BaseTrial

from hpo.data.exchange import exchanged
from hpo.runtime.preparation import Prepared
from hpo.runtime.wider import wider
from hpo.search.pruners import evaluations_a_training
from hpo.search.samplers import confirmation_seed, seed_for
from hpo.spec.confirm import ConfirmedOn
from hpo.spec.space import SearchSpace
from hpo.spec.training import TrialParams
from hpo.studies.confirmations import run_key, scored_at
from hpo.studies.studies import OpenStudy
from hpo.training.folds import FoldedTraining
from hpo.training.loop import TrialTraining
from hpo.training.micro_batches import MicroBatches
from hpo.training.trial_data import StoredTexts, TrialData

Training = TrialTraining | FoldedTraining


def training_of(
    prepared: Prepared,
    space: SearchSpace,
    params: TrialParams,
    seed: int,
    micro_batches: MicroBatches,
    *,
    texts: TrialData | None = None,
    scored_at: Sequence[int] = (),
) -> Training:
    """A training of the study, on its validation split or over its folds.

    Args:
        prepared: The study's data and model.
        space: The study's.
        params: What it is trained with.
        seed: Its own.
        micro_batches: What fits into memory.
        texts: What it reads, where that is neither the study's splits nor its folds.
        scored_at: The evaluation that counts, over folds one for each; empty: the best.
    """
    context = prepared.context
    if not context.folds:
        return TrialTraining(
            context,
            params,
            seed=seed,
            texts=texts,
            micro_batches=micro_batches,
            scored_at=scored_at[0] if scored_at else None,
        )
    return FoldedTraining(
        context,
        params,
        seed=seed,
        evaluations_a_fold=evaluations_a_training(prepared.spec, space),
        scored_at=scored_at,
        micro_batches=micro_batches,
    )


@dataclass
class Confirming:
    """The trainings with new seeds that confirm a study's trials."""

    prepared: Prepared
    space: SearchSpace
    micro_batches: MicroBatches

    def training(
        self, params: TrialParams, repetition: int, *, on: ConfirmedOn, scored_at: Sequence[int]
    ) -> Training:
        """One of them.

        Args:
            params: Of the trial that is confirmed.
            repetition: Which of the new seeds it has, from 0.
            on: The validation texts: new ones, or those that the trials had.
            scored_at: The evaluation that counts, over folds one for each; empty: its best.
        """
        seed = confirmation_seed(self.prepared.spec.study.seed, repetition)
        texts = new_texts(self.prepared, repetition) if on == "new" else None
        prepared = self._wide if on == "new" else self.prepared
        return training_of(
            prepared, self.space, params, seed, self.micro_batches, texts=texts, scored_at=scored_at
        )

    @cached_property
    def _wide(self) -> Prepared:
        return replace(self.prepared, context=wider(self.prepared, "train+validation"))


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
        if self.study.confirms:
            key = run_key(trial)
            return self._confirming.training(
                params, key.repetition, on=key.on, scored_at=scored_at(trial)
            )
        seed = seed_for(self.study.spec.study.seed, trial.number)
        return training_of(self.prepared, self.study.space, params, seed, self.micro_batches)

    @cached_property
    def _confirming(self) -> Confirming:
        return Confirming(self.prepared, self.study.space, self.micro_batches)
