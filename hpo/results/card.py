"""The part of a model card that says how the model is called, so that it sees what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.data.cleaning import cleaning_steps
from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing, head_tokens
from hpo.tracking.keys import CHAMPION_ALIAS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def how_to_call(
    registered_name: str,
    max_length: int,
    tokenizer: PreTrainedTokenizerBase,
    preprocessing: Preprocessing = AS_THEY_ARE,
) -> str:
    """Markdown: the calls that are right for every text, and what becomes of long ones."""
    uri = f"models:/{registered_name}@{CHAMPION_ALIAS}"
    texts = "texts"
    if not tokenizer("")["input_ids"]:
        # The pipeline fails on a text without tokens, or in a batch answers something else.
        given = "text" if tokenizer(" ")["input_ids"] else "text.strip()"
        texts = f"[text if {given} else {str(tokenizer.pad_token)!r} for text in texts]"
    both_ends = preprocessing.keep == "head+tail"
    lines = [
        "## How to call it",
        "",
        f"It was trained and tested on {_tokens_read(max_length, preprocessing)}, in fp32. "
        f"What a longer text has beyond them is not read.{_cleaned(preprocessing)}",
        "",
        "With MLflow, which truncates by itself and takes every text:",
        "",
        "```python",
        "import mlflow",
        "",
        f'classify = mlflow.pyfunc.load_model("{uri}").predict',
        "classify(texts)  # a label and the probability of each class for every text",
        "```",
        "",
        "With transformers, which has to be told to truncate; without that it fails on a longer text"
        f"{', and with it reads the head alone' * both_ends}:",
        "",
        "```python",
        "from transformers import pipeline",
        "",
        f'folder = mlflow.artifacts.download_artifacts("{uri}")',
        'classify = pipeline("text-classification", f"{folder}/model", truncation=True)',
        f"classify({texts})",
        "```",
        "",
        f'`mlflow.transformers.load_model("{uri}", truncation=True)` gives the same pipeline.',
    ]
    return "\n".join(lines)


def _tokens_read(max_length: int, preprocessing: Preprocessing) -> str:
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
