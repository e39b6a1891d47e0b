"""Secrets that this process was given in URLs and by its environment: kept out of all that is shown or stored.

What is stored of a URL is `redacted`: a reference, which `recall` turns back where the same URL was given again.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN: Final = "***"
WRITE_MARKS: Final = (
    "Write @ as %40, and / ? # as %2F %3F %23, where they belong to user or password."
)
# All else in a query may be a secret: drivers know dozens of names for one.
_HARMLESS: Final = re.compile(
    "application_name|cache|channel_binding|charset|check_same_thread|client_encoding|connect_timeout|database"
    "|dbname|driver|fallback_application_name|gssencmode|host|hostaddr|immutable|isolation_level|keepalives"
    "|keepalives_(count|idle|interval)|load_balance_hosts|mode|nolock|passfile|plugin|port|prepare_threshold"
    "|requirepeer|service|ssl|ssl_?(ca|cert|crl|key|mode)|ssl(negotiation|rootcert)|target_session_attrs"
    "|tcp_user_timeout|timeout|uri|user|vfs",
    re.IGNORECASE,
)
_SECRET_VARIABLE: Final = re.compile(r"PASS(WORD|WD)?|PWD$|SECRET|TOKEN|API_?KEY|CREDENTIAL")
_PARAMETER: Final = re.compile(r"[?#][^@]*=")
_given: dict[str, str] = {}


def redacted(url: str) -> str:
    """A URL without the secrets in it, for people, logs and files; malformed ones too."""
    scheme, login, rest = _parted(url)
    user, colon, _ = login.rpartition("@")[0].partition(":")
    if colon:
        login = f"{user}:{HIDDEN}@"
    elif login and scheme.strip().startswith("http"):  # as tokens are given
        login = f"{HIDDEN}@"
    place, mark, query = _queried(scheme, rest)
    return scheme + login + place + mark + "&".join(shown for shown, _ in _parameters(query))


def without_credentials(url: str) -> str:
    """A URL without user, password and query, fit for messages and links; malformed ones too."""
    scheme, _, rest = _parted(url)
    return scheme + _queried(scheme, rest)[0]


def why_ambiguous(url: str) -> str | None:
    """Why two programs may read a URL differently, so that a part of a password is taken for the host."""
    _, login, _ = _parted(url)
    if login.count("@") > 1:
        return "an @ in the user or the password"
    return "a query before the @" if _PARAMETER.search(login) else None


def remember(url: str) -> None:
    """Keep a URL that was given to this process, and its secrets out of what is said from now on."""
    _given[redacted(url)] = url


def recall(reference: str) -> str | None:
    """The URL that a stored reference stands for; None where this process was not given it.

    The environment may have the password by itself, as MLflow and libpq look for it there.
    """
    if HIDDEN not in reference:
        return reference
    if reference in _given:
        return _given[reference]
    scheme, login, rest = _parted(reference)
    if HIDDEN in rest:
        return None
    user, colon, _ = login.partition(":")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if scheme.startswith("http") and colon and password:
        return f"{scheme}{user}:{quote(password, safe='')}@{rest}"
    if scheme.startswith("http") and os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return scheme + rest
    if scheme.startswith("postgres") and (
        os.environ.get("PGPASSWORD") or os.environ.get("PGPASSFILE")
    ):
        return f"{scheme}{user}@{rest}"
    return None


def redact_text(text: str) -> str:
    """What another library says, without the secrets in it: those that are known, and those of every URL.

    Both are sought in the text as it was: a known secret such as `//` must not hide that there is a URL.
    """
    shown, end = [], 0
    for start, stop, instead in sorted(_secret_spans(text), key=lambda span: (span[0], -span[1])):
        if stop > end:
            shown += [text[end:start], instead]
            end = stop
    return "".join([*shown, text[end:]])


class RedactingFormatter(logging.Formatter):
    """Log lines, those of other libraries and their tracebacks among them, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redact_text(super().format(record))


class LogFormatter(RedactingFormatter):
    """A warning of ours as every other that people are told: `warning: the tracking server …`; all else by a format."""

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno != logging.WARNING or record.name.partition(".")[0] != "hpo":
            return super().format(record)
        told = logging.makeLogRecord(vars(record))
        first = str(told.msg).partition(" ")[0]
        if first.istitle():  # a word of ours, no name that is put into it
            told.msg = first.lower() + str(told.msg)[len(first) :]
        return RedactingFormatter("warning: %(message)s").format(told)


def _parted(url: str) -> tuple[str, str, str]:
    """A URL as `scheme://`, `user:password@` and the rest; the first two may be empty."""
    match = re.match(r"\s*[A-Za-z][\w+.-]*://", url)
    scheme = match[0] if match else ""
    rest = url.removeprefix(scheme)
    if scheme.lstrip().startswith("sqlite") and rest.startswith("/"):
        return scheme, "", rest
    # To the last @, for a password may hold marks that should have been escaped: / ? # @ [.
    login, at, place = rest.rpartition("@")
    if ":" in login and "?" not in login.partition(":")[0]:
        # That @ may as well be one in a secret of the query.
        return scheme, login + at, HIDDEN if _PARAMETER.search(login) else place
    authority = re.split(r"[/?#]", rest)[0]
    login = authority[: authority.rfind("@") + 1]
    return scheme, login, rest.removeprefix(login)


def _secret_spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Where secrets stand in a text, from and to, and what is shown instead of each."""
    forms = sorted({form for form in _known_forms() if form}, key=len, reverse=True)
    for known in re.finditer("|".join(map(_whole, forms)), text) if forms else ():
        yield *known.span(), HIDDEN
    for url in re.finditer(r"\w[\w+.-]*://\S+", text):
        scheme, login, rest = _parted(url[0])
        begin = url.start() + len(scheme)
        place = begin + len(login)
        yield begin, place, ""
        if url[0].endswith(rest):
            yield place + len(_queried(scheme, rest)[0]), url.end(), ""
        else:
            yield place, url.end(), rest


def _queried(scheme: str, rest: str) -> tuple[str, str, str]:
    """What follows the login, as place, mark and query."""
    # To SQLite a # is part of a file's name.
    mark = re.search(r"\?" if scheme.strip().startswith("sqlite") else r"[?#]", rest)
    return (rest, "", "") if mark is None else (rest[: mark.start()], mark[0], rest[mark.end() :])


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """Every parameter of a query as it may be shown, and what that hides of it."""
    hidden = False
    for parameter in query.split("&") if query else []:
        name, equals, value = parameter.partition("=")
        if (not value and not (name and hidden) and (equals or not name)) or (
            _HARMLESS.fullmatch(name) and not re.search(r"[;?#=]", value)
        ):
            yield parameter, ""
        elif equals and not hidden:
            hidden = True
            yield f"{name}={HIDDEN}", value
        else:  # perhaps the end of a secret with an & in it
            hidden = True
            yield HIDDEN, parameter


def _known_forms() -> Iterator[str]:
    """Every secret of the given URLs and of the environment, in the forms in which it may be quoted."""
    for url in [*_given.values(), *(value for value in os.environ.values() if "://" in value)]:
        user, secrets = _secrets_of(url)
        for secret in secrets:
            yield from _forms(secret, user)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name) and not os.path.isabs(value) and value.strip():
            yield from _forms(value, user)


def _secrets_of(url: str) -> tuple[str, list[str]]:
    """The user of a URL, and what `redacted` hides of it."""
    scheme, login, rest = _parted(url)
    user, colon, password = login.rpartition("@")[0].partition(":")
    lone = not colon and scheme.strip().startswith("http")
    query = _queried(scheme, rest)[2]
    secrets = [user if lone else password, *(hidden for _, hidden in _parameters(query))]
    return user, [secret for secret in secrets if secret]


def _forms(secret: str, user: str) -> Iterator[str]:
    for plain in {secret, unquote(secret), unquote_plus(secret)}:
        yield plain
        yield from (quote(plain), quote(plain, safe=""), quote_plus(plain), repr(plain)[1:-1])
        for name in {user, unquote(user)}:
            yield base64.b64encode(f"{name}:{plain}".encode("utf-8", "replace")).decode()


def _whole(form: str) -> str:
    """A pattern for it that does not take a part of a word for it: a password may be `hpo`."""
    start = r"(?<![^\W_])" if form[0].isalnum() else ""
    end = r"(?![^\W_])" if form[-1].isalnum() else ""
    return f"{start}{re.escape(form)}{end}"
