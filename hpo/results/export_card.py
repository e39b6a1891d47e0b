"""The card of an exported model: what it is, and code that gives the answers that were measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hpo.data.preprocessing import Preprocessing, head_tokens
from hpo.printable import printable
from hpo.results.card import tokens_read

if TYPE_CHECKING:
    from hpo.model.saved import TextClassifier

_LOADED: Final = {
    "transformers": (
        "import numpy as np\n"
        "import torch\n"
        "from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer",
        "model = AutoModelForSequenceClassification.from_pretrained(folder).eval()",
        "with torch.inference_mode():\n    logits = model(**batch).logits.numpy()",
        "pt",
    ),
    "onnx": (
        "import numpy as np\n"
        "from onnxruntime import InferenceSession\n"
        "from transformers import AutoConfig, AutoTokenizer",
        'session = InferenceSession(f"{folder}/model.onnx")',
        "(logits,) = session.run(None, dict(batch))",
        "np",
    ),
}
_ANSWERS: Final = {
    "single_label_classification": (
        "odds = np.exp(logits - logits.max(1, keepdims=True))\n"
        "probabilities = odds / odds.sum(1, keepdims=True)\n"
        "answers = [names[index] for index in probabilities.argmax(1)]"
    ),
    "multi_label_classification": (
        "probabilities = 1 / (1 + np.exp(-logits))\n"
        'reached = probabilities >= np.array(getattr(config, "thresholds", None) or 0.5)\n'
        "answers = [[names[index] for index in np.flatnonzero(row)] for row in reached]"
    ),
    "regression": "answers = logits[:, 0].tolist()",
}
_PLAIN_BATCH: Final = (
    'batch = tokenizer(texts, truncation=True, padding=True, return_tensors="{kind}")'
)
_BOTH_ENDS: Final = (
    "runs = tokenizer(texts, truncation=False, verbose=False).input_ids\n"
    "runs = [run if len(run) <= {most} else run[:{head}] + run[-{tail}:] for run in runs]\n"
    'batch = tokenizer.pad({{"input_ids": runs}}, return_tensors="{kind}")'
)


def export_card(classifier: TextClassifier, place: str, form: str) -> str:
    """Markdown, whose code runs as it stands in the folder.

    Args:
        classifier: The model.
        place: What the model was called when it was exported.
        form: A key of `_LOADED`.
    """
    imports, loading, forward, kind = _LOADED[form]
    how = _reading(classifier)
    code = [
        imports,
        "",
        'folder = "."  # that this file is in',
        "config = AutoConfig.from_pretrained(folder)",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        loading,
        "names = config.id2label",
        "",
        'texts = ["A joy from start to finish.", ""]',
        "# A text without tokens is read as one token of padding.",
        "blank = [not tokenizer(text, truncation=True).input_ids for text in texts]",
        "texts = [tokenizer.pad_token if no else text for no, text in zip(blank, texts)]",
        _batch(how, classifier.max_length, kind),
        forward,
        _ANSWERS[classifier.task.problem_type],
    ]
    return "\n".join(
        [
            "# A text classifier",
            "",
            f"Exported{_source(place)} by hpo. It answers with {_answered(classifier)}.",
            "",
            f"It was trained and tested on {tokens_read(classifier.max_length, how)}, in fp32; what a longer text "
            "has beyond them is not read. The tokenizer beside it cleans texts as was done in training, and has to "
            "be told to truncate, as here:",
            "",
            "```python",
            *code,
            "```",
            "",
            *_temperature(classifier),
            "`digests.json` has the SHA-256 of every file.",
            "",
        ]
    )


def _temperature(classifier: TextClassifier) -> list[str]:
    """A plain model has no place for it but the head, whose logits it changes and no answer."""
    temperature = classifier.task.temperature
    if temperature == 1:
        return []
    return [
        f"Its probabilities are calibrated: the head has been divided by {temperature:.3g}, the temperature that "
        "suits the validation texts best (Guo et al., 2017). Multiply the logits by it for those of training.",
        "",
    ]


def _source(place: str) -> str:
    """Where MLflow has it; a folder's path is of this machine alone."""
    return f" from `{place}`" if ":/" in place else ""


def _reading(classifier: TextClassifier) -> Preprocessing:
    """How texts are cut; what an exported model keeps of it is the side on which its tokenizer does."""
    how = classifier.preprocessing
    if how.keep is None and classifier.model.tokenizer.truncation_side == "left":
        return Preprocessing(keep="tail")
    return how


def _batch(how: Preprocessing, most: int, kind: str) -> str:
    if how.keep != "head+tail":
        return _PLAIN_BATCH.format(kind=kind)
    head = head_tokens(most)
    return _BOTH_ENDS.format(most=most, head=head, tail=most - head, kind=kind)


def _answered(classifier: TextClassifier) -> str:
    if classifier.task.problem_type == "regression":
        return "a number"
    names = classifier.label_names
    told = ", ".join(f"`{printable(name)}`" for name in names[:10]) + ", …" * (len(names) > 10)
    several = classifier.task.problem_type == "multi_label_classification"
    return f"{'any of' if several else 'one of'} {len(names)} labels ({told})"
