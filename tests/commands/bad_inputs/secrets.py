"""URLs with secrets in them that are wrong, or that two programs would read differently."""

from __future__ import annotations

from tests.commands.bad_inputs.case import Case

_AT = "found an @ in the user or the password; expected …. Write @ as %40, …"
_QUERY = "found a query before the @; expected …. Write @ as %40, …"
_SETTING = "found a setting that PostgreSQL does not take (…); expected settings of libpq after the ?, …. Correct …"
_AWAY = "found no server that answers (…); expected PostgreSQL at 127.0.0.1. Start the server, …"
_HERE = "127.0.0.1:1/d"


def storage(name: str, url: str, says: str, command: str = "run", options: str = "") -> Case:
    return Case(name, f"--storage '{url}' {options}", says, command=command)


def tracking(name: str, uri: str, says: str) -> Case:
    return Case(name, f"--tracking-uri '{uri}'", f"tracking URI {says}")


SECRETS = (
    *(
        storage(
            f"an @ in a storage's password, for {command}",
            "postgresql://u:Asecret@Bsecret@host/d",
            f"postgresql://u:***@host/d: {_AT}",
            command,
            options,
        )
        for command, options in (
            ("run", ""),
            ("submit", "--no-check"),
            ("worker", ""),
            ("ui", ""),
            ("ensemble", "s"),
        )
    ),
    Case(
        "an @ in the password of HPO_STORAGE",
        "",
        f"postgresql://u:***@host/d: {_AT}",
        environment={"HPO_STORAGE": "postgresql://u:Asecret@Bsecret@host/d"},
    ),
    Case(
        "an @ in the password of MLFLOW_TRACKING_URI",
        "",
        f"tracking URI http://host: {_AT}",
        environment={"MLFLOW_TRACKING_URI": "http://u:Asecret@Bsecret@host"},
    ),
    storage(
        "an @ in a storage's user",
        "postgresql://me@tenant:secret@host/d",
        f"postgresql://me@tenant:***@host/d: {_AT}",
    ),
    storage(
        "an @ and a / in a storage's password",
        "postgresql://u:Asecret@Bsecret/c@host/d",
        f"postgresql://u:***@host/d: {_AT}",
    ),
    storage(
        "an @ in the query as well",
        "postgresql://u:secret@host/d?password=A@secret",
        f"postgresql://u:***@***: {_AT}",
    ),
    storage(
        "an @ in the query behind a port",
        "postgresql://host:5432/d?password=A@secret",
        f"postgresql://host:***@***: {_QUERY}",
    ),
    storage(
        "an @ in the password of a storage of another kind",
        "mysql://u:Asecret@Bsecret@host/d",
        f"mysql://u:***@host/d: {_AT}",
    ),
    storage(
        "a storage with another driver and a secret",
        "postgresql+asyncpg://u:secret@host/d?key=secret",
        "postgresql+asyncpg://u:***@host/d?key=***: found the driver asyncpg; expected …. Write …",
    ),
    storage(
        "a storage with a word for its port",
        "postgresql://u:secret@host:port/d",
        "postgresql://u:***@host:port/d: found something that is not a URL; expected …. Write …",
    ),
    storage(
        "a storage without a scheme",
        "u:secret@host/d",
        "u:***@host/d: found something that is not a URL; expected …. Write …",
    ),
    storage(
        "a storage with three slashes and a login",
        "postgresql:///u:secret@127.0.0.1/d",
        "postgresql:///u:***@127.0.0.1/d: found …; expected …. …",
    ),
    storage(
        "a secret in the query of a storage that is away",
        f"postgresql://u:secret@{_HERE}?sslpassword=secret&sslmode=prefer",
        f"postgresql://u:***@{_HERE}?sslpassword=***&sslmode=prefer: {_AWAY}",
    ),
    storage(
        "a secret of an unknown name in the query",
        f"postgresql://u@{_HERE}?sslpasword=secret",
        f"postgresql://u@{_HERE}?sslpasword=***: {_SETTING}",
    ),
    storage(
        "a secret that is taken for a time-out",
        f"postgresql://u:secret@{_HERE}?connect_timeout=no",
        f"postgresql://u:***@{_HERE}?connect_timeout=no: {_SETTING}",
    ),
    storage(
        "a mode of TLS that there is not",
        f"postgresql://u:secret@{_HERE}?sslmode=perhaps",
        f"postgresql://u:***@{_HERE}?sslmode=perhaps: {_SETTING}",
    ),
    storage(
        "a secret in the query of a file",
        "sqlite:///o.db?key=secret",
        "sqlite:///o.db?key=***: found a query, which SQLite has not; expected …. Write …",
    ),
    storage(
        "a login before a file",
        "sqlite://u:secret@host/o.db",
        "sqlite://u:***@host/o.db: found the host host; expected …. Write …",
    ),
    tracking(
        "an @ in a tracking server's password",
        "http://u:Asecret@Bsecret@host:5000",
        f"http://host:5000: {_AT}",
    ),
    tracking(
        "an @ in the password of a tracking database",
        "postgresql://u:Asecret@Bsecret@host/d",
        f"postgresql://host/d: {_AT}",
    ),
    tracking(
        "an @ in the password of another tracking database",
        "mysql+pymysql://u:Asecret@Bsecret@host/d",
        f"mysql+pymysql://host/d: {_AT}",
    ),
    tracking(
        "an @ in the query of a tracking server",
        "http://host:5000?token=A@secret",
        f"http://***: {_QUERY}",
    ),
    tracking(
        "a / in a tracking server's password",
        "http://u:Asecret/Bsecret@host",
        "http://host: found a malformed address; expected …. Write …",
    ),
    tracking(
        "a word for a tracking server's port",
        "http://u:secret@host:port",
        "http://host:port: found a malformed address; expected …. Write …",
    ),
    tracking(
        "a tracking URI of another scheme with a secret",
        "ftp://u:secret@host/a?token=secret",
        "ftp://host/a: found the scheme ftp; expected …. Give one of those.",
    ),
    tracking(
        "a tracking database under its old name",
        "postgres://u:secret@host/d",
        "postgres://host/d: found the scheme postgres; expected …. Write postgresql:// instead.",
    ),
    tracking(
        "a file store with a secret",
        "file:///tmp/x?token=secret",
        "file:///tmp/x: found a folder (…); expected …. Write …",
    ),
    Case(
        "data at an address with an @ in its password",
        "--data 'https://u:Asecret@Bsecret@host/x.csv?token=secret'",
        "--data: found a login in an address, which would be stored with the study; expected …. …",
    ),
)
