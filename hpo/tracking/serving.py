"""How MLflow serves our models: the code beside the weights, what goes in and what comes out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_SOURCE = Path(__file__).with_name("served_classifier.py")
_ENSEMBLE_SOURCES = (
    _ROOT / "documents.py",
    _ROOT / "tasks" / "temperature.py",
    _ROOT / "model" / "combination.py",
    _SOURCE,
    Path(__file__).with_name("served_ensemble.py"),
)
_CODE_FOLDER = "code"
_ENVIRONMENT = {"conda_env": "conda.yaml", "python_env": "python_env.yaml"}
_EXAMPLE = ["A joy from start to finish.", "I want my money back."]
_EXAMPLE_FILES = {
    "artifact_path": "input_example.json",
    "serving_input_path": "serving_input_example.json",
}


def add_own_pyfunc(
    model: Any,
    folder: Path,
    label_names: Sequence[str],
    max_length: int,
    problem_type: str,
    *,
    ensemble: bool = False,
) -> None:
    """Have a model in `folder` served by our own code, which needs no hpo.

    Args:
        model: MLflow's, without its pyfunc.
        max_length: Tokens read of a text.
        problem_type: What transformers calls its task.
        ensemble: Whether it is what `save_ensemble` wrote; else what `save_pretrained` did.
    """
    from mlflow import pyfunc

    describe(model, folder, label_names, max_length, problem_type)
    code = folder / _CODE_FOLDER
    code.mkdir(exist_ok=True)
    module = _copy_code(_ENSEMBLE_SOURCES if ensemble else (_SOURCE,), code)
    pyfunc.add_to_model(model, loader_module=module, code=_CODE_FOLDER, **_ENVIRONMENT)


def _copy_code(sources: Sequence[Path], code: Path) -> str:
    """Copy modules of ours so that they import each other alone; the name that the last one has then.

    Args:
        sources: None imports one that comes after it.
        code: The folder that they go to.
    """
    texts = [source.read_text(encoding="utf-8") for source in sources]
    # Python loads a module name once for the whole process: other code has another name.
    suffix = hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
    renamed: dict[str, str] = {}
    for source, text in zip(sources, texts, strict=True):
        for ours, copied in renamed.items():
            text = text.replace(f"from {ours} import", f"from {copied} import")
        dotted = ".".join(source.relative_to(_ROOT.parent).with_suffix("").parts)
        renamed[dotted] = name = f"{source.stem}_{suffix}"
        (code / f"{name}.py").write_text(text, encoding="utf-8")
    return name


def describe(
    model: Any,
    folder: Path,
    label_names: Sequence[str],
    max_length: int | None,
    problem_type: str,
) -> None:
    """Say in MLflow's words what the model takes and gives: signature, input example, metadata."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    # Of the inputs no schema: with one, MLflow cuts every table to its first column, whatever that
    # is, and refuses a list that begins with a row of an odd kind, before our code sees either.
    model.signature = ModelSignature(
        outputs=Schema(
            [
                *_answers(label_names, problem_type),
                ColSpec(DataType.string, "error", required=False),
            ]
        )
    )
    model.metadata = {
        "max_length": max_length,
        "label_names": list(label_names),
        "problem_type": problem_type,
        "inputs": "a text, a list or Series of texts, or a table with a column `text`",
    }
    contents = zip(_EXAMPLE_FILES.values(), (_EXAMPLE, {"inputs": _EXAMPLE}), strict=True)
    for name, content in contents:
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    model.saved_input_example_info = {"type": "json_object", **_EXAMPLE_FILES}


def _answers(label_names: Sequence[str], problem_type: str) -> list[Any]:
    """The columns that `served_classifier.Answers` gives, in MLflow's words."""
    from mlflow.types import ColSpec, DataType
    from mlflow.types.schema import Array

    if problem_type == "regression":
        return [ColSpec(DataType.double, "prediction", required=False)]
    first = ColSpec(DataType.string, "label", required=False)
    if problem_type == "multi_label_classification":
        first = ColSpec(Array(DataType.string), "labels", required=False)
    return [
        first,
        *(ColSpec(DataType.double, f"probability_{name}", required=False) for name in label_names),
    ]
