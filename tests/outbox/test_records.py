from __future__ import annotations

import pytest

from hpo.outbox.records import Operation, RunRef, SetTags, describe, from_json, to_json
from tests.outbox.operations import EVERY_KIND, RUN


@pytest.mark.parametrize("operation", EVERY_KIND, ids=lambda op: type(op).__name__)
def test_an_operation_survives_its_way_through_json(operation: Operation) -> None:
    assert from_json(*to_json(operation)) == operation
    assert describe(operation)


def test_fields_of_a_later_version_are_ignored_and_unknown_kinds_refused() -> None:
    kind, body = to_json(SetTags(RUN, {}))
    assert from_json(kind, body[:-1] + ', "later": 1}') == SetTags(RUN, {})
    with pytest.raises(ValueError, match="Teleport"):
        from_json("Teleport", "{}")


def test_a_run_key_that_a_filter_could_misread_is_refused() -> None:
    with pytest.raises(ValueError, match="run key"):
        RunRef("a", "it's")
