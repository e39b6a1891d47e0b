"""Members that are trained for an ensemble, by the best trial's parameters: bagging and boosting.

A finished member lies in the study's folder, whole or not at all, with what it answered: a stopped
command goes on with the next one, and with a member that was under way from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from hpo.atomic import remove_partial, whole_folder
from hpo.digests import damage_in
from hpo.errors import ModelError
from hpo.model.combination import Combination
from hpo.model.saved import TextClassifier, load_trained, save_trained
from hpo.results.ensembles.bootstrap import bootstrap
from hpo.results.ensembles.samme import samme_round
from hpo.runtime.session import Session
from hpo.search.samplers import seed_for
from hpo.spec.ensemble_methods import EnsembleMethod
from hpo.spec.study import MOST_TRIALS
from hpo.spec.training import TrialParams
from hpo.training.checkpoint import CheckpointFile
from hpo.training.evaluate import TrainingDiverged
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.micro_batches import BatchTooLarge
from hpo.training.result import Verdict
from hpo.training.trial_data import StoredTexts, TrialData

_ANSWERS = "answers.safetensors"


@dataclass(frozen=True, eq=False)
class Member:
    """A finished member.

    Attributes:
        model: What it trained.
        validation: The probabilities that it gives the validation texts, (texts, scores).
        training: Those of the training texts, where boosting needs them.
    """

    model: TextClassifier
    validation: NDArray[np.float32]
    training: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class MemberTraining:
    """Trains the members of one ensemble.

    Attributes:
        session: Of the study.
        method: "bagging" or "boosting".
        params: Of all members.
        size: How many there are to be at most.
        folder: Where finished members are kept.
        tell: Takes a line for people for each member that is finished.
    """

    session: Session
    method: EnsembleMethod
    params: TrialParams
    size: int
    folder: Path
    tell: Callable[[str], object]

    def bagging(self) -> tuple[list[Member], Combination]:
        """Members trained on bootstraps of the training split, and the mean of what they say."""
        context, seed = self.session.prepared.context, self.session.study.spec.study.seed
        texts = len(context.data.train)
        members = []
        for index in range(self.size):
            drawn = StoredTexts("train", bootstrap(texts, seed=seed, member=index))
            members.append(self._member(index, TrialData(train=drawn)))
        return members, Combination.mean([1.0] * len(members))

    def boosting(self) -> tuple[list[Member], Combination]:
        """Members of SAMME, each trained with more weight on what the one before got wrong.

        Raises:
            ModelError: The first member is no better than a guess.
        """
        context = self.session.prepared.context
        labels = np.asarray(context.data.train.labels)
        weights = np.ones(len(labels))
        members: list[Member] = []
        alphas: list[float] = []
        for index in range(self.size):
            given = None if index == 0 else weights.astype(np.float32)
            member = self._member(index, TrialData(weights=given))
            assert member.training is not None
            wrong = context.task.predictions(member.training) != labels
            after = samme_round(weights, wrong, len(context.data.label_names))
            if after.alpha > 0:
                members.append(member)
                alphas.append(after.alpha)
            if after.weights is None:
                self.tell(f"boosting ends: weighted training error {after.error:.3f}")
                break
            weights = after.weights
        if not members:
            raise _no_better_than_a_guess(self.session.study.name)
        return members, Combination.samme(alphas)

    def _member(self, index: int, texts: TrialData) -> Member:
        """A member, from the disk where it is finished already."""
        place = self.folder / f"member-{index:02d}"
        if not (place.is_dir() and damage_in(place, needed=(_ANSWERS,)) is None):
            started = time.monotonic()
            value = self._train(index, texts, place)
            seconds = time.monotonic() - started
            left = (self.size - index - 1) * seconds
            metric = self.session.study.spec.study.metric
            self.tell(
                f"member {index + 1} of {self.size}: {metric} {value:.4f} in {seconds:.0f} s"
                + (f", about {left:.0f} s left" if left else "")
            )
        base = self.session.prepared.context.model
        model = load_trained(place, load_base=lambda _name, _revision: base)
        return Member(model, **load_file(place / _ANSWERS))

    def _train(self, index: int, texts: TrialData, place: Path) -> float:
        """Train a member and put it in its place; its validation score."""
        spec, work, context = (
            self.session.study.spec,
            self.session.work,
            self.session.prepared.context,
        )
        seed = seed_for(spec.study.seed, MOST_TRIALS + index)  # no trial has that number
        trial = TrialTraining(
            context, self.params, seed=seed, texts=texts, micro_batches=work.micro_batches
        )
        checkpoint = CheckpointFile(
            place.with_name(f"{place.name}.safetensors"), spec.training.checkpoint
        )
        trial.resume(checkpoint)
        try:
            result = trial.run(
                lambda _evaluation: Verdict.GO_ON,
                checkpoint=checkpoint,
                should_stop=work.should_stop,
            )
        except TrialInterrupted as interrupted:
            raise KeyboardInterrupt from interrupted
        except (TrainingDiverged, BatchTooLarge) as error:
            raise _failed(index, error) from error
        answers = {"validation": result.probabilities}
        if self.method == "boosting":
            answers["training"] = self._of_training_texts(trial)
        facts = {"study": self.session.study.name, "member": index, "value": result.value}
        facts["params"] = self.params.model_dump()
        remove_partial(place)
        with whole_folder(place, durable=True, replace=True) as folder:
            save_file(answers, folder / _ANSWERS)
            save_trained(
                folder,
                trial.classifier,
                trial.tuned_task,
                context.data.label_names,
                context.data.max_length,
                facts,
                context.data.preprocessing,
            )
        checkpoint.remove()
        return result.value

    def _of_training_texts(self, trial: TrialTraining) -> NDArray[np.float32]:
        context = self.session.prepared.context
        data, features = context.data, context.features
        model = TextClassifier.of(
            trial.classifier, features, trial.task, data.label_names, data.max_length
        )
        return model.probabilities(data.train, f"{data.fingerprint}:train")


def _no_better_than_a_guess(study: str) -> ModelError:
    return ModelError(
        f"study {study}, boosting",
        found="a first member that is no better than a guess on its training texts",
        expected="one that is: boosting begins with it",
        hint="Use --method bagging, or search for better parameters first.",
    )


def _failed(index: int, error: Exception) -> ModelError:
    return ModelError(
        f"member {index} of the ensemble",
        found=str(error),
        expected="a member that trains as the best trial did",
        hint="Use another method.",
    )
