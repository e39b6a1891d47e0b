from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hpo.errors import TrackingError
from hpo.spec.locations import DEFAULT_TRACKING
from hpo.tracking.local_store import make_local_store
from hpo.tracking.ping import ping
from hpo.tracking.uri import TrackingServerAway, ui_command


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that MLflow has made."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    make_local_store(f"sqlite:///{file}")
    return file


def with_schema(store: Path, schema: str, copy: Path) -> str:
    copy.write_bytes(store.read_bytes())
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (schema,))
    return f"sqlite:///{copy}"


@pytest.mark.slow
def test_a_store_of_a_newer_mlflow_is_refused(store: Path, tmp_path: Path) -> None:
    ping(f"sqlite:///{store}")
    with pytest.raises(TrackingError, match=r"newer MLflow \(schema ffffffffffff") as caught:
        ping(with_schema(store, "ffffffffffff", tmp_path / "newer.db"))
    assert not isinstance(caught.value, TrackingServerAway)
    ping(with_schema(store, "451aebb31d03", tmp_path / "older.db"))


def test_another_programs_schema_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "airflow.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('ffffffffffff')")
    with pytest.raises(TrackingError, match="another program"):
        ping(f"sqlite:///{file}")


class TestUiCommand:
    def test_the_usual_store_is_found_by_default(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert ui_command(DEFAULT_TRACKING) == "mlflow ui"
        (tmp_path / "mlruns" / "our study").mkdir(parents=True)
        assert ui_command(DEFAULT_TRACKING) == "mlflow ui"

    def test_it_is_named_where_mlflow_would_take_its_former_file_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mlruns" / "0").mkdir(parents=True)
        (tmp_path / "mlruns" / "0" / "meta.yaml").touch()
        assert ui_command(DEFAULT_TRACKING) == f"mlflow ui --backend-store-uri {DEFAULT_TRACKING}"

    def test_it_is_named_where_a_variable_names_another(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
        assert ui_command(DEFAULT_TRACKING) == f"mlflow ui --backend-store-uri {DEFAULT_TRACKING}"

    def test_a_path_is_quoted_and_a_server_is_opened(self) -> None:
        assert ui_command("sqlite:///a b.db").endswith("--backend-store-uri 'sqlite:///a b.db'")
        assert ui_command("http://u:p@host:5000") == "open http://u:***@host:5000"
