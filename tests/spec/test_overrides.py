"""The examples that the docstring of overrides shows, run; test_study_file.py has the rest."""

from __future__ import annotations

import doctest

from hpo.spec import overrides


def test_the_examples_are_true() -> None:
    failed, tried = doctest.testmod(overrides)
    assert tried > 8
    assert not failed
