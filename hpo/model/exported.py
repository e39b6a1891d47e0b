"""Classifiers in the form of transformers, ours or anybody's, read into the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing
from hpo.digests import damage_in
from hpo.errors import ModelError
from hpo.model.classifier import Classifier
from hpo.model.family import Trained
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.pretrained import PretrainedModel, load_pretrained
from hpo.model.saved import TextClassifier
from hpo.model.weight_files import read_tensors
from hpo.tasks import task_named
from hpo.tasks.task import TEMPERATURE_IN_HEAD, Task

_PLAIN_NUMBERS: Final = {"mean": 0.0, "scale": 1.0}  # an exported head is in the labels' own units


def load_exported(folder: Path) -> TextClassifier:
    """Load a classifier that `save_transformers`, or `save_pretrained` of transformers, wrote.

    Its tokenizer cleans and truncates by itself. All of it is frozen, so that it cannot be trained on.

    Args:
        folder: With config.json, weights and a tokenizer.

    Raises:
        ModelError: There is no such model, it is damaged, or it has no head.
    """
    name = str(folder)
    damage = damage_in(folder)
    if damage is not None:
        raise _no_classifier(name, f"damaged files ({damage})", "Fetch or export it again.")
    model = load_pretrained(name)
    stored = read_tensors(folder, name)
    if model.family.head not in stored:
        hint = "Fine-tune it first: `python -m hpo.run --model` names a model to begin with."
        raise _no_classifier(name, f"a model without a head ({model.family.head})", hint)
    head = stored[model.family.head].tensor.float()
    named: Any = model.config.id2label
    label_names = tuple(str(named[index]) for index in range(len(head)))
    task = _task_of(model)
    features = FrozenFeatures(model, cache=None)
    classifier = Classifier(
        model,
        trained=Trained(embeddings=False, first_block=model.architecture.n_layer),
        classes=len(head),
        embedding_rows=None,
        seed=0,
        dtype=features.dtype,
        device=features.device,
    )
    # The task divides by it, as it did when the model was measured.
    head = head * task.temperature
    classifier.restore({**classifier.parameters, model.family.head: head}, decay=1.0)
    tokenizer: Any = model.tokenizer
    return TextClassifier(
        classifier,
        features,
        task,
        label_names,
        int(min(tokenizer.model_max_length, model.architecture.n_positions)),
        # What the tokenizer cannot do by itself is to keep both ends of a text.
        Preprocessing(keep="head+tail") if "head_tokens" in tokenizer.init_kwargs else AS_THEY_ARE,
    )


def _task_of(model: PretrainedModel) -> Task:
    config = model.config
    cooled = {"temperature": getattr(config, TEMPERATURE_IN_HEAD, None) or 1.0}
    match config.problem_type:
        case "regression":
            return task_named("regression").with_facts(_PLAIN_NUMBERS)
        case "multi_label_classification":
            thresholds = getattr(config, "thresholds", None) or ()
            return task_named("multi_label").with_facts({"thresholds": thresholds, **cooled})
        case _:
            return task_named("single_label").with_facts(cooled)


def _no_classifier(name: str, found: str, hint: str) -> ModelError:
    return ModelError(
        f"model {name}", found=found, expected="a classifier as transformers writes it", hint=hint
    )
