"""Every way in which a registered classifier can be called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hpo.tracking.loading import load_folder
from tests.tracking.measured import (
    LABELS,
    Measured,
)

ROOT = Path(__file__).resolve().parents[2]


PROBABILITIES = [f"probability_{label}" for label in LABELS]


# Both sides compute in fp32, in batches of other shapes.
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


def by_pyfunc(measured: Measured, texts: list[str]) -> NDArray[np.float64]:
    table = mlflow.pyfunc.load_model(str(measured.folder)).predict(texts)
    assert list(table["label"]) == [LABELS[i] for i in table[PROBABILITIES].to_numpy().argmax(1)]
    return np.asarray(table[PROBABILITIES])


def by_loader(measured: Measured, texts: list[str]) -> NDArray[np.float32]:
    return load_folder(measured.folder, "it").classify(texts)[1]


def by_mlflow_transformers(measured: Measured, texts: list[str]) -> NDArray[np.float64]:
    classify = mlflow.transformers.load_model(str(measured.folder), truncation=True)
    return scores(classify(measured.for_transformers(texts), top_k=None))


def by_pipeline(measured: Measured, texts: list[str]) -> NDArray[np.float64]:
    folder = f"{measured.folder}/model"
    classify = pipeline("text-classification", folder, truncation=True, top_k=None)
    return scores(classify(measured.for_transformers(texts), batch_size=3))


def by_auto_model(measured: Measured, texts: list[str]) -> NDArray[np.float64]:
    folder = measured.folder / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(
        measured.for_transformers(texts), return_tensors="pt", padding=True, truncation=True
    )
    with torch.no_grad():
        return np.asarray(model(**encoded).logits.softmax(-1))


def scores(answers: list[list[dict[str, Any]]]) -> NDArray[np.float64]:
    by_label = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    return np.array([[scores[label] for label in LABELS] for scores in by_label])
