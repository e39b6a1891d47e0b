"""`hpo.report`: one page about a study, or several side by side."""

from __future__ import annotations

import pytest

from hpo.storage.storage import open_storage
from tests.commands.shell import Shell
from tests.results.report.studies import add_study


@pytest.mark.slow
def test_a_page_is_written_whole_or_not_at_all(shell: Shell) -> None:
    with open_storage(f"sqlite:///{shell.folder}/optuna.db") as storage:
        add_study(storage, "first", 20)
        add_study(storage, "second", 12, finished=False)
    done = shell.hpo("report", "first").done()
    assert done.err.startswith("report.html: first (")
    page = (shell.folder / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    near = shell.hpo("report", "first", "secnd", "--output=both.html")
    assert near.code == 2
    assert "no study secnd; expected one of first, second. Did you mean second?" in near.err
    assert not (shell.folder / "both.html").exists()
    shell.hpo("report", "first", "second", "first", "--overwrite").done()
    both = (shell.folder / "report.html").read_text()
    assert "<title>2 studies</title>" in both
    assert "Side by side" in both


@pytest.mark.slow
def test_a_study_of_an_earlier_release_is_found(shell: Shell) -> None:
    with open_storage(f"sqlite:///{shell.folder}/optuna.db") as storage:
        add_study(storage, "first", 12)
        with storage.write() as connection:
            connection.exec_driver_sql("DROP TABLE hpo_probabilities")  # which that lacked
    assert "first" in shell.hpo("report", "first").done().err
