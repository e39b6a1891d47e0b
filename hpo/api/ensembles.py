"""An ensemble of a study's trials, asked for by a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.api.model import Model, named_model
from hpo.api.progress import teller
from hpo.api.reading import StudyReader
from hpo.errors import ModelError, OptionError
from hpo.options import check_early
from hpo.spec.ensemble_methods import USUAL_SIZES

if TYPE_CHECKING:
    from hpo.spec.ensemble_methods import EnsembleMethod
    from hpo.spec.locations import Locations

_FLUSH_SECONDS = 60.0


def make_ensemble(
    study: str, locations: Locations, method: EnsembleMethod, *, size: int | None, promote: bool
) -> Model:
    """Make an ensemble as `hpo.ensemble` does; see `Study.ensemble`."""
    if method not in USUAL_SIZES:
        raise OptionError(
            "method",
            found=repr(method),
            expected="one of " + ", ".join(USUAL_SIZES),
            hint="Write one of those names.",
        )
    StudyReader.stored_spec(locations, study)  # before anything is written
    check_early(None, locations)
    from hpo.execution.ensemble_run import ensemble_of, open_finished
    from hpo.results.ensembles.publishing import find_ensemble
    from hpo.storage.storage import open_storage
    from hpo.tracking.registry import Registered

    with (
        open_storage(locations.storage_url) as storage,
        open_finished(storage, study, locations, lambda: False) as session,
    ):
        made = ensemble_of(session, method, size=size, promote=promote, tell=teller())
        waits = session.tracker.champion_waits(_FLUSH_SECONDS)
        seen = Registered(None, "it waits") if waits else find_ensemble(made, session.tracker)
    if seen.uri is None:
        raise ModelError(
            f"study {study}",
            found=session.tracker.refusal() or seen.words,
            expected="the ensemble in MLflow",
            hint="`python -m hpo.doctor --flush` sends what waits.",
        )
    return named_model(seen.uri, locations.tracking_uri)
