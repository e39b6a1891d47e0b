"""What MLflow's variables say of its HTTP client, read as MLflow reads them: who asks, and whom TLS trusts."""

from __future__ import annotations

import base64
import os
import ssl
from configparser import ConfigParser, Error
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hpo.errors import TrackingError
from hpo.spec.environment import set_in

_CERTIFICATE = "MLFLOW_TRACKING_SERVER_CERT_PATH"
_INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"
# `requests`, with which MLflow asks, looks at these in this order.
_AUTHORITIES = (_CERTIFICATE, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_OWN_CERTIFICATE = "MLFLOW_TRACKING_CLIENT_CERT_PATH"


def authorization(uri: str) -> str | None:
    """The header `Authorization` of a request to a tracking server; None for none."""
    parts = urlsplit(uri)
    user, password = _login_of_file()
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or user
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or password
    if parts.username:
        user, password = unquote(parts.username), unquote(parts.password or "")
    token = set_in(os.environ, "MLFLOW_TRACKING_TOKEN")
    if user and password:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Bearer {token}" if token else None


def signs_otherwise() -> bool:
    """Whether MLflow signs its requests in a way that only it knows."""
    auth, aws = "MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4"
    return set_in(os.environ, auth) is not None or _is_on(aws)


def tls() -> ssl.SSLContext:
    """Whom a request to a tracking server trusts, and how it names itself.

    Raises:
        TrackingError: A file of certificates cannot be read, or two variables clash.
    """
    variable = next((name for name in _AUTHORITIES if set_in(os.environ, name)), None)
    if _is_on(_INSECURE):
        if set_in(os.environ, _CERTIFICATE) is not None:
            raise TrackingError(
                _CERTIFICATE,
                found=f"it beside {_INSECURE}",
                expected="one of the two",
                hint=f"Unset {_INSECURE}, so that the certificate is checked.",
            )
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif variable is None:
        import certifi

        context = ssl.create_default_context(cafile=certifi.where())
    else:
        context = _trusting(variable, os.environ[variable])
    own = set_in(os.environ, _OWN_CERTIFICATE)
    if own is not None:
        try:
            context.load_cert_chain(own)
        except (OSError, ValueError) as error:
            raise _no_certificate(_OWN_CERTIFICATE, own, error) from error
    return context


def _trusting(variable: str, path: str) -> ssl.SSLContext:
    try:
        folder = Path(path).is_dir()
        return ssl.create_default_context(
            cafile=None if folder else path, capath=path if folder else None
        )
    except (OSError, ValueError) as error:  # ssl's own is an OSError
        raise _no_certificate(variable, path, error) from error


def _no_certificate(variable: str, path: str, error: Exception) -> TrackingError:
    reason = "no certificate in it"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        reason = error.strerror or reason
    return TrackingError(
        f"{variable} ({path})",
        found=f"a file that cannot be used ({reason})",
        expected="a file of certificates (PEM)",
        hint=f"Name such a file, or unset {variable}.",
    )


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in ("1", "true")


def _login_of_file() -> tuple[str | None, str | None]:
    """User and password of ~/.mlflow/credentials."""
    parser = ConfigParser()
    try:
        parser.read(Path("~/.mlflow/credentials").expanduser())
    except (OSError, RuntimeError, UnicodeDecodeError, Error):
        return None, None
    options = ("mlflow_tracking_username", "mlflow_tracking_password")
    user, password = (parser.get("mlflow", name, raw=True, fallback=None) for name in options)
    return user, password
