"""A folder made into an MLflow model without pickle: its MLmodel, its environment, its flavors."""

from __future__ import annotations

import importlib.metadata
import logging
import math
import platform
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.digests import write_digests
from hpo.documents import parse_json
from hpo.model.combination import ENSEMBLE_FILE
from hpo.model.trial_facts import read_facts
from hpo.tracking.registry import MLMODEL
from hpo.tracking.serving import add_own_pyfunc, describe

logger = logging.getLogger(__name__)

_FIRST_PROBLEM_TYPE = "single_label_classification"  # of what was kept before there were others
_REQUIRED = ("mlflow", "numpy", "pandas", "pydantic", "safetensors", "torch", "transformers")
_TOKENIZER_FILES = re.compile(
    r"tokenizer.*|vocab\..*|merges\.txt|special_tokens_map\.json|added_tokens\.json|config\.json"
)


def build(folder: Path, inner: str, flavor: Any, *, model_id: str, run_id: str) -> None:
    """Move the folder's content into `inner`, write MLflow's files beside it, MLmodel last."""
    from mlflow.models import Model

    content = folder / inner
    if not (folder / MLMODEL).exists():
        if not content.exists():
            staged = folder.with_name(f"{folder.name}.{inner}")
            if not staged.exists():
                folder.rename(staged)
            folder.mkdir(exist_ok=True)
            staged.rename(content)
        _write_environment(folder)
    model = Model(run_id=run_id, model_id=model_id)
    flavor(model, folder)
    files = [file for file in folder.rglob("*") if file.is_file() and file != folder / MLMODEL]
    model.model_size_bytes = sum(file.stat().st_size for file in files)
    model.save(str(folder / MLMODEL))


def pyfunc_flavor(model: Any, folder: Path) -> None:
    """What a trial trained, which `hpo.tracking.pyfunc` loads."""
    from mlflow import pyfunc

    try:
        facts = read_facts(folder / "data")
    except (OSError, ValueError) as error:
        # Loading says so; here it is only what MLflow shows of the model that is missing.
        logger.debug("reading the facts of %s: %s", folder, error)
        facts = {}
    describe(
        model,
        folder,
        facts.get("label_names", ()),
        facts.get("max_length"),
        facts.get("problem_type", _FIRST_PROBLEM_TYPE),
    )
    pyfunc.add_to_model(
        model,
        loader_module="hpo.tracking.pyfunc",
        data="data",
        conda_env="conda.yaml",
        python_env="python_env.yaml",
    )


def champion_flavor(model: Any, folder: Path) -> None:
    """What is served of a study: an ensemble, or one classifier that transformers reads."""
    is_ensemble = (folder / "model" / ENSEMBLE_FILE).is_file()
    (ensemble_flavor if is_ensemble else transformers_flavor)(model, folder)


def transformers_flavor(model: Any, folder: Path) -> None:
    """MLflow's transformers flavor for a sequence classifier, as its `save_model` writes it.

    Written here for `save_model` reads the whole checkpoint, copies it twice and asks the hub for a
    licence. Its pyfunc does not truncate, reads `[1, 2]` as Python and fails on an empty text, so the
    pyfunc is our own.
    """
    checkpoint = folder / "model"
    tokenizer = folder / "components" / "tokenizer"
    tokenizer.mkdir(parents=True, exist_ok=True)
    for file in checkpoint.iterdir():
        if _TOKENIZER_FILES.fullmatch(file.name):
            shutil.copy2(file, tokenizer / file.name)
    config = parse_json((checkpoint / "config.json").read_text(encoding="utf-8"))
    tokenizer_config = tokenizer / "tokenizer_config.json"
    settings = (
        parse_json(tokenizer_config.read_text(encoding="utf-8"))
        if tokenizer_config.exists()
        else {}
    )
    model.add_flavor(
        "transformers",
        transformers_version=importlib.metadata.version("transformers"),
        code=None,
        task="text-classification",
        instance_type="TextClassificationPipeline",
        pipeline_model_type=config["architectures"][0],
        source_model_name=config.get("_name_or_path") or "model",
        model_binary="model",
        torch_dtype=None,
        tokenizer_type=settings.get("tokenizer_class", "GPT2Tokenizer"),
        components=["tokenizer"],
    )
    label_names = [config["id2label"][str(index)] for index in range(len(config["id2label"]))]
    max_length = min(settings.get("model_max_length", math.inf), config["n_positions"])
    problem_type = config.get("problem_type") or _FIRST_PROBLEM_TYPE
    add_own_pyfunc(model, folder, label_names, max_length, problem_type)
    write_digests(folder, but=[MLMODEL])


def ensemble_flavor(model: Any, folder: Path) -> None:
    """What `save_ensemble` wrote, for which there is no flavor but our own pyfunc."""
    document = parse_json((folder / "model" / ENSEMBLE_FILE).read_text(encoding="utf-8"))
    add_own_pyfunc(
        model,
        folder,
        document["label_names"],
        document["max_length"],
        document["problem_type"],
        ensemble=True,
    )
    write_digests(folder, but=[MLMODEL])


def _write_environment(folder: Path) -> None:
    requirements = _requirements()
    lines = "\n".join(requirements)
    pinned = "\n".join(f"    - {line}" for line in requirements)
    python = platform.python_version()
    (folder / "requirements.txt").write_text(lines + "\n")
    (folder / "python_env.yaml").write_text(
        f"python: {python}\nbuild_dependencies:\n- pip\n- setuptools\n- wheel\n"
        "dependencies:\n- -r requirements.txt\n"
    )
    (folder / "conda.yaml").write_text(
        f"name: mlflow-env\nchannels:\n- conda-forge\ndependencies:\n- python={python}\n- pip\n"
        f"- pip:\n{pinned}\n"
    )


def _requirements() -> Sequence[str]:
    # Without the local part (+cpu, +cu128): no index has it under that name.
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in _REQUIRED]
