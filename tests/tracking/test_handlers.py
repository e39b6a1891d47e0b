from __future__ import annotations

from typing import get_args

from hpo.outbox.records import Operation
from hpo.tracking.handlers import HANDLERS


def test_every_kind_of_operation_has_its_handler() -> None:
    assert set(HANDLERS) == set(get_args(Operation))
