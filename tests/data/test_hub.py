from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import datasets
import pytest

from hpo.data.hub import tables_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LOAD = """
import json, sys
from hpo.data.dataset import load_data
from hpo.errors import HpoError
from hpo.spec.study import DataSection
try:
    data = load_data(DataSection(**json.loads(sys.argv[1])), seed=0)
except HpoError as error:
    print(json.dumps({"error": str(error)}))
else:
    print(json.dumps({
        "sizes": [len(data.train), len(data.validation), len(data.test)],
        "names": data.label_names, "warnings": data.warnings, "fingerprint": data.fingerprint,
    }))
"""


@dataclass
class Hub:
    """As much of a hub as one data set of files needs; files: content by path in the repository."""

    files: dict[str, bytes]
    name: str = "owner/reviews"
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers for a path that was asked for."""
        headers = {"X-Repo-Commit": COMMIT}
        if path == "/":
            return 200, b"", {}
        resolved = re.fullmatch(rf"/datasets/{self.name}/resolve/([^/]+)/(.+)", path)
        if resolved:
            content = self.files.get(resolved[2])
            if resolved[1] not in ("main", COMMIT):
                return 404, b"", {"X-Error-Code": "RevisionNotFound"}
            if content is None:
                return 404, b"", {**headers, "X-Error-Code": "EntryNotFound"}
            return 200, content, {**headers, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if path.startswith(f"/api/datasets/{self.name}/tree/"):
            return 200, json.dumps([self._entry(name) for name in self.files]).encode(), headers
        if path.startswith(f"/api/datasets/{self.name}/paths-info/"):
            return 200, json.dumps([self._entry(name) for name in self.files]).encode(), headers
        if re.match(rf"/api/datasets/{self.name}(/revision/(main|{COMMIT}))?$", path):
            info = {
                "_id": "1",
                "id": self.name,
                "sha": COMMIT,
                "siblings": [{"rfilename": name} for name in self.files],
            }
            return 200, json.dumps(info).encode(), headers
        return 404, b'{"error": "not found"}', {"X-Error-Code": "RepoNotFound"}

    def _entry(self, name: str) -> dict[str, object]:
        content = self.files[name]
        oid = hashlib.sha1(content).hexdigest()
        return {"type": "file", "path": name, "size": len(content), "oid": oid}


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub on the loopback interface with `owner/reviews`, a folder of csv files."""
    rows = {name: "".join(f"{name} {i},{i % 2}\n" for i in range(40)) for name in ("train", "test")}
    files = {f"{name}.csv": f"text,label\n{text}".encode() for name, text in rows.items()}
    hub = Hub(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.split("?")[0]
            hub.requests.append(f"{self.command} {path}")
            status, body, headers = hub.answer(path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_GET  # noqa: N815 - the names that the base class looks for

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


def load_from(endpoint: str, home: Path, **section: object) -> dict[str, object]:
    """Load in a process of its own, since the hub's libraries read the endpoint when imported."""
    offline = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in offline},
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(section)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
def test_a_hub_data_set_is_downloaded_and_serves_from_the_cache_when_the_hub_is_gone(
    hub: Hub, tmp_path: Path
) -> None:
    first = load_from(hub.endpoint, tmp_path, source=hub.name)
    assert first["sizes"] == [36, 4, 40]
    assert first["names"] == ["0", "1"]
    assert first["warnings"] == []
    second = load_from("http://127.0.0.1:9", tmp_path, source=hub.name)
    assert second["fingerprint"] == first["fingerprint"]
    assert second["warnings"] == [f"{hub.name}: the hub does not answer; its cached copy is used"]


@pytest.mark.slow
def test_a_data_set_or_revision_that_the_hub_lacks_is_told(hub: Hub, tmp_path: Path) -> None:
    missing = load_from(hub.endpoint, tmp_path, source="owner/reviws")
    assert "owner/reviws: found no data set of this name" in str(missing["error"])
    revision = load_from(hub.endpoint, tmp_path, source=hub.name, revision="v9")
    assert "owner/reviews: found no data set of this name and revision ('v9')" in str(
        revision["error"]
    )


@pytest.mark.slow
def test_an_unknown_configuration_is_told_with_those_that_there_are(
    hub: Hub, tmp_path: Path
) -> None:
    answer = load_from(hub.endpoint, tmp_path, source=hub.name, config="plain")
    assert "'default'" in str(answer["error"])
    assert "Set data.config" in str(answer["error"])


@pytest.mark.slow
def test_a_hub_that_refuses_fails_within_seconds(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    start = time.monotonic()
    answer = load_from(endpoint, tmp_path, source="stanfordnlp/imdb")
    assert time.monotonic() - start < 8
    assert answer["error"] == (
        f"stanfordnlp/imdb: found no answer from the hub ({endpoint}) and no copy in its cache;"
        " expected a hub data set, a file, a folder or demo."
        " Check the network, or name a local file or folder."
    )


@pytest.mark.slow
def test_a_hub_that_never_answers_fails_within_seconds(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        answer = load_from(
            f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path, source="stanfordnlp/imdb"
        )
    assert time.monotonic() - start < 10
    assert "no answer from the hub" in str(answer["error"])


@pytest.mark.slow
def test_a_hub_that_is_out_of_order_fails_within_seconds(hub: Hub, tmp_path: Path) -> None:
    hub.answer = lambda path: (503, b"", {})  # type: ignore[method-assign]
    answer = load_from(hub.endpoint, tmp_path, source=hub.name)
    assert "no answer from the hub" in str(answer["error"])


def test_class_names_and_their_order_come_from_the_features() -> None:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["zebra", "ape"]),
        }
    )
    split = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    table = tables_of("owner/animals", {"train": split})["train"]
    assert table.place == "owner/animals, train split"
    assert table.class_names == {"label": ("zebra", "ape")}
    assert table.column("text") == ["a", "b"]
    assert table.column("label") == [1, 0]
    assert table.where(1) == "owner/animals, train split, row 2"
