"""Members of one kind by name: this project's, and those that other installed packages add."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final


class Registry:
    """All optimisers, all schedules, all data formats, …: each found by its name, imported when used.

    A package adds a member by an entry point in its own `pyproject.toml`:

        [project.entry-points."hpo.optimizers"]
        lion = "my_package.lion:LION"

    A name of this project's cannot be taken by another package.
    """

    def __init__(self, group: str, members: Mapping[str, str]) -> None:
        """Args:
        group: the group of entry points, "hpo.optimizers".
        members: this project's, in the order in which people read them: name -> "module:attribute".
        """
        self.group: Final = group
        self._ours: Final = {
            name: EntryPoint(name, place, group) for name, place in members.items()
        }
        self._loaded: dict[str, Any] = {}

    @cached_property
    def _added(self) -> Mapping[str, EntryPoint]:
        found = sorted(entry_points(group=self.group), key=lambda point: point.name)
        return {point.name: point for point in found if point.name not in self._ours}

    @property
    def names(self) -> tuple[str, ...]:
        """All names, this project's first."""
        return (*self._ours, *self._added)

    def __contains__(self, name: object) -> bool:
        # Ours first: looking through all installed packages takes time.
        return name in self._ours or name in self._added

    def __getitem__(self, name: str) -> Any:
        """The member of this name, its module imported on the first use.

        Raises:
            KeyError: there is none of this name.
        """
        if name not in self._loaded:
            if name not in self:
                raise KeyError(f"{name!r} is not in {self.group}: {', '.join(self.names)}")
            point = self._ours.get(name) or self._added[name]
            self._loaded[name] = point.load()
        return self._loaded[name]

    def checked(self, name: str) -> str:
        """The name itself, for pydantic to call.

        Raises:
            ValueError: there is no member of this name; it lists those that there are.
        """
        if name in self:
            return name
        *most, last = (repr(each) for each in self.names)
        raise ValueError(
            f"Input should be {', '.join(most)} or {last}" if most else f"Input should be {last}"
        )
