"""Options by their names: those of a table among them are dotted (`augment.delete`), in TOML as here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

OptionValue = int | float | str


class OptionTable(BaseModel):
    """Options that belong together and stand in a table of their own, all off by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def option_fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The options of a section by name, with those of its tables."""
    fields: dict[str, FieldInfo] = {}
    for name, field in section.model_fields.items():
        if _is_table(field):
            assert isinstance(field.annotation, type)
            inner = field.annotation.model_fields
            fields |= {f"{name}.{key}": inner_field for key, inner_field in inner.items()}
        else:
            fields[name] = field
    return fields


def option_tables(section: type[BaseModel]) -> tuple[str, ...]:
    """The names of a section's tables."""
    return tuple(name for name, field in section.model_fields.items() if _is_table(field))


def option_values(section: BaseModel) -> Iterator[tuple[str, Any]]:
    """The options of a section by name, with their values."""
    for name, value in section:
        if isinstance(value, OptionTable):
            yield from ((f"{name}.{key}", inner) for key, inner in value)
        else:
            yield name, value


def options_in_use(section: BaseModel, searched: Collection[str]) -> dict[str, OptionValue | None]:
    """What is told of a section: its options by name, but for tables that are off and not searched."""
    off = tuple(
        f"{name}."
        for name, value in section
        if isinstance(value, OptionTable)
        and value == type(value)()
        and not any(option.startswith(f"{name}.") for option in searched)
    )
    return {name: value for name, value in option_values(section) if not name.startswith(off)}


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by name as a section holds them.

    >>> nested({"epochs": 2, "augment.delete": 0.1, "augment.swap": 0.2})
    {'epochs': 2, 'augment': {'delete': 0.1, 'swap': 0.2}}
    """
    section: dict[str, Any] = {}
    for option, value in options.items():
        table, dot, name = option.rpartition(".")
        if dot:
            section.setdefault(table, {})[name] = value
        else:
            section[name] = value
    return section


def flat(section: Mapping[str, Any], tables: Collection[str]) -> dict[str, Any]:
    """What a document says in a section, by the names of options: the reverse of `nested`.

    >>> flat({"epochs": 2, "augment": {"delete": 0.1}}, ["augment"])
    {'epochs': 2, 'augment.delete': 0.1}
    """
    options: dict[str, Any] = {}
    for name, value in section.items():
        if name in tables and isinstance(value, Mapping):
            options |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            options[name] = value
    return options


def drop_option(section: dict[str, Any], option: str) -> None:
    """Take an option out of a document's section, nested or by its name, where it is there."""
    table, _, name = option.rpartition(".")
    section.pop(option, None)
    inner = section.get(table)
    if isinstance(inner, dict):
        inner.pop(name, None)


def _is_table(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, OptionTable)
