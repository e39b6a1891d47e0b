from __future__ import annotations

import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpo.errors import TrackingError
from hpo.tracking.ping import ping
from hpo.tracking.uri import TrackingServerAway
from tests.servers import AWAY_HTTP_SERVERS, NO_HTTP_SERVERS, SSH, Answer, body, listening, says

SECONDS = 1.0
MLFLOW = body(b'{"experiments": []}')


def refusal_of(uri: str) -> TrackingError:
    begun = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        ping(uri, timeout_seconds=SECONDS)
    assert time.monotonic() - begun < SECONDS + 4
    assert len(str(caught.value)) < 600
    return caught.value


@pytest.mark.parametrize(("answer", "found"), NO_HTTP_SERVERS.values(), ids=NO_HTTP_SERVERS)
def test_what_is_no_mlflow_server_is_refused_in_time(answer: Answer, found: str) -> None:
    with listening(answer) as port:
        error = refusal_of(f"http://127.0.0.1:{port}")
    assert not isinstance(error, TrackingServerAway)
    assert found in error.found


@pytest.mark.parametrize(("answer", "found"), AWAY_HTTP_SERVERS.values(), ids=AWAY_HTTP_SERVERS)
def test_a_server_that_may_answer_later_is_away(answer: Answer | None, found: str) -> None:
    with listening(answer) as port:
        error = refusal_of(f"http://127.0.0.1:{port}")
    assert isinstance(error, TrackingServerAway)
    assert found in error.found


@pytest.mark.parametrize(
    "content", [b"{}", b'{"experiments": []}', b'{"experiments": [{}], "x": 1}']
)
def test_what_mlflow_answers_is_taken(content: bytes) -> None:
    with listening(body(content)) as port:
        ping(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (SSH, "no PostgreSQL"),
        (body(b"<html>hello</html>", b"400 Bad Request"), "no PostgreSQL"),
        (None, "timed out"),
        (says(b""), "closed without an answer"),
    ],
    ids=["SSH", "HTTP", "silence", "an end"],
)
def test_a_database_server_that_is_none_is_told(answer: Answer | None, found: str) -> None:
    with listening(answer) as port:
        assert found in refusal_of(f"postgresql://me:secret@127.0.0.1:{port}/db").found


@pytest.mark.parametrize("answer", [b"S", b"N", b"E\x00\x00\x00\x10"])
def test_what_postgresql_answers_is_taken(answer: bytes) -> None:
    with listening(says(answer)) as port:
        ping(f"postgresql://me:secret@127.0.0.1:{port}/db", timeout_seconds=SECONDS)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody has signed, in one file."""
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run([*command, *names, "-keyout", file, "-out", f"{file}.crt"], check=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@contextmanager
def tls_server(certificate: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def answer(connection: object) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:  # type: ignore[arg-type]
            MLFLOW(secure)

    with listening(answer) as port:
        yield f"https://127.0.0.1:{port}"


class TestTls:
    def test_a_certificate_that_is_not_trusted_is_told_with_the_variable(
        self, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with tls_server(certificate) as uri:
            error = refusal_of(uri)
            assert "not trusted" in error.found
            assert not isinstance(error, TrackingServerAway)
            for variable in ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"):
                with monkeypatch.context() as patched:
                    patched.setenv(variable, str(certificate))
                    ping(uri)
            monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
            ping(uri)

    def test_tls_where_none_is_and_none_where_it_is(self, certificate: Path) -> None:
        with listening(MLFLOW) as port:
            error = refusal_of(f"https://127.0.0.1:{port}")
        assert "speaks no TLS" in error.found
        with tls_server(certificate) as uri:
            assert re.search(
                r"TLS|without an answer|reset", refusal_of(uri.replace("s:", ":")).found
            )

    @pytest.mark.parametrize("content", [None, "", "no certificate"], ids=["none", "empty", "text"])
    @pytest.mark.parametrize(
        "variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"]
    )
    def test_a_file_of_certificates_that_is_none_is_told(
        self, content: str | None, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "authority.pem"
        if content is not None:
            file.write_text(content)
        monkeypatch.setenv(variable, str(file))
        error = refusal_of("https://127.0.0.1:1")
        assert error.place == f"{variable} ({file})"
        assert not isinstance(error, TrackingServerAway)


class TestVariables:
    def test_a_switch_that_mlflow_does_not_take_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "perhaps")
        assert "'perhaps'" in refusal_of("https://127.0.0.1:1").found

    def test_two_that_clash_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "1")
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "authority.pem")
        assert "MLFLOW_TRACKING_INSECURE_TLS" in refusal_of("https://127.0.0.1:1").found

    def test_credentials_go_to_nobody_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        heard: list[bytes] = []

        def hear(connection: object) -> None:
            heard.append(connection.recv(1 << 16))  # type: ignore[attr-defined]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")  # type: ignore[attr-defined]

        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
        with listening(hear) as other:
            head = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n"
            with listening(says(head.encode())) as port:
                ping(f"http://127.0.0.1:{port}", timeout_seconds=SECONDS)
        assert b"secret" not in b"".join(heard)

    def test_what_only_mlflow_can_sign_is_left_to_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with listening(body(b"", b"401 Unauthorized")) as port:
            assert "credentials" in refusal_of(f"http://127.0.0.1:{port}").found
            monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "of-a-plugin")
            ping(f"http://127.0.0.1:{port}", timeout_seconds=SECONDS)
