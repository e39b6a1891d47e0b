"""Where people look at studies: the addresses and commands in the last lines of `hpo.run` and `hpo.ui`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hpo.tracking.uri import LOCAL_UI
from hpo.tracking.views import charts_url, table_url_of

if TYPE_CHECKING:
    from hpo.spec.locations import Locations

_SHOWN = 10


def after_a_run(locations: Locations, study_url: str) -> list[str]:
    """The commands that show a study, and where they show its trials.

    Args:
        locations: The run's.
        study_url: The page of the study's run in MLflow, or of its server alone.
    """
    from hpo.redaction import redacted
    from hpo.spec.locations import DEFAULT_STORAGE
    from hpo.tracking.uri import ui_command

    lines = [
        f"MLflow:    {ui_command(locations.tracking_uri)}",
        f"Dashboard: optuna-dashboard {redacted(locations.storage_url)}",
    ]
    if locations.storage_url == DEFAULT_STORAGE:
        lines.append("Both:      python -m hpo.ui")
    table = table_url_of(study_url)
    if table is not None:
        lines += [f"Trials:    {table}", f"Charts:    {charts_url(table)}"]
    return lines


def of_studies(locations: Locations, mlflow: str) -> Iterator[str]:
    """A line for each study that MLflow has runs of, the latest first: its name and the table of its trials.

    Args:
        locations: Of the storage.
        mlflow: Where MLflow's UI is served.

    Raises:
        StorageError: The storage cannot be read.
    """
    from hpo.printable import printable
    from hpo.results.presentation import trial_runs
    from hpo.storage.storage import open_storage
    from hpo.studies.overview import overviews

    with open_storage(locations.storage_url, for_viewing=True) as storage:
        studies = sorted(overviews(storage), key=lambda each: each.last_active, reverse=True)
        for study in studies[:_SHOWN]:
            runs = trial_runs(storage, study.progress.study_id).values()
            table = next((found for _, url in runs if (found := table_url_of(url))), None)
            if table is not None:
                yield f"Trials of {printable(study.name)}: {table.replace(LOCAL_UI, mlflow, 1)}"
    if len(studies) > _SHOWN:
        yield f"… and {len(studies) - _SHOWN} studies more (python -m hpo.studies lists them)"
