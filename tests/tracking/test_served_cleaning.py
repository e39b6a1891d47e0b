"""Cleaning, and what is read of long texts, go with the model, through every way in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpo.data.preprocessing import Preprocessing
from hpo.model.saved import load_trained, save_trained
from hpo.spec.cleaning import CleaningSection, Keep
from hpo.tasks.single_label import SINGLE_LABEL
from tests.tracking.measured import LABELS, TOKENIZERS, publish
from tests.tracking.ways_in import CLOSE, by_loader, by_pipeline, by_pyfunc

_CLEANING = CleaningSection(html=True, lowercase=True, whitespace=True, urls="mask")
_UNCLEAN = [
    "A <br /><b>DULL</b> film &amp;  so on",
    "see https://a.b/c?d now",
    "Good. " * 200,
    "<p> </p>",
    "Straße ΣΑΣ",
]


@pytest.mark.parametrize("keep", [None, "head", "tail", "head+tail"])
@pytest.mark.parametrize("tokenizer", TOKENIZERS[:2])
def test_a_model_cleans_and_cuts_wherever_it_is_used(
    tmp_path: Path, keep: Keep | None, tokenizer: str
) -> None:
    how = Preprocessing(_CLEANING, keep)
    measured = publish(tmp_path, tokenizer=tokenizer, max_length=16, preprocessing=how)
    expected = measured.probabilities(_UNCLEAN)
    found = by_pyfunc(measured, _UNCLEAN)
    np.testing.assert_allclose(found, expected, **CLOSE)
    np.testing.assert_allclose(by_loader(measured, _UNCLEAN), expected, **CLOSE)
    unlike = [publish(tmp_path / "raw", tokenizer=tokenizer, max_length=16)]
    assert np.abs(unlike[0].probabilities(_UNCLEAN) - expected).max() > 1e-3
    if keep != "head+tail":  # whose middle transformers cannot cut out
        some = [text for text in _UNCLEAN if text != "<p> </p>"]
        given = expected[[_UNCLEAN.index(text) for text in some]]
        np.testing.assert_allclose(by_pipeline(measured, some), given, **CLOSE)


@pytest.mark.parametrize("keep", [None, "tail"])
def test_a_kept_model_remembers_how_texts_are_read(tmp_path: Path, keep: Keep | None) -> None:
    how = Preprocessing(_CLEANING, keep)
    measured = publish(tmp_path / "published", max_length=16, preprocessing=how)
    trained = measured.classifier.classifier
    save_trained(tmp_path / "kept", trained, SINGLE_LABEL, LABELS, 16, {}, how)
    again = load_trained(tmp_path / "kept")
    assert again.preprocessing == how
    np.testing.assert_array_equal(again.classify(_UNCLEAN)[1], measured.probabilities(_UNCLEAN))
