"""The tables of a source's splits, as they were read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hpo.data.table import Table


@dataclass(frozen=True, eq=False)
class SourceTables:
    """The splits that a source has, unchecked; validation and test are None where it has none."""

    source: str
    train: Table
    validation: Table | None
    test: Table | None
    warnings: tuple[str, ...] = ()

    def changed(self, change: Callable[[Table], Table]) -> SourceTables:
        """The same with each of its tables changed."""
        return replace(
            self,
            train=change(self.train),
            validation=None if self.validation is None else change(self.validation),
            test=None if self.test is None else change(self.test),
        )
