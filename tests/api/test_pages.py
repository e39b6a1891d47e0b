"""What docs/python.md and the notebook beside it show is what happens: their code, run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.commands.shell import clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokens and hidden states, which both pages share."""
    return tmp_path_factory.mktemp("cache")


def test_the_page_runs_from_standard_input_as_it_stands(tmp_path: Path, cache: Path) -> None:
    """Its blocks one after another, with the workers of a program that is no file."""
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    program = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    done = subprocess.run(
        [sys.executable, "-"],
        input=program,
        cwd=tmp_path,
        env={**clean_environment(), "HPO_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert done.returncode == 0, done.stderr
    assert "<hpo.Study dataframe-" in done.stdout
    assert "models:/from-python@champion" in done.stdout
    assert "Study from-python has its 2 finished trials already" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "report.html").exists()


def test_the_notebook_runs_with_its_progress_in_one_line(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_CACHE", str(cache))
    notebook = nbformat.read(DOCS / "notebook.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=550, resources={"metadata": {"path": str(tmp_path)}}).execute()
    search, table, answers = (cell for cell in notebook.cells if cell.cell_type == "code")
    progress, study = texts_of(search)
    assert "6/6 trainings" in progress  # the last that was shown in its place: of the confirmation
    assert study.startswith("<hpo.Study notebook: 2/2 trials, best accuracy")
    assert not [output for output in search.outputs if output.get("name") == "stderr"]
    assert "COMPLETE" in texts_of(table)[0]
    assert "label" in texts_of(answers)[0]


def texts_of(cell: Any) -> list[str]:
    """What a cell shows, as plain text."""
    return [output.data["text/plain"] for output in cell.outputs if "data" in output]
