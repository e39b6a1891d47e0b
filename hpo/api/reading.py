"""What is known of a study, read from its storage: for as long as nobody has run it, nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hpo.api.trials import Trial
from hpo.errors import ModelError

if TYPE_CHECKING:
    import pandas as pd

    from hpo.results.champion import Champion
    from hpo.spec.locations import Locations
    from hpo.spec.study import StudySpec
    from hpo.storage.storage import Storage
    from hpo.studies.overview import Overview

T = TypeVar("T")


@dataclass(frozen=True)
class StudyReader:
    """A study by its settings, and where it is kept."""

    spec: StudySpec
    locations: Locations

    @staticmethod
    def stored_spec(locations: Locations, name: str) -> StudySpec:
        """The settings of a study that is registered.

        Raises:
            StudyGoneError: There is none of this name.
        """
        from hpo.storage.storage import open_storage
        from hpo.studies.renamed import check_registered
        from hpo.studies.studies import load_spec

        check_registered(locations.storage_url, name)
        with open_storage(locations.storage_url) as storage:
            return load_spec(storage, name)

    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return [Trial.of_record(record) for record in self._records()]

    def best(self) -> Trial | None:
        """The complete trial with the best value, of equals the earlier."""
        sign = 1 if self.spec.direction == "maximize" else -1
        complete = [trial for trial in self.trials() if trial.state == "COMPLETE"]
        return max(complete, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def table(self) -> pd.DataFrame:
        """The trials as `hpo.studies export` writes them."""
        import pandas as pd

        from hpo.studies.trial_table import as_rows

        return pd.DataFrame(as_rows(self._records()))

    def champion(self) -> Champion:
        """The study's champion.

        Raises:
            ModelError: It has none.
        """
        from hpo.results.champion import Champion
        from hpo.results.presentation import CHAMPION_KEY
        from hpo.studies.memory import recall

        def look(storage: Storage, overview: Overview) -> object:
            return recall(storage, overview.progress.study_id, CHAMPION_KEY)

        document = self._read(look)
        if not isinstance(document, dict):
            raise ModelError(
                f"study {self.spec.name}",
                found="no champion",
                expected="a study that was run to its end",
                hint="Call run(), with as many trials as it has, or more.",
            )
        return Champion.from_json(document)

    def champion_uri(self) -> str:
        """Where MLflow has the champion of this very study, and of none that had its name before.

        Raises:
            ModelError: There is none, or MLflow does not have it.
            TrackingError: MLflow cannot be asked.
        """
        from hpo.studies.earlier_names import earlier_names
        from hpo.tracking.champion import find_champion
        from hpo.tracking.identity import StudyIdentity
        from hpo.tracking.keys import CHAMPION_ALIAS

        def look(storage: Storage, overview: Overview) -> StudyIdentity:
            earlier = earlier_names(storage, overview.progress.study_id)
            return StudyIdentity(self.spec.name, overview.uid, earlier.registered_as)

        champion, identity = self.champion(), self._read(look)
        assert identity is not None, "a study that has a champion is there"
        seen = find_champion(
            self.locations.tracking_uri,
            identity,
            champion.number,
            champion.registered_name,
            champion.source.key,
            CHAMPION_ALIAS,
        )
        if seen.uri is None:
            raise ModelError(
                f"study {self.spec.name}",
                found=seen.words,
                expected="its champion in MLflow",
                hint="Call run() again, which publishes it.",
            )
        return seen.uri

    def in_words(self) -> str:
        """`2/3 trials, best accuracy 0.9120 (trial 1)`."""
        finished = sum(trial.state in ("COMPLETE", "PRUNED") for trial in self.trials())
        best, metric = self.best(), self.spec.study.metric
        words = f"{finished}/{self.spec.study.trials} trials"
        if best is None or best.value is None:
            return words
        return f"{words}, best {metric} {best.value:.4f} (trial {best.number})"

    def _records(self) -> list[dict[str, Any]]:
        from hpo.studies.trial_table import trial_records

        def look(storage: Storage, overview: Overview) -> list[dict[str, Any]]:
            return trial_records(storage, overview.progress.study_id)

        return self._read(look) or []

    def _read(self, look: Callable[[Storage, Overview], T]) -> T | None:
        """What is seen of the study in its storage; None where it is not there yet.

        Raises:
            StorageError: A study of its name has other settings.
        """
        from hpo.storage.storage import open_storage, registered_names
        from hpo.studies.overview import overviews
        from hpo.studies.registration import check_same_settings

        url = self.locations.storage_url
        if self.spec.name not in registered_names(url):
            return None
        with open_storage(url) as storage:
            check_same_settings(storage, self.spec)
            [overview] = overviews(storage, self.spec.name)
            return look(storage, overview)
