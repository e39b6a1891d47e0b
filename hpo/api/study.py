"""A study in Python: described, run, looked at, its champion used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from hpo.api.reading import StudyReader
from hpo.api.settings import Settings, spec_of
from hpo.api.tables import KeptTables, kept_tables
from hpo.api.wording import speaks_python
from hpo.errors import HpoError
from hpo.quiet import quiet_caller
from hpo.spec.locations import Locations

if TYPE_CHECKING:
    import pandas as pd

    from hpo.api.model import Model
    from hpo.api.trials import Callback, Trial
    from hpo.results.champion import Champion
    from hpo.spec.ensemble_methods import EnsembleMethod
    from hpo.spec.options import OptionValue
    from hpo.spec.study import StudySpec


@speaks_python
class Study:
    """A hyperparameter search: data, a model, a space, and what came of them.

    Nothing is written before `run`. What is told of trials, champion and scores is read from the storage
    each time, so that another process may be at work on the study.
    """

    _spec: StudySpec
    _locations: Locations
    _tables: KeptTables | None
    _model: tuple[Champion, Model] | None

    def __init__(
        self,
        data: Any = None,
        *,
        storage: str | None = None,
        tracking: str | None = None,
        **given: Unpack[Settings],
    ) -> None:
        """Describe a study; one of the same name and settings in the storage is gone on with.

        Args:
            data: A pandas DataFrame, a Dataset or DatasetDict of the datasets library, a mapping of names
                of splits to such, a path, an address, or a hub id; left out, the embedded demo.
            storage: Where studies are kept; left out, as for the commands (sqlite:///optuna.db).
            tracking: MLflow's server or store, likewise (sqlite:///mlflow.db).
            given: See `Settings`. A study that is not named is named after its data and model.

        Raises:
            HpoError: A setting is wrong.
        """
        self._describe(None, data, given, _places(storage, tracking))

    @classmethod
    def from_file(
        cls,
        study: str | Path = "quickstart",
        *,
        data: Any = None,
        storage: str | None = None,
        tracking: str | None = None,
        **overrides: Unpack[Settings],
    ) -> Study:
        """The study of a study file.

        Args:
            study: A path, or the name of a file in `studies/`.
            data: In place of the file's; as for a `Study`, like the next two.
            storage: Likewise.
            tracking: Likewise.
            overrides: Laid over what the file says.

        Raises:
            HpoError: The file or a setting is wrong.
        """
        made = cls.__new__(cls)
        locations = _places(storage, tracking)
        made._describe(str(study), data, overrides, locations)
        return made

    @classmethod
    def open(cls, name: str, *, storage: str | None = None, tracking: str | None = None) -> Study:
        """A study that was run before, by its name.

        Raises:
            StudyGoneError: There is none of this name.
            StorageError: The storage cannot be used.
        """
        made = cls.__new__(cls)
        locations = _places(storage, tracking)
        made._place(StudyReader.stored_spec(locations, name), locations, None)
        return made

    @property
    def name(self) -> str:
        """Of the study, of its MLflow experiment and of its registered model."""
        return self._spec.name

    def run(
        self,
        trials: int | None = None,
        *,
        workers: int | str = "auto",
        callbacks: Sequence[Callback] = (),
        points: Sequence[Mapping[str, OptionValue]] = (),
        timeout: str | float | None = None,
        quiet: bool = False,
    ) -> Study:
        """Work on the study until it has so many finished trials, and make the best its champion.

        What was begun before is gone on with. Ctrl-C stops: trials at work are given back, and
        KeyboardInterrupt is raised when all is put away.

        Args:
            trials: Finished trials that the study should have; left out, as it was described.
            workers: Processes on this machine.
            callbacks: Each is called in this process with each `Trial` that a worker of this run finishes.
                One that raises `StopStudy` ends the run; another error does too, and is raised
                when all is put away.
            points: Values of searched options to be tried next.
            timeout: Seconds, or e.g. "30m", after which the run stops.
            quiet: Show no progress.

        Returns:
            This study.

        Raises:
            HpoError: What stops the run.
        """
        from hpo.api.running import run

        if trials is not None:
            self._set_budget(trials)
        run(
            self._spec,
            self._locations,
            self._tables,
            workers=workers,
            callbacks=callbacks,
            points=points,
            timeout=timeout,
            quiet=quiet,
        )
        return self

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number; none where the study was not run yet."""
        return self._reader.trials()

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best value, of equals the earlier; None before there is one."""
        return self._reader.best()

    def trials_dataframe(self) -> pd.DataFrame:
        """A row a trial: number, state, value, a column `params.NAME` an option, times, and links."""
        return self._reader.table()

    @property
    def champion(self) -> Model:
        """The model that the study registered, loaded when it is first asked something.

        Raises:
            ModelError: There is none yet, or MLflow no longer has it.
            TrackingError: MLflow cannot be asked.
        """
        known, uri = self._reader.champion(), self._reader.champion_uri()
        if self._model is None or self._model[0] != known:
            from hpo.api.model import named_model

            self._model = known, named_model(uri, self._locations.tracking_uri)
        return self._model[1]

    @property
    def uri(self) -> str:
        """Where the champion is registered; raises as `champion` does."""
        return self._reader.champion_uri()

    @property
    def test_score(self) -> float:
        """The champion's score on the test split, in the study's metric.

        Raises:
            ModelError: There is no champion yet.
        """
        return self._reader.champion().test.metrics[self._spec.study.metric]

    @property
    def confirmation(self) -> Mapping[str, Any] | None:
        """What training the best trials again with new seeds came to: `mean`, `standard_error`, `optimism` and more.

        None where the study has `confirm.seeds = 0`.

        Raises:
            ModelError: There is no champion yet.
        """
        known = self._reader.champion().confirmation
        return None if known is None else known.as_json()

    def report(self, path: str | Path = "report.html", *, overwrite: bool = False) -> Path:
        """Write the study's page for people, one HTML file that needs no network. Returns where it is.

        Raises:
            OptionError: It cannot be written there.
            StudyGoneError: The study was not run yet.
        """
        from hpo.results.report.writing import report_file, write_report

        target = report_file(str(path), overwrite=overwrite)
        write_report(target, [self.name], self._locations.storage_url)
        return target

    def ensemble(
        self, method: EnsembleMethod = "greedy", *, size: int | None = None, promote: bool = False
    ) -> Model:
        """Make an ensemble of the study's trials, tested once and registered beside the champion.

        Args:
            method: As `hpo.ensemble --method` takes it.
            size: Members at most; left out, as many as are usual.
            promote: Make it the study's champion.

        Raises:
            HpoError: The study has no complete trial, or what stops the work.
        """
        from hpo.api.ensembles import make_ensemble

        return make_ensemble(self.name, self._locations, method, size=size, promote=promote)

    def __repr__(self) -> str:
        try:
            return f"<hpo.Study {self.name}: {self._reader.in_words()}>"
        except HpoError as error:
            return f"<hpo.Study {self.name}: {error}>"

    def _describe(self, file: str | None, data: Any, given: Settings, locations: Locations) -> None:
        tables = None if data is None else kept_tables(data, locations.state)
        source = data if tables is None else tables.path
        self._place(spec_of(file, source, given), locations, tables)

    def _place(self, spec: StudySpec, locations: Locations, tables: KeptTables | None) -> None:
        self._spec = spec
        self._locations = locations
        self._tables = tables
        self._model = None

    def _set_budget(self, trials: int) -> None:
        from hpo.spec.numbers import whole_number

        section = self._spec.study.model_copy(
            update={"trials": whole_number("trials", least=1)(str(trials))}
        )
        self._spec = self._spec.model_copy(update={"study": section})

    @property
    def _reader(self) -> StudyReader:
        return StudyReader(self._spec, self._locations)


def _places(storage: str | None, tracking: str | None) -> Locations:
    """Where things are kept. Before all else, for other libraries speak when they are imported."""
    quiet_caller()
    return Locations.of(storage=storage, tracking_uri=tracking)
