"""Addresses at which something answers that is not what is looked for; PORT stands for its port."""

from __future__ import annotations

from tests.commands.bad_inputs.case import Case
from tests.servers import NO_HTTP_SERVERS, SSH, Answer, body, says

_TRACKING = "http://me:secret@127.0.0.1:PORT"
_STORAGE = "postgresql://me:secret@127.0.0.1:PORT/hpo"
_DATABASES: dict[str, Answer] = {
    "SSH": SSH,
    "HTTP": body(b"<html>hello</html>", b"400 Bad Request"),
    "a letter": says(b"N"),
}

SERVERS: tuple[tuple[Case, Answer], ...] = (
    *(
        (
            Case(
                f"{kind} as tracking server, for {command}",
                f"--tracking-uri {_TRACKING}",
                f"tracking URI http://127.0.0.1:PORT: found …{found}…; expected http(s)://…. …",
                command=command,
            ),
            answer,
        )
        for kind, (answer, found) in NO_HTTP_SERVERS.items()
        for command in ("run", *(("submit", "worker") if kind == "SSH" else ()))
    ),
    *(
        (
            Case(
                f"{kind} as tracking database",
                "",
                "tracking URI postgresql://127.0.0.1:PORT/hpo: found a server that is no PostgreSQL; "
                "expected …. Check host and port.",
                environment={"MLFLOW_TRACKING_URI": _STORAGE},
            ),
            answer,
        )
        for kind, answer in _DATABASES.items()
        if kind != "a letter"
    ),
    *(
        (
            Case(
                f"{kind} as storage",
                f"--storage {_STORAGE}",
                "postgresql://me:***@127.0.0.1:PORT/hpo: found …server that …; expected PostgreSQL "
                "at 127.0.0.1. … host and port.",
                environment={"PGCONNECT_TIMEOUT": "2"},
            ),
            answer,
        )
        for kind, answer in _DATABASES.items()
    ),
)
