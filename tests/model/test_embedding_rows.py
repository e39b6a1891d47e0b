from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.model.embedding_rows import EmbeddingRows

ids = st.lists(st.integers(0, 60), min_size=1, max_size=20)


@given(known=ids, asked=ids)
def test_a_token_has_its_own_row_or_none(known: list[int], asked: list[int]) -> None:
    rows = EmbeddingRows.of(np.array(known, np.int32), max_seqlen=4)
    run = np.array(asked, np.int32)
    if set(asked) <= set(known):
        np.testing.assert_array_equal(rows.token_ids[rows.rows(run)], run)
        return
    with pytest.raises(ValueError, match="not in the embedding rows"):
        rows.rows(run)


def test_no_tokens_have_no_rows() -> None:
    rows = EmbeddingRows.of(np.array([3], np.int32), max_seqlen=1)
    assert rows.rows(np.empty(0, np.int32)).size == 0
