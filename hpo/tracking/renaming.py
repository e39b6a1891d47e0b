"""What goes by a study's name in MLflow, renamed: its experiment, the tags of runs and models, the name of its run.

MLflow knows no transaction: each step finds what is still to be done, so that all of them can be repeated.
Registered models keep their names, under which people load them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo.errors import TrackingError
from hpo.redaction import without_credentials
from hpo.spec.names import confirmation_name, key_part
from hpo.tracking.download import store_that_is_there
from hpo.tracking.hidden_tags import read, sent
from hpo.tracking.identity import StudyIdentity
from hpo.tracking.keys import (
    OPERATION_TAG,
    RUN_KEY_TAG,
    STUDY_KEY_TAG,
    STUDY_TAG,
    STUDY_UID_TAG,
    study_in_keys,
    uid_in,
)
from hpo.tracking.removal import models_of, runs_of

if TYPE_CHECKING:
    from hpo.tracking.gateway import Gateway

_LOOKED_AT = 20  # one would do, but people delete runs
_KEYED = (RUN_KEY_TAG, STUDY_KEY_TAG, OPERATION_TAG)


def check_store(
    tracking_uri: str, name: str, new: str, uids: Collection[str], run_ids: Sequence[str]
) -> None:
    """Look whether MLflow is the one that has a study, and can call it otherwise; nothing is changed.

    Args:
        tracking_uri: The server or store, which is waited for.
        name: The study's.
        new: The name that it is to have.
        uids: The study's, and that of what confirms it.
        run_ids: Runs that the study has as far as its storage knows.

    Raises:
        TrackingError: It has none of the runs, an experiment of the new name, or another study's runs in
            the old one.
    """
    with store_that_is_there(tracking_uri, "a look at what is the study's") as gateway:
        place = f"tracking server {without_credentials(tracking_uri)}"
        looked_at = run_ids[:_LOOKED_AT]
        if looked_at and (gateway is None or not any(map(gateway.has_run, looked_at))):
            raise TrackingError(
                place,
                found=f"none of the runs of {name}",
                expected="the MLflow that has them",
                hint="Name it with --tracking-uri.",
            )
        if gateway is not None:
            _refuse_taken(gateway, place, new)
            _refuse_shared(gateway, place, name, uids)


def has_versions(tracking_uri: str, study: StudyIdentity) -> bool:
    """Whether anything of a study is registered. Waits for the server, and raises as above."""
    from hpo.tracking.registry import versions_of

    with store_that_is_there(tracking_uri, "its registered models") as gateway:
        return gateway is not None and bool(versions_of(gateway, study))


def rename_in_mlflow(tracking_uri: str, parts: Sequence[StudyIdentity], new: str) -> int:
    """Have a study, and what confirms it, go by another name. Cut short, it may be called again.

    Args:
        tracking_uri: The server or store, which is waited for.
        parts: By the old name.
        new: The new name.

    Returns:
        How many runs are the study's.

    Raises:
        TrackingError: The server cannot be used.
    """
    with store_that_is_there(tracking_uri, "a renaming of what is the study's") as gateway:
        if gateway is None:
            return 0
        experiment_id = _renamed_experiment(gateway, parts[-1].name, new)
        if experiment_id is None:
            return 0
        return sum(_rename_part(gateway, experiment_id, part, new) for part in parts)


def _refuse_taken(gateway: Gateway, place: str, name: str) -> None:
    taken = _experiment(gateway, name)
    if taken is None:
        return
    trashed = " in its trash" if taken.lifecycle_stage == "deleted" else ""
    raise TrackingError(
        place,
        found=f"an experiment {name}{trashed}",
        expected="a name that no experiment has",
        hint="Take another name, or rename that experiment.",
    )


def _refuse_shared(gateway: Gateway, place: str, name: str, uids: Collection[str]) -> None:
    experiment_id = gateway.experiment_id(name, create=False)
    if experiment_id is None:
        return
    keys = [run.tags.get(RUN_KEY_TAG, "") for run in gateway.search_runs(experiment_id, "")]
    others = {uid_in(key) for key in keys} - {key_part(uid) for uid in uids} - {None}
    if others:
        raise TrackingError(
            place,
            found=f"runs of {len(others)} other studies called {name} in the experiment {name}",
            expected="an experiment that is this study's alone",
            hint="Delete those runs in MLflow, or keep the name.",
        )


def _experiment(gateway: Gateway, name: str) -> Any:
    from hpo.tracking.answers import answers

    client = gateway.client
    with answers():
        return client.get_experiment_by_name(name)


def _renamed_experiment(gateway: Gateway, old: str, new: str) -> str | None:
    """The id of the experiment, under its new name; None where the study has none."""
    from hpo.tracking.answers import answers

    if _experiment(gateway, new) is None:
        experiment_id = gateway.experiment_id(old, create=False)
        if experiment_id is None:
            return None
        with answers():
            gateway.client.rename_experiment(experiment_id, new)
    return gateway.experiment_id(new, create=False)


def _rename_part(gateway: Gateway, experiment_id: str, part: StudyIdentity, new: str) -> int:
    from hpo.tracking.answers import answers

    client = gateway.client
    runs = runs_of(gateway, experiment_id, part.uid)
    own_names = {part.name: new, confirmation_name(part.name): confirmation_name(new)}
    for model in models_of(gateway, experiment_id, [run.run_id for run in runs]):
        tags = sent(_new_tags(read(model.tags), part, new))
        if tags:
            with answers():
                client.set_logged_model_tags(model.model_id, tags)
    _rename_versions(gateway, part, new)
    for run in runs:
        if run.name in own_names:
            with answers():
                client.update_run(run.run_id, name=own_names[run.name])
        gateway.log_batch(run.run_id, tags=_new_tags(run.tags, part, new))
    return len(runs)


def _rename_versions(gateway: Gateway, part: StudyIdentity, new: str) -> None:
    from hpo.tracking.answers import answers
    from hpo.tracking.registry import versions_of

    client, versions = gateway.client, versions_of(gateway, part)
    for name, number in versions:
        with answers():
            version = client.get_model_version(name, number)
        for key, value in sent(_new_tags(read(version.tags), part, new)).items():
            with answers():
                client.set_model_version_tag(name, number, key, value)
    for name in dict.fromkeys(name for name, _ in versions):
        with answers():
            model = client.get_registered_model(name)
        known = read(model.tags)
        is_its_own = known.get(STUDY_UID_TAG) == part.uid
        tags = _new_tags(known, part, new) if is_its_own else {}
        for key, value in sent(tags).items():
            with answers():
                client.set_registered_model_tag(name, key, value)


def _new_tags(tags: Mapping[str, str], part: StudyIdentity, new: str) -> dict[str, str]:
    """Those of some tags that say the old name, with the new one."""
    before, now = (f":{study_in_keys(name, part.uid)}" for name in (part.name, new))
    wanted = {key: tags[key].replace(before, now) for key in _KEYED if key in tags}
    if STUDY_TAG in tags:
        wanted[STUDY_TAG] = new
    return {key: value for key, value in wanted.items() if tags[key] != value}
