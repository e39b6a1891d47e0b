"""Secrets are in nothing that is shown or stored, however they were given and whatever quotes them."""

from __future__ import annotations

import base64
import logging
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hpo.redaction import (
    HIDDEN,
    RedactingFormatter,
    recall,
    redact_text,
    redacted,
    remember,
    why_ambiguous,
    without_credentials,
)

# Long enough to be told from the words around it.
passwords = st.text(min_size=8, max_size=30).filter(lambda text: text.strip() == text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///optuna.db", "sqlite:///optuna.db"),
        ("postgresql://host/hpo", "postgresql://host/hpo"),
        ("postgresql://me@host/hpo", "postgresql://me@host/hpo"),
        ("postgresql://me:secret@host:5432/hpo", "postgresql://me:***@host:5432/hpo"),
        ("postgresql://:secret@host/hpo", "postgresql://:***@host/hpo"),
        ("postgresql://me:se@cret@host/hpo", "postgresql://me:***@host/hpo"),
        ("postgresql://me:se/cret@host/hpo", "postgresql://me:***@host/hpo"),
        (
            "postgresql://host/hpo?user=me&password=secret",
            "postgresql://host/hpo?user=me&password=***",
        ),
        (
            "postgresql://host/hpo?sslpassword=secret&a=b",
            "postgresql://host/hpo?sslpassword=***&***",
        ),
        ("http://me:secret@host:5000", "http://me:***@host:5000"),
        ("postgresql://me:se cret@host/hpo", "postgresql://me:***@host/hpo"),
        ("postgresql://me@tenant:secret@host/hpo", "postgresql://me@tenant:***@host/hpo"),
        ("postgresql:///me:secret@host/hpo", "postgresql:///me:***@host/hpo"),
        ("me:secret@host/hpo", "me:***@host/hpo"),
        ("http://host/hpo?Token=secret", "http://host/hpo?Token=***"),
        ("postgresql://host/hpo?password=se@cret", "postgresql://host/hpo?password=***"),
        ("postgresql://host:5432/hpo?password=se@cret", "postgresql://host:***@***"),
        ("postgresql://host/hpo?password=se:cr@et", "postgresql://host/hpo?password=***"),
        (
            "mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dsecret",
            "mssql+pyodbc:///?odbc_connect=***",
        ),
        ("sqlite:////home/a:b@c/optuna.db", "sqlite:////home/a:b@c/optuna.db"),
        ("sqlite:///o.db?timeout=5&key=secret", "sqlite:///o.db?timeout=5&key=***"),
        ("postgresql://me@host/hpo?sslmode=require", "postgresql://me@host/hpo?sslmode=require"),
        ("postgresql://me@host/hpo?pass%77ord=secret", "postgresql://me@host/hpo?pass%77ord=***"),
        (
            "postgresql://me@host/hpo?options=-cmy.key%3Dsecret",
            "postgresql://me@host/hpo?options=***",
        ),
        ("http://host:5000?secret", "http://host:5000?***"),
        ("http://host:5000/#token=secret", "http://host:5000/#token=***"),
        (
            "postgresql://host/d?password=se&cr=et&mode=x",
            "postgresql://host/d?password=***&***&mode=x",
        ),
        ("postgresql://host/d?host=a;password=secret", "postgresql://host/d?host=***"),
        ("http://secret@host:5000", "http://***@host:5000"),
        ("postgresql://me@host/hpo?x=se:cr@et", "postgresql://me@host/hpo?x=***"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert redacted(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:5000/base", "http://host:5000/base"),
        ("http://me:secret@host:5000/base?token=secret#top", "http://host:5000/base"),
        ("http://me@host/a@b", "http://host/a@b"),
        ("http://me@tenant:secret@host", "http://host"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("http://me:secret@[::1]:5000", "http://[::1]:5000"),
        ("postgresql://host/hpo?user=me&password=secret", "postgresql://host/hpo"),
        ("postgresql://host:5432/hpo?password=se@cret", "postgresql://***"),
        ("sqlite:///a#b.db?mode=ro", "sqlite:///a#b.db"),
        ("sqlite:////home/a:b@c/mlflow.db", "sqlite:////home/a:b@c/mlflow.db"),
        ("databricks", "databricks"),
        ("", ""),
    ],
)
def test_a_link_has_no_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


@given(passwords)
@example("/ # ? @ [ or so")
@example("S3cr3t@Tail")
@example("0000&00=")
def test_no_password_survives_redaction(password: str) -> None:
    for scheme in ("postgresql", "http", "mysql+pymysql"):
        for url in (
            f"{scheme}://me:{password}@host/hpo",
            f"{scheme}://host/hpo?password={password}",
            f"{scheme}://me@host/hpo?sslmode=require&unheard_of={password}",
            f"{scheme}://me:{quote(password, safe='')}@host/hpo",
        ):
            for shown in (redacted(url), without_credentials(url)):
                assert not parts(password) & parts(shown.replace(HIDDEN, ""))
            assert redacted(redacted(url)) == redacted(url)


def parts(text: str) -> set[str]:
    """Every four characters that follow one another in a text, but what our own examples hold."""
    own = (
        "postgresql://mysql+pymysql://me:@host/hpo?password=me@host/hpo?sslmode=require&unheard_of="
    )
    own += "http://me:@host/hpo"
    found = {text[at : at + 4] for at in range(len(text) - 3)}
    return {part for part in found if part not in own}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://u:S3cr3t@Tail@host/d", "an @"),
        ("http://u:S3cr3t@Tail@host", "an @"),
        ("postgresql://to@ken@host/d", "an @"),
        ("postgresql://host:5432/d?password=a@b", "a query"),
        ("postgresql://u:p@host/d?password=a@b", "an @"),
        ("postgresql://u:p%40q@host/d?password=a%40b", None),
        ("postgresql://host/d?password=a@b", None),
        ("postgresql://u:a/b?c#d@host/d", None),
        ("sqlite:////home/a:b@c@d/o.db", None),
    ],
)
def test_what_two_programs_may_read_differently_is_known(url: str, why: str | None) -> None:
    told = why_ambiguous(url)
    assert (told is None) if why is None else (told or "").startswith(why)


@given(passwords)
def test_another_librarys_words_lose_every_secret_of_a_url_that_was_given(password: str) -> None:
    assume(HIDDEN not in password)
    remember(f"https://somebody:{quote(password, safe='')}@host/mlflow")
    basic = base64.b64encode(f"somebody:{password}".encode()).decode()
    for form in (password, quote(password), quote_plus(password), repr(password)[1:-1], basic):
        assert form not in redact_text(f"could not use ({form}) at host").replace(HIDDEN, "")


def test_secrets_of_the_environment_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD", "HF_TOKEN"):
        monkeypatch.setenv(name, f"of {name}")
        assert redact_text(f"refused: 'of {name}'") == f"refused: '{HIDDEN}'"
    monkeypatch.setenv("HPO_STORAGE", "postgresql://u:tulip@host/d?sslpassword=rose")
    assert redact_text("neither tulip nor rose, but tulips") == "neither *** nor ***, but tulips"


@pytest.mark.parametrize("known", ["/", "//", ":", "host", "se", "p//", "http"])
def test_a_known_secret_does_not_hide_that_there_is_a_url(known: str) -> None:
    remember(f"http://u:{quote(known, safe='')}@away")
    shown = redact_text("cannot reach http://me:hunter2@tracking:5000/base?token=hunter3 now")
    assert "hunter" not in shown
    assert shown.startswith("cannot reach ")
    assert shown.endswith(" now")


def test_a_log_line_and_its_traceback_have_none() -> None:
    remember("http://u:daffodil@host")
    try:
        raise ValueError("Failed to parse: http://u:daffodil@host/api")
    except ValueError:
        record = logging.LogRecord("x", 30, "f", 1, "daffodil %s", ("daffodil",), sys.exc_info())
    shown = RedactingFormatter("%(message)s").format(record)
    assert "daffodil" not in shown
    assert "ValueError: Failed to parse: http://host/api" in shown


def test_a_reference_is_turned_back_where_its_secret_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    url = "http://u:crocus@host:1/base"
    assert recall(redacted(url)) is None
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "x")
    assert recall(redacted(url)) == "http://host:1/base"
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "an @")
    assert recall(redacted(url)) == "http://u:an%20%40@host:1/base"
    remember(url)
    assert recall(redacted(url)) == url
    database = "postgresql://u:crocus@host/d?sslmode=require"
    assert recall(redacted(database)) is None
    monkeypatch.setenv("PGPASSWORD", "x")
    assert recall(redacted(database)) == "postgresql://u@host/d?sslmode=require"
    assert recall(redacted(f"{database}&sslpassword=x")) is None
    assert recall("sqlite:////home/mlflow.db") == "sqlite:////home/mlflow.db"
