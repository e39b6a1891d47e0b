"""Members of one kind by name: this project's, and those that other installed packages add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Registry:
    """All optimisers, all schedules, all data formats, …: each found by its name, imported when used.

    A package adds a member by an entry point in its own `pyproject.toml`:

        [project.entry-points."hpo.optimizers"]
        lion = "my_package.lion:LION"

    A name of this project's cannot be taken by another package.
    """

    def __init__(self, group: str, members: Mapping[str, str]) -> None:
        """Look nothing up yet.

        Args:
            group: The group of entry points, such as "hpo.optimizers".
            members: This project's, name to "module:attribute", in the order in which people read them.
        """
        self.group: Final = group
        self.ours: Final = tuple(members)
        self._places: Final = dict(members)
        self._loaded: dict[str, Any] = {}

    @cached_property
    def _added(self) -> Mapping[str, EntryPoint]:
        from importlib.metadata import entry_points  # which `hpo run --help` does without

        found = sorted(entry_points(group=self.group), key=lambda point: point.name)
        return {point.name: point for point in found if point.name not in self._places}

    def __iter__(self) -> Iterator[str]:
        """All names, this project's first."""
        yield from self.ours
        yield from self._added

    def __contains__(self, name: object) -> bool:
        # Ours first: looking through all installed packages takes time.
        return isinstance(name, str) and (name in self._places or name in self._added)

    def __getitem__(self, name: str) -> Any:
        """The member of this name, its module imported on the first use.

        Raises:
            KeyError: there is none of this name.
        """
        if name not in self._loaded:
            if name not in self:
                raise KeyError(f"{name!r} is not in {self.group}: {', '.join(self)}")
            if name in self._places:
                module, _, attribute = self._places[name].partition(":")
                self._loaded[name] = getattr(import_module(module), attribute)
            else:
                self._loaded[name] = self._added[name].load()
        return self._loaded[name]


class MemberOf:
    """The annotation of a key whose value names a member: `Annotated[str, MemberOf(OPTIMIZERS)]`.

    Another value is refused in the words that pydantic has for a `Literal` of all names.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry: Final = registry

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Any:
        from pydantic_core import core_schema  # which `hpo --help` does without

        return core_schema.no_info_plain_validator_function(self._checked)

    def _checked(self, name: object) -> object:
        from pydantic_core import PydanticCustomError

        if name in self.registry:
            return name
        *most, last = (repr(each) for each in self.registry)
        names = f"{', '.join(most)} or {last}" if most else last
        raise PydanticCustomError("literal_error", "Input should be {names}", {"names": names})
