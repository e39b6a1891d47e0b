from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hpo.outbox.ledger import Ledger
from hpo.outbox.rows import Destination, KnownRun
from tests.outbox.operations import RUN, URI


def test_a_new_file_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    """Others look into a living owner's outbox, which may be in the middle of being made."""
    openers = 6
    with ThreadPoolExecutor(openers) as pool:
        for number in range(60):
            together = threading.Barrier(openers)

            def opened(
                file: Path = tmp_path / f"{number}.db", together: threading.Barrier = together
            ) -> int:
                together.wait()
                ledger = Ledger.open(file)
                try:
                    return ledger.waiting()[0]
                finally:
                    ledger.close()

            each = [pool.submit(opened) for _ in range(openers)]
            assert [future.result() for future in each] == [0] * openers


def test_where_operations_go_is_told_as_it_was_noted(tmp_path: Path) -> None:
    run = KnownRun(RUN.key, "run", "1", shared=False, doubtful=False, if_abandoned={})
    with Ledger.open(tmp_path / "a.db") as ledger:
        assert ledger.destination() is None
        ledger.set_facts({"tracking_uri": URI})
        assert ledger.destination() == Destination(URI, None)
        ledger.set_facts({"state_dir": "/state"})
        ledger.remember_run(run)
        assert ledger.destination() == Destination(URI, "/state", ("run",))
