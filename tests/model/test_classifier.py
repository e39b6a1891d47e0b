from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.model.classifier import Vocabulary

ids = st.lists(st.integers(0, 60), min_size=1, max_size=20)


@given(known=ids, asked=ids)
def test_a_token_has_its_own_row_or_none(known: list[int], asked: list[int]) -> None:
    vocabulary = Vocabulary.of(np.array(known, np.int32), longest=4)
    run = np.array(asked, np.int32)
    if set(asked) <= set(known):
        np.testing.assert_array_equal(vocabulary.tokens[vocabulary.rows(run)], run)
        return
    with pytest.raises(ValueError, match="not in the vocabulary"):
        vocabulary.rows(run)


def test_no_tokens_have_no_rows() -> None:
    vocabulary = Vocabulary.of(np.array([3], np.int32), longest=1)
    assert vocabulary.rows(np.empty(0, np.int32)).size == 0
