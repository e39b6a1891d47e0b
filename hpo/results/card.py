"""Parts of a model card: how the model is called so that it sees what was measured, and an ensemble's members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hpo.data.cleaning import cleaning_steps
from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing, head_tokens
from hpo.results.markdown_table import markdown_table, rounded
from hpo.tracking.keys import CHAMPION_ALIAS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hpo.results.champion_source import ChampionSource
    from hpo.results.final_test import TestScore

_COMBINED: Final = {
    "mean": "the weighted mean of their probabilities",
    "samme": "their weighted vote",
    "stacking": "a logistic regression on their probabilities",
}


def how_to_call(
    registered_name: str,
    max_length: int,
    tokenizer: PreTrainedTokenizerBase,
    preprocessing: Preprocessing = AS_THEY_ARE,
    *,
    problem_type: str = "single_label_classification",
    ensemble: bool = False,
    alias: str = CHAMPION_ALIAS,
) -> str:
    """Markdown: the calls that are right for every text, and what becomes of long ones.

    Args:
        registered_name: The name in MLflow's registry.
        max_length: Tokens that are read of a text.
        tokenizer: The model's.
        preprocessing: What is done to a text before.
        problem_type: What transformers calls its task.
        ensemble: Whether it is one, which transformers cannot load.
        alias: By which it is called.
    """
    uri = f"models:/{registered_name}@{alias}"
    texts = "texts"
    if not tokenizer("")["input_ids"]:
        # The pipeline fails on a text without tokens, or in a batch answers something else.
        given = "text" if tokenizer(" ")["input_ids"] else "text.strip()"
        texts = f"[text if {given} else {str(tokenizer.pad_token)!r} for text in texts]"
    lines = [
        "## How to call it",
        "",
        f"It was trained and tested on {tokens_read(max_length, preprocessing)}, in fp32. "
        f"What a longer text has beyond them is not read.{_cleaned(preprocessing)}",
        "",
        "With MLflow, which truncates by itself and takes every text:",
        "",
        "```python",
        "import mlflow",
        "",
        f'classify = mlflow.pyfunc.load_model("{uri}").predict',
        f"classify(texts)  # {_ANSWERS.get(problem_type, _ONE_LABEL)} for every text",
        "```",
        "",
        *(
            _NO_TRANSFORMERS
            if ensemble
            else _with_transformers(uri, texts, preprocessing, problem_type)
        ),
    ]
    return "\n".join(lines)


def purpose(test: TestScore, label_names: Sequence[str]) -> str:
    """What a model does, in words that follow `fine-tuned to`."""
    shown = ", ".join(label_names[:10]) + (" …" if len(label_names) > 10 else "")
    if test.confusion:
        return f"tell {len(label_names)} classes apart ({shown})"
    if test.label_counts:
        return f"find which of {len(label_names)} labels a text has ({shown})"
    return f"give a text a number ({shown})"


def members_section(source: ChampionSource, estimate: float, metric: str) -> list[str]:
    """Markdown: what an ensemble is made of, how its members answer as one, and how good that is thought.

    Args:
        source: An ensemble's.
        estimate: Its metric on validation texts.
        metric: The study's.
    """
    combination = source.combination
    assert combination is not None
    chosen = f", by {source.method}" if source.method else ""
    weights = combination.weights or ("",) * combination.members
    trials = source.trials if len(source.trials) == combination.members else ("",) * len(weights)
    rows = [
        (str(number), str(trial), rounded(weight))
        for number, (trial, weight) in enumerate(zip(trials, weights, strict=True), 1)
    ]
    return [
        f"An ensemble of {combination.members}{chosen}: it answers by {_COMBINED[combination.kind]}. "
        f"Estimated {metric} on validation: {estimate:.4f}.",
        "",
        *markdown_table(("member", "trial", "weight"), rows),
    ]


_ONE_LABEL: Final = "a label and the probability of each class"
_ANSWERS: Final = {
    "multi_label_classification": "the labels and the probability of each label",
    "regression": "a number",
}
_NO_TRANSFORMERS: Final = (
    "It is several classifiers on one base model, which transformers cannot load as one; MLflow's pyfunc "
    "runs what they have frozen alike once for all of them, and needs neither hpo nor the study.",
)


def _with_transformers(
    uri: str, texts: str, preprocessing: Preprocessing, problem_type: str
) -> list[str]:
    several = problem_type == "multi_label_classification"
    every = ", top_k=None" if several else ""
    both_ends = preprocessing.keep == "head+tail"
    return [
        "With transformers, which has to be told to truncate; without that it fails on a longer text"
        f"{', and with it reads the head alone' * both_ends}:",
        "",
        "```python",
        "from transformers import pipeline",
        "",
        f'folder = mlflow.artifacts.download_artifacts("{uri}")',
        'classify = pipeline("text-classification", f"{folder}/model", truncation=True)',
        f"classify({texts}{every})",
        "```",
        *(["", "A text has the labels whose scores reach `thresholds` in config.json."] * several),
        "",
        f'`mlflow.transformers.load_model("{uri}", truncation=True)` gives the same pipeline.',
    ]


def tokens_read(max_length: int, preprocessing: Preprocessing) -> str:
    """`the first 128 tokens of each text (`max_length`)`."""
    if preprocessing.keep == "head+tail":
        head = head_tokens(max_length)
        return (
            f"the first {head} and the last {max_length - head} tokens of each text (`max_length`)"
        )
    end = "last" if preprocessing.keep == "tail" else "first"
    return f"the {end} {max_length} tokens of each text (`max_length`)"


def _cleaned(preprocessing: Preprocessing) -> str:
    done = [step.what for step in cleaning_steps(preprocessing.cleaning)]
    return f" Its tokenizer cleans every text first: {', '.join(done)}." if done else ""
