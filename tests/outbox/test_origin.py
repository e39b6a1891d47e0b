from __future__ import annotations

from pathlib import Path

from hpo.outbox.origin import Origin
from hpo.outbox.outbox import Outbox, abandoned
from tests.outbox.operations import EVERY_KIND, URI


def test_only_operations_of_this_process_set_runs_running_again() -> None:
    assert [origin for origin in Origin if origin.reopens_runs] == [Origin.LIVE]


def test_only_what_was_refused_once_may_come_after_later_operations() -> None:
    assert [origin for origin in Origin if origin.may_be_outdated] == [Origin.REQUEUED]


def test_an_outbox_knows_its_origin_also_after_it_was_taken_over(tmp_path: Path) -> None:
    with Outbox.create(tmp_path, URI) as own:
        own.append(*EVERY_KIND)
        assert own.origin is Origin.LIVE
    for _ in range(2):
        [taken_over] = abandoned(tmp_path)
        with taken_over:
            assert taken_over.origin is Origin.ORPHANED
    taken_over = next(abandoned(tmp_path))
    taken_over.close(remove=True)
    with Outbox.create(tmp_path, URI, origin=Origin.REQUEUED) as again:
        again.append(*EVERY_KIND)
    [taken_over] = abandoned(tmp_path)
    with taken_over:
        assert taken_over.origin is Origin.REQUEUED
