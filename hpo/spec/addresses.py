"""Addresses of data: which are read, and how secrets stay out of what is written down.

A study file is stored, sent to MLflow and shown, so a secret stands in it by the name of an environment
variable alone:

>>> why_no_address("https://example.org/reviews.csv?dl=1") is None
True
>>> why_no_address("https://example.org/reviews.csv?token=${TOKEN}") is None
True
>>> why_no_address("https://example.org/reviews.csv?token=abc").found
'token=… in an address, which would be stored with the study'
>>> shown("https://me:${PASSWORD}@example.org/reviews.csv?token=${TOKEN}")
'https://example.org/reviews.csv'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from hpo.errors import OptionError

_REFERENCE: Final = re.compile(r"\$\{(\w+)\}", re.ASCII)
_SECRET: Final = re.compile(
    r"pass(word|wd|phrase)?$|pwd$|secret|token(?!iz)|sig$|signature|key(id)?$|auth(?!or)|cred|jwt"
    r"|bearer|session|ticket|^otp$|^code$",
    re.IGNORECASE,
)
_OTHER_WAYS: Final = {
    "s3": "Download it with `aws s3 cp`, and name the file.",
    "gs": "Download it with `gcloud storage cp`, and name the file.",
    "hf": "Name the data set alone: owner/name.",
    "file": "Name the path alone.",
}
_BY_REFERENCE: Final = "Put it into an environment variable and its name there: "


class Refusal(NamedTuple):
    """Why an address is not taken, in the parts that an error has."""

    found: str
    expected: str
    hint: str


def is_address(source: str) -> bool:
    """Whether a source of data is meant as an address, one that can be read or not."""
    return "://" in source


def shown(source: str) -> str:
    """A source as messages name it: an address without login, query and fragment."""
    if not is_address(source):
        return source
    login, _, rest = _login_of(source)
    scheme = f"{source.partition('://')[0]}://"
    return scheme * bool(login) + re.split(r"[?#]", rest)[0]


def name_in(source: str) -> str:
    """The name of the file that an address ends in; the host where it has no path."""
    return unquote(shown(source).rstrip("/").rpartition("/")[2])


def why_no_address(source: str) -> Refusal | None:
    """Why nothing is read from an address, or why it is not to be stored; None where it is fine."""
    scheme = source.partition("://")[0].lower()
    if scheme not in ("http", "https"):
        return Refusal(
            f"an address of {scheme or 'nothing'}://",
            "one of http:// or https://, a file, a folder, a hub id (owner/name) or demo",
            _OTHER_WAYS.get(scheme, "Download it, and name the file."),
        )
    try:
        parts = urlsplit(_REFERENCE.sub("x", source))
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or re.search(r"[\s\\\x00-\x1f\x7f]", source):
        return Refusal("an address that cannot be read", "https://host/file", "Correct it.")
    return _secret_in(source)


def with_secrets(source: str, environment: Mapping[str, str]) -> str:
    """The address with what the environment says for each `${NAME}` in it; escaped in a login.

    Raises:
        OptionError: The environment lacks a variable.
    """

    def value(match: re.Match[str]) -> str:
        found = environment.get(match[1], "")
        if not found:
            raise OptionError(
                match[1],
                found=f"no such environment variable, which the address {shown(source)} needs",
                expected="the value that it stands for",
                hint="Set it, here and for every worker.",
            )
        return found

    login, at, rest = _login_of(source)
    escaped = _REFERENCE.sub(lambda match: quote(value(match), safe=""), login)
    return f"{escaped}{at}{_REFERENCE.sub(value, rest)}"


def _secret_in(source: str) -> Refusal | None:
    login, at, _ = _login_of(source)
    user, colon, password = login.partition("://")[2].partition(":")
    secret = password if colon else user
    if at and not _REFERENCE.fullmatch(secret):
        hint = "https://me:${PASSWORD}@host/file (in single quotes on a command line)."
        return _stored("a login in an address", hint)
    parts = urlsplit(source)
    for name, value in (*parse_qsl(parts.query), *parse_qsl(parts.fragment)):
        if _SECRET.search(name) and not _REFERENCE.fullmatch(value):
            hint = f"{name}=${{NAME}} (in single quotes on a command line)."
            return _stored(f"{name}=… in an address", hint)
    return None


def _stored(found: str, hint: str) -> Refusal:
    return Refusal(
        f"{found}, which would be stored with the study",
        "an address without one",
        f"{_BY_REFERENCE}{hint}",
    )


def _login_of(source: str) -> tuple[str, str, str]:
    """An address up to its login, the @ where there is one, and the rest."""
    scheme, _, rest = source.partition("://")
    end = re.search(r"[/?#]", rest)
    authority = rest[: end.start()] if end else rest
    login, at, host = authority.rpartition("@")
    if not at:
        return "", "", source
    return f"{scheme}://{login}", at, host + rest[len(authority) :]
