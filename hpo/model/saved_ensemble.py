"""Ensembles as files: what each member trained, and once the pretrained model that all of them stand on.

A folder holds

    ensemble.json    how the members are combined, and what serving needs to know of the model
    base/            the pretrained model and its tokenizer, as transformers writes them
    tokenizer/       the tokenizer for serving, which cleans and cuts texts as was done in training
    members/00/ …    what `save_trained` writes of each member, and beside it its head for serving
    digests.json     of all of these

so that it loads where neither the study nor its base model is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.digests import damage_in, write_digests
from hpo.documents import parse_json
from hpo.errors import ModelError, first_line
from hpo.formats import ENSEMBLE, check_format
from hpo.model.combination import ENSEMBLE_FILE, Combination
from hpo.model.ensemble import EnsembleClassifier
from hpo.model.exported_tokenizer import save_tokenizer
from hpo.model.pretrained import PretrainedModel, load_pretrained
from hpo.model.saved import TRAINED_FILE, TextClassifier, load_trained, save_trained
from hpo.model.weights_file import write_weights

_BASE = "base"
_TOKENIZER = "tokenizer"


def save_ensemble(
    folder: Path, ensemble: EnsembleClassifier, facts: Sequence[Mapping[str, Any]]
) -> None:
    """Write an ensemble so that it loads where nothing else of the study is.

    Args:
        folder: Made where it is missing.
        ensemble: Of any members.
        facts: One a member: anything JSON that a person may want to know of its trial.

    Raises:
        OSError: Where it cannot be written.
    """
    _save_base(folder / _BASE, ensemble.model)
    tokenizer = folder / _TOKENIZER
    tokenizer.mkdir(exist_ok=True)
    save_tokenizer(tokenizer, ensemble.model.tokenizer, ensemble.max_length, ensemble.preprocessing)
    members = []
    for index, (member, of_trial) in enumerate(zip(ensemble.members, facts, strict=True)):
        name = f"members/{index:02d}"
        save_trained(
            folder / name,
            member.classifier,
            member.task,
            member.label_names,
            member.max_length,
            of_trial,
            member.preprocessing,
        )
        _save_head(folder / f"{name}.head.safetensors", member)
        members.append(
            {
                "folder": name,
                "weights": f"{name}/{TRAINED_FILE}",
                "head": f"{name}.head.safetensors",
                "freeze_depth": member.classifier.trained.first_block,
            }
        )
    document = {
        "format": ENSEMBLE.number,
        "base": _BASE,
        "tokenizer": _TOKENIZER,
        "members": members,
        "combination": ensemble.combination.as_json(),
        "problem_type": ensemble.task.problem_type,
        "temperature": ensemble.temperature,
        "thresholds": list(ensemble.task.config.get("thresholds", ())),
        "label_names": list(ensemble.label_names),
        "max_length": ensemble.max_length,
        "model": _for_serving(ensemble.model),
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    (folder / ENSEMBLE_FILE).write_text(text, encoding="utf-8")
    write_digests(folder)


def load_ensemble(folder: Path) -> EnsembleClassifier:
    """Load what `save_ensemble` wrote.

    Args:
        folder: That it was written to.

    Raises:
        ModelError: Where something of it is missing or damaged.
    """
    try:
        damage = damage_in(folder, needed=(ENSEMBLE_FILE,))
        if damage is not None:
            raise ValueError(damage)
        document = dict(parse_json((folder / ENSEMBLE_FILE).read_text(encoding="utf-8")))
        check_format(ENSEMBLE, str(folder / ENSEMBLE_FILE), document.get("format"))
        combination = Combination.from_json(document["combination"])
        places = [folder / member["folder"] for member in document["members"]]
        base = load_pretrained(str(folder / document["base"]))
        members = tuple(load_trained(place, lambda _name, _revision: base) for place in places)
        # Those of earlier releases lack it.
        return EnsembleClassifier(members, combination, float(document.get("temperature", 1.0)))
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise ModelError(
            str(folder),
            found=f"no ensemble that can be read ({first_line(error)})",
            expected=f"{ENSEMBLE_FILE}, its members and their base model",
            hint="Publish it again.",
        ) from error


def _save_head(path: Path, member: TextClassifier) -> None:
    """Write a member's head as it is read without its task, and the norm's bias that goes with it."""
    parameters, family = member.classifier.parameters, member.model.family
    names = family.head, family.final_norm[1]
    head, norm_bias = (parameters[name].detach().cpu() for name in names)
    plain = member.task.plain_head(head, norm_bias)
    write_weights(path, dict(zip(names, plain, strict=True)))


def _save_base(folder: Path, model: PretrainedModel) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = json.dumps(model.config.to_dict(), indent=2, ensure_ascii=False)
    (folder / "config.json").write_text(config, encoding="utf-8")
    write_weights(folder / "model.safetensors", model.weights, {"format": "pt"})
    model.tokenizer.save_pretrained(folder)


def _for_serving(model: PretrainedModel) -> dict[str, Any]:
    """What a forward pass needs to know that knows no family of models."""
    family, architecture = model.family, model.architecture
    return {
        "heads": architecture.n_head,
        "activation": architecture.activation,
        "norm_epsilon": architecture.norm_epsilon,
        "attention_scales": list(architecture.attention_scales),
        "embeddings": [family.token_embedding, family.position_embedding],
        "blocks": [list(family.block_names(index)) for index in range(architecture.n_layer)],
        "final_norm": list(family.final_norm),
        "head": family.head,
    }
