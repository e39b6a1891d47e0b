"""What registered models are called, for whoever asks for one by a name that is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hpo.errors import HpoError, nearest_name

_VERSIONS_TOLD: Final = 3
_CHAMPION: Final = "champion"


def addresses(uri: str, near: str) -> dict[str, list[str]]:
    """What each registered model is loaded by, the champion first; empty where nobody can be asked.

    Args:
        uri: The server or store that has them.
        near: A name; of the model that it is nearest to the versions are told too.
    """
    from hpo.tracking.answers import PermanentError, RetryableError, answers
    from hpo.tracking.gateway import Gateway

    try:
        with answers():
            client = Gateway(uri).client
            found: list[Any] = client.search_registered_models(max_results=100)
            known = {str(model.name): _of_aliases(model) for model in found}
            named = nearest_name(near, known)
            if named is not None:
                versions = client.search_model_versions(f"name='{named}'")
                latest = sorted((int(each.version) for each in versions), reverse=True)
                known[named] += [f"models:/{named}/{each}" for each in latest[:_VERSIONS_TOLD]]
    except (PermanentError, RetryableError):
        return {}
    return {name: told for name, told in known.items() if told}


def nearest_address(name: str, known: Mapping[str, list[str]]) -> str | None:
    """What the model of the nearest name is loaded by, as `addresses` has it; None where none is near."""
    near = nearest_name(name, known)
    return None if near is None else known[near][0]


def did_you_mean(name: str, tracking_uri: str) -> str | None:
    """A hint for whoever gave a model's name alone; None where no registered model is called like that."""
    from hpo.tracking.ping import ping
    from hpo.tracking.uri import checked_uri, database_file

    if not name.isprintable() or "/" in name:
        return None
    try:
        uri = checked_uri(tracking_uri)
        file = database_file(uri)
        if file is not None and not file.exists():
            return None
        ping(uri)
        near = nearest_address(name, addresses(uri, near=name))
    except HpoError:  # the name is what is wrong, whatever else is
        return None
    return None if near is None else f"Did you mean {near}?"


def _of_aliases(model: Any) -> list[str]:
    aliases = sorted(model.aliases, key=lambda alias: (alias != _CHAMPION, alias))
    return [f"models:/{model.name}@{alias}" for alias in aliases]
