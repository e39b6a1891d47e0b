"""What MLflow's model server answers over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from hpo import waiting
from hpo.results.card import how_to_call
from hpo.tracking import StudyTracker
from tests.tracking.conftest import free_port
from tests.tracking.measured import (
    LABELS,
    MAX_LENGTH,
    Measured,
)
from tests.tracking.ways_in import CLOSE, PROBABILITIES, ROOT
from tests.waiting import answers

REQUESTS: dict[str, Callable[[list[Any]], object]] = {
    "inputs": lambda rows: {"inputs": rows},
    "inputs by column": lambda rows: {"inputs": {"text": rows}},
    "inputs by row": lambda rows: {"inputs": [{"text": row} for row in rows]},
    "instances": lambda rows: {"instances": rows},
    "instances by row": lambda rows: {"instances": [{"text": row} for row in rows]},
    "dataframe_split": lambda rows: {
        "dataframe_split": {"columns": ["id", "text"], "data": [[1, row] for row in rows]}
    },
    "dataframe_split, no names": lambda rows: {"dataframe_split": {"data": [[r] for r in rows]}},
    "dataframe_records": lambda rows: {"dataframe_records": [{"a": 1, "text": r} for r in rows]},
}


class Server:
    """`mlflow models serve` over a folder, in a Python that has no hpo."""

    def __init__(self, model: Path, place: Path) -> None:
        (place / "sitecustomize.py").write_text("import sys\nsys.modules['hpo'] = None\n")
        self.uri = f"http://127.0.0.1:{(port := free_port())}"
        python = Path(sys.executable).parent
        environment = {
            **os.environ,
            "PATH": f"{python}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(place),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
        self.log = place / "serve.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "-m", str(model), "--port", str(port)],
                cwd=place,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        health = f"{self.uri}/health"
        waiting.wait_until(
            lambda: self._process.poll() is not None or answers(health), 120, poll_seconds=0.2
        )
        if not answers(health):
            self.stop()
            raise AssertionError(self.log.read_text()[-3000:])

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def post(self, body: object) -> tuple[int, Any]:
        """Status and answer, of a body that is JSON, or that is to be sent as it is."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        asked = urllib.request.Request(
            f"{self.uri}/invocations", data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=120) as response:
                return response.status, strict_json(response.read())
        except urllib.error.HTTPError as error:
            return error.code, strict_json(error.read())


def strict_json(text: bytes) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def server(usual: Measured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(usual.folder, tmp_path_factory.mktemp("serve"))
    yield running
    running.stop()


@pytest.mark.slow
@pytest.mark.parametrize("form", REQUESTS)
def test_a_server_gives_what_the_test_score_is_made_of(
    server: Server, usual: Measured, form: str
) -> None:
    texts = usual.texts()
    status, answer = server.post(REQUESTS[form]([*texts, None]))
    assert status == 200, answer
    *rows, odd = answer["predictions"]
    found = [[row[column] for column in PROBABILITIES] for row in rows]
    np.testing.assert_allclose(found, usual.probabilities(texts), **CLOSE)
    assert [row["error"] for row in rows] == [None] * len(texts)
    nothing = dict.fromkeys(["label", *PROBABILITIES])
    assert odd == {**nothing, "error": "not a text: null"}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "inputs by row"])
def test_a_server_answers_every_row_that_json_can_hold(server: Server, form: str) -> None:
    rows = [["a", "b"], {"a": 1}, "good", 5, True, [], "half \ud83d", "a" * 5_000_000]
    status, answer = server.post(REQUESTS[form](rows))
    assert status == 200, answer
    labels = [row["label"] is not None for row in answer["predictions"]]
    assert labels == [False, False, True, True, True, False, True, True]


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        [],
        {},
        {"texts": ["a"]},
        {"inputs": ["a", ["b", "c"]]},
        {"dataframe_records": [{"review": "a", "id": 1}]},
        {"dataframe_split": {"columns": ["text"]}},
        {"dataframe_records": "a"},
    ],
    ids=str,
)
def test_a_server_refuses_what_is_no_request_without_a_stack_trace(
    server: Server, body: object
) -> None:
    status, answer = server.post(body)
    assert status == 400
    assert answer["message"]
    assert "stack_trace" not in answer
    assert "Traceback" not in json.dumps(answer)


@pytest.mark.slow
def test_the_calls_in_the_readme_and_on_the_card_are_right(
    usual: Measured, local_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "champion"
    save = usual.folder / "model"
    folder.mkdir()
    for path in save.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    state = tmp_path / ".hpo"
    with StudyTracker.open(
        local_store, "quickstart", state, study_uid="u", study_file="", environment={}
    ) as tracker:
        tracker.publish_champion(folder, "# Card", {}, 0)
        assert tracker.flush(60) == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local_store)
    mlflow.set_tracking_uri(None)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    card = how_to_call("quickstart", MAX_LENGTH, usual.tokenizer)
    assert f"first {MAX_LENGTH} tokens" in card
    # As README has it, with texts that need it.
    readme = re.sub(r"texts = \[.*\]\n", "", readme)
    for page in (readme, card):
        by_mlflow, by_transformers, *_ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        texts = usual.texts()
        names: dict[str, Any] = {"texts": texts}
        exec(by_mlflow, names)
        expected = usual.probabilities(texts)
        np.testing.assert_allclose(names["classify"](texts)[PROBABILITIES], expected, **CLOSE)
        *before, call = by_transformers.strip().splitlines()
        exec("\n".join(before), names)
        answers = eval(call, names)
        assert [answer["label"] for answer in answers] == [LABELS[i] for i in expected.argmax(1)]
        np.testing.assert_allclose([a["score"] for a in answers], expected.max(1), **CLOSE)
    assert 'load_model("models:/quickstart@champion", truncation=True)' in card
