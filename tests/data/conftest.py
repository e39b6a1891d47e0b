from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from hpo.data.dataset import LabelledData, load_data
from hpo.data.downloads import Downloads
from hpo.data.source_tables import SourceTables
from hpo.data.sources import read_source
from hpo.spec.study import DataSection
from tests.data.web_server import WebServer, web_server

Rows = Sequence[Mapping[str, object]]
Read = Callable[..., SourceTables]


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data sets, which are no part of the project and may be absent."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("HPO_TEST_DATA", default))
    if not (folder / "SOURCES.md").is_file():
        pytest.skip(f"no real data in {folder}; set HPO_TEST_DATA to their folder")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Rows], Path]:
    """Writes rows to a file below tmp_path, in the format of its suffix."""

    def write(name: str, rows: Rows) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = list(dict.fromkeys(column for row in rows for column in row))
        if path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        elif path.suffix == ".parquet":
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
        else:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(
                    file, columns, delimiter="\t" if path.suffix == ".tsv" else ","
                )
                writer.writeheader()
                writer.writerows(rows)
        return path

    return write


@pytest.fixture
def load() -> Callable[..., LabelledData]:
    """Loads a source; other arguments are keys of `[data]`, and the seed."""

    def load(source: Path | str, *, seed: int = 0, **keys: object) -> LabelledData:
        return load_data(DataSection.model_validate({"source": str(source), **keys}), seed=seed)

    return load


@pytest.fixture
def reviews() -> Callable[..., list[dict[str, object]]]:
    """Rows of distinct texts, `counts` of each label; `about` keeps two lots of them apart."""

    def reviews(about: str = "film", **counts: int) -> list[dict[str, object]]:
        return [
            {"text": f"a {label} {about}, number {number}", "label": label}
            for label, count in (counts or {"bad": 20, "good": 20}).items()
            for number in range(count)
        ]

    return reviews


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def read(cache: Path, said: list[str]) -> Read:
    """Reads an address; other arguments are variables of the environment."""

    def read(address: str, **environment: str) -> SourceTables:
        downloads = Downloads(cache, said.append, environment)
        return read_source(DataSection(source=address), downloads)

    return read
