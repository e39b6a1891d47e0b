"""What a study found, as it remembers it: its champion, with what confirmed and tested that, and the refit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpo.results.champion import Champion
from hpo.results.presentation import CHAMPION_KEY
from hpo.results.refitted import Refit, known_refit
from hpo.storage.storage import Storage
from hpo.studies.memory import recall


@dataclass(frozen=True)
class Found:
    """What came of a study beside its trials; None what there is not, or not yet."""

    champion: Champion | None
    refit: Refit | None

    def as_json(self) -> dict[str, Any]:
        """The same for a machine, by the names that `hpo.run --json` has; registered: as it was last seen."""
        champion = self.champion
        return {
            "champion": champion and {**champion.as_json(), "registered": champion.uri},
            "refit": self.refit and self.refit.as_json(),
        }

    def in_words(self, metric: str) -> dict[str, str]:
        """A line for each, by the word that stands before it."""
        lines = {}
        if self.champion is not None:
            confirmation = self.champion.confirmation
            lines["champion"] = f"{self.champion.uri}, {self.champion.source.words}"
            if confirmation is not None:
                lines["confirmed"] = f"{metric} {confirmation.expected_in_words}"
            lines["test"] = f"{metric} {self.champion.test_in_words(metric)}"
        if self.refit is not None:
            lines["refit"] = self.refit.made_in_words
        return lines


def found_by(storage: Storage, study_id: int) -> Found:
    """What a study of the storage remembers of what it found.

    Raises:
        StorageError: That is damaged.
    """
    told = recall(storage, study_id, CHAMPION_KEY)
    champion = Champion.from_json(told) if isinstance(told, dict) else None
    return Found(champion, known_refit(storage, study_id))
