"""What options lay over a study file before it is checked: single keys, whole tables, other data or models.

A setting of the command line, `--set KEY=VALUE`, is a dotted key and a TOML value; text that is no TOML is
taken as it stands:

>>> parse_setting("training.epochs=2")
('training.epochs', 2)
>>> parse_setting("data.source = reviews.csv")
('data.source', 'reviews.csv')

What the study file says and what is read of it with the setting laid over it:

>>> def laid_over(file, setting):
...     return overridden(tomllib.loads(file), dict([parse_setting(setting)]))

A key is replaced, or added, with the tables on the way to it:

>>> laid_over("study.trials = 20", "study.trials=4")
{'study': {'trials': 4}}
>>> laid_over("", "study.trials=4")
{'study': {'trials': 4}}

An option that is fixed is no longer searched, and one that is searched is no longer fixed:

>>> laid_over("search.space = { epochs = [1, 2], batch_size = [8, 16] }", "training.epochs=2")
{'search': {'space': {'batch_size': [8, 16]}}, 'training': {'epochs': 2}}
>>> laid_over("training = { epochs = 2, batch_size = 8 }", "search.space={epochs=[1, 2]}")
{'training': {'batch_size': 8}, 'search': {'space': {'epochs': [1, 2]}}}

The options of a table have dotted names, in the search space too:

>>> laid_over("training.augment = { delete = 0.1, swap = 0.1 }", "search.space.augment.swap=[0.0, 0.2]")["training"]
{'augment': {'delete': 0.1}}
>>> laid_over("search.space = { epochs = [1], augment.swap = [0.0, 0.2] }", "search.space.augment.delete=[0.1]")
{'search': {'space': {'epochs': [1], 'augment.swap': [0.0, 0.2], 'augment.delete': [0.1]}}}
>>> laid_over("search.space = { epochs = [1], 'augment.swap' = [0.0, 0.2] }", "training.augment.swap=0.1")
{'search': {'space': {'epochs': [1]}}, 'training': {'augment': {'swap': 0.1}}}

One dimension is added to the search space that the study would have without it:

>>> space = laid_over("", "search.space.dropout=[0.0, 0.1]")["search"]["space"]
>>> set(space) - set(DEFAULT_SPACE), set(DEFAULT_SPACE) - set(space)
({'dropout'}, set())

What is named by a word gets its options as a table:

>>> laid_over("search.sampler = 'tpe'", "search.sampler.multivariate=true")
{'search': {'sampler': {'name': 'tpe', 'multivariate': True}}}
>>> laid_over("search.pruner = 'hyperband'", "search.pruner.name=median")
{'search': {'pruner': {'name': 'median'}}}
>>> laid_over("", "search.pruner.reduction_factor=2")
{'search': {'pruner': {'name': 'hyperband', 'reduction_factor': 2}}}

What the file says of its own data or model is left out where the setting names others:

>>> laid_over("data = { source = 'org/set', revision = 'v1', text = 'body' }", "data.source=my.csv")
{'data': {'source': 'my.csv', 'text': 'body'}}
>>> laid_over("data = { source = 'org/set', revision = 'v1' }", "data.text=body")
{'data': {'source': 'org/set', 'revision': 'v1', 'text': 'body'}}
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from hpo.documents import TooDeep, parse_toml
from hpo.errors import OptionError
from hpo.spec.numbers import beyond_toml
from hpo.spec.options import drop_option, flat
from hpo.spec.study import DEFAULT_SPACE, DEMO, SearchSection
from hpo.spec.training import OPTION_TABLES

# The tables for which a word may stand.
_NAMED = (["search", "sampler"], ["search", "pruner"])
_LONGEST_KEY = 200  # characters; those that there are have 40 at most


def parse_setting(setting: str) -> tuple[str, object]:
    """Split `--set key=value`; the value is read as TOML, and as plain text where it is none.

    Raises:
        OptionError: There is no equals sign, no dotted key before it, or too large or deep a value behind it.
    """
    key, equals, text = setting.partition("=")
    key, text = key.strip(), text.strip()
    dotted = re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", key)
    if not equals or not dotted or len(key) > _LONGEST_KEY:
        raise OptionError(
            "--set",
            found=repr(setting if len(setting) <= _LONGEST_KEY else setting[:60] + "…"),
            expected="key=value with a dotted key",
            hint="Write e.g. --set training.epochs=2.",
        )
    try:
        document = parse_toml(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return key, text
    except TooDeep as error:
        raise OptionError(
            f"--set {key}",
            found=f"a value {error}",
            expected="a value that a study file may have",
            hint="Correct the value.",
        ) from error
    except ValueError as error:  # more digits than Python reads
        raise _too_large(key) from error
    value = document["value"] if len(document) == 1 else text
    large = beyond_toml(value, key)
    if large is not None:
        raise _too_large(large)
    return key, value


def overridden(document: Mapping[str, Any], overrides: Mapping[str, object]) -> dict[str, Any]:
    """A study file's document with settings laid over it, one after another.

    Args:
        document: What the file says; it is left as it is.
        overrides: Dotted keys (`study.trials`) to values.

    Raises:
        OptionError: A key leads through something that is not a table.
    """
    changed = deepcopy(dict(document))
    _name_the_options(changed)
    for key, value in overrides.items():
        _lay_over(changed, key, value)
        _name_the_options(changed)
    _drop_what_was_said_of_others(changed, document, overrides)
    return changed


def table_of(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A table of the document; an empty one where there is none, or something else of its name."""
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def sources_of(document: Mapping[str, Any]) -> tuple[object, object]:
    """The data and the model that a document names."""
    data, model = table_of(document, "data"), table_of(document, "model")
    return data.get("source", DEMO), model.get("name", DEMO)


def _too_large(key: str) -> OptionError:
    return OptionError(
        f"--set {key}",
        found="a whole number of more than 64 bits",
        expected="a smaller one",
        hint="Correct the value.",
    )


def _lay_over(document: dict[str, Any], key: str, value: object) -> None:
    *tables, last = path = _path(key)
    if path[:2] == ["search", "space"] and len(path) > 2:
        _spell_out_space(document)
    if path[:2] in _NAMED and len(path) > 2:
        _spell_out_name(document, path[1])
    table = document
    for name in tables:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise OptionError(
                f"--set {key}",
                found=f"{name} = {inner!r} in the study file",
                expected="a table",
                hint=f"Set {name} as a whole.",
            )
        table = inner
    table[last] = deepcopy(value)
    # What the command line fixes leaves the file's search space, and the reverse.
    for option in _options_set(path, value, ["training"]):
        table_of(table_of(document, "search"), "space").pop(option, None)
    for option in _options_set(path, value, ["search", "space"]):
        drop_option(table_of(document, "training"), option)


def _path(key: str) -> list[str]:
    """The names of the tables on the way to a key, and its own; an option of the space is one of them."""
    path = key.split(".")
    if path[:2] == ["search", "space"] and len(path) > 3 and path[2] in OPTION_TABLES:
        path[2:4] = [".".join(path[2:4])]
    return path


def _name_the_options(document: dict[str, Any]) -> None:
    """Give the searched options that TOML has nested their dotted names."""
    search = table_of(document, "search")
    if isinstance(search.get("space"), dict):
        search["space"] = flat(search["space"], OPTION_TABLES)


def _drop_what_was_said_of_others(
    document: dict[str, Any], of_the_file: Mapping[str, Any], overrides: Mapping[str, object]
) -> None:
    """Leave out what the file says of its data and model where the options name others."""
    before, now = sources_of(of_the_file), sources_of(document)
    theirs = [
        *(("data.config", "data.revision") if before[0] != now[0] else ()),
        *(("model.revision",) if before[1] != now[1] else ()),
        *(("study.description",) if before != now else ()),
    ]
    for key in theirs:
        section, _, name = key.partition(".")
        if key not in overrides and section not in overrides:
            table_of(document, section).pop(name, None)


def _options_set(path: Sequence[str], value: object, table: Sequence[str]) -> list[str]:
    """The options of a table that a setting gives: one of them, or a table that holds them."""
    if path[: len(table)] != table[: len(path)]:
        return []
    for name in reversed(path[len(table) :]):
        value = {name: value}
    for name in table[len(path) :]:
        value = value.get(name) if isinstance(value, dict) else None
    return list(flat(value, OPTION_TABLES)) if isinstance(value, dict) else []


def _spell_out_name(document: dict[str, Any], part: str) -> None:
    """Write what a document names by a word as the table that it stands for, so that an option can be added."""
    search = document.setdefault("search", {})
    if isinstance(search, dict):
        named = search.get(part, getattr(SearchSection(), part).name)
        search[part] = {"name": named} if isinstance(named, str) else named


def _spell_out_space(document: dict[str, Any]) -> None:
    """Write the usual space into a document that has none, so that something can be added to it."""
    search = document.setdefault("search", {})
    if isinstance(search, dict) and "space" not in search:
        fixed = table_of(document, "training")
        search["space"] = {k: deepcopy(v) for k, v in DEFAULT_SPACE.items() if k not in fixed}
