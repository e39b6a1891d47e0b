"""The tables in the documentation that follow from the code: keys of study files, modules, formats.

    python -m hpo.spec.reference        (make docs)

writes them anew between their markers (`<!-- begin NAME -->`, `<!-- end NAME -->`) in the README
and in docs/; a test holds that they are as it would write them.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hpo.formats import FORMATS
from hpo.spec.options import option_fields
from hpo.spec.registry import MemberOf
from hpo.spec.study import DEFAULT_SPACE, StudySpec
from hpo.spec.training import SEARCHABLE_OPTIONS

_ROOT: Final = Path(__file__).resolve().parents[2]
DOCUMENTS: Final = (
    _ROOT / "README.md",
    _ROOT / "docs" / "study-files.md",
    _ROOT / "docs" / "architecture.md",
)


@dataclass(frozen=True)
class Key:
    """One key of a study file, in words.

    Attributes:
        bounds: Empty where every value of the type will do.
    """

    section: str
    name: str
    kind: str
    default: str
    bounds: str
    meaning: str

    @property
    def searchable(self) -> bool:
        return self.section == "training" and self.name in SEARCHABLE_OPTIONS


@dataclass(frozen=True)
class PluginFacts:
    """A sampler or pruner: its Optuna class, what it does, the options that it takes."""

    optuna_class: str
    meaning: str
    options: tuple[str, ...] = ()


SAMPLERS: Final[Mapping[str, PluginFacts]] = {
    "tpe": PluginFacts(
        "TPESampler",
        "models where good trials lie, all options together; a safe first choice",
        ("n_startup_trials", "n_ei_candidates", "multivariate", "group", "constant_liar"),
    ),
    "gp": PluginFacts(
        "GPSampler",
        "a Gaussian process; the most careful, for budgets of up to a few hundred trials",
        ("n_startup_trials", "deterministic_objective"),
    ),
    "cmaes": PluginFacts(
        "CmaEsSampler",
        "an evolution strategy for ranges of numbers; listed values are drawn at random",
        (
            "n_startup_trials",
            "consider_pruned_trials",
            "popsize",
            "use_separable_cma",
            "with_margin",
            "lr_adapt",
        ),
    ),
    "random": PluginFacts("RandomSampler", "independent draws; the baseline"),
    "qmc": PluginFacts(
        "QMCSampler",
        "a Sobol or Halton sequence: random, but evenly spread",
        ("qmc_type", "scramble"),
    ),
    "grid": PluginFacts(
        "ours", "every point of a grid once; needs lists, whole numbers, or ranges with a step"
    ),
    "nsga2": PluginFacts(
        "NSGAIISampler",
        "a genetic algorithm; for large budgets",
        ("population_size", "mutation_prob", "crossover_prob", "swapping_prob"),
    ),
}

PRUNERS: Final[Mapping[str, PluginFacts]] = {
    "hyperband": PluginFacts(
        "HyperbandPruner",
        "several successive halvings side by side, from hasty to patient",
        ("min_resource", "reduction_factor", "bootstrap_count", "n_startup_trials"),
    ),
    "median": PluginFacts(
        "MedianPruner",
        "a trial that is worse than half of the others were at the same point",
        ("n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials"),
    ),
    "percentile": PluginFacts(
        "PercentilePruner",
        "the same with another share than half: keeps the best 25 % unless told",
        ("percentile", "n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials"),
    ),
    "successive_halving": PluginFacts(
        "SuccessiveHalvingPruner",
        "only the best third at each rung goes on to the next",
        (
            "min_resource",
            "reduction_factor",
            "min_early_stopping_rate",
            "bootstrap_count",
            "n_startup_trials",
        ),
    ),
    "patient": PluginFacts(
        "PatientPruner",
        "asks the pruner `wrapped` (median) only once a trial has not improved for a while",
        ("wrapped", "patience", "min_delta"),
    ),
    "wilcoxon": PluginFacts(
        "WilcoxonPruner",
        "a trial that was worse than the best one at nearly every evaluation so far",
        ("p_threshold", "n_startup_steps"),
    ),
    "none": PluginFacts("NopPruner", "every trial runs to its end"),
}


def study_keys() -> list[Key]:
    """Every key that a study file may have, in the order of the schema."""
    keys = []
    for section, field in StudySpec.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, BaseModel)
        keys += [
            _key(section, name, inner) for name, inner in option_fields(field.annotation).items()
        ]
    return keys


def filled(text: str) -> str:
    """A document with the content of every marked block replaced by what the schema says now.

    Raises:
        ValueError: A marker names no block that there is.
    """
    blocks = _blocks()

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in blocks:
            raise ValueError(f"no block is called {name!r}; there are {', '.join(blocks)}")
        return f"<!-- begin {name} -->\n{blocks[name]}\n<!-- end {name} -->"

    pattern = r"<!-- begin (?P<name>[\w-]+) -->\n.*?<!-- end (?P=name) -->"
    return re.sub(pattern, fill, text, flags=re.DOTALL)


def main() -> int:
    """Write the tables anew."""
    for path in DOCUMENTS:
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stdout.write(f"{path.name} is up to date\n")
    return 0


def _blocks() -> dict[str, str]:
    keys = study_keys()
    blocks = {
        "study-file-keys": _table(
            ("key", "default", "meaning"),
            ((f"`{key.section}.{key.name}`", key.default, key.meaning) for key in keys),
        ),
        "searchable-options": ", ".join(f"`{name}`" for name in SEARCHABLE_OPTIONS),
        "samplers": _plugins(SAMPLERS),
        "pruners": _plugins(PRUNERS),
        "formats": _table(
            ("what is kept", "format", "where the number stands", "one of a newer version"),
            ((kept.what, str(kept.number), kept.place, kept.newer) for kept in FORMATS),
        ),
    }
    for section in StudySpec.model_fields:
        of_section = [key for key in keys if key.section == section]
        blocks[f"{section}-keys"] = _section_table(of_section)
    package = _ROOT / "hpo"
    for folder in (package, *sorted(path.parent for path in package.glob("*/**/__init__.py"))):
        name = folder.relative_to(_ROOT).as_posix().replace("/", "-")
        blocks[f"modules-of-{name}"] = _modules(folder)
    return blocks


def _modules(folder: Path) -> str:
    """The modules of a folder with the first sentence that each says of itself."""
    rows = []
    for path in sorted(folder.glob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if docstring:
            sentence = " ".join(docstring.split("\n\n")[0].split())
            rows.append((f"`{path.relative_to(_ROOT).as_posix()}`", sentence))
    return _table(("file", "what it holds"), rows)


def _section_table(keys: Sequence[Key]) -> str:
    header = ["key", "type", "default", "bounds", "meaning"]
    rows = [[f"`{k.name}`", k.kind, k.default, k.bounds, k.meaning] for k in keys]
    if any(key.searchable for key in keys):
        header.insert(1, "searchable")
        for row, key in zip(rows, keys, strict=True):
            row.insert(1, "yes" if key.searchable else "")
    return _table(header, rows)


def _plugins(plugins: Mapping[str, PluginFacts]) -> str:
    return _table(
        ("name", "Optuna's class", "in short", "options"),
        (
            (
                f"`{name}`",
                f"`{facts.optuna_class}`" if facts.optuna_class[0].isupper() else "our own",
                facts.meaning,
                ", ".join(f"`{option}`" for option in facts.options),
            )
            for name, facts in plugins.items()
        ),
    )


def _key(section: str, name: str, field: FieldInfo) -> Key:
    return Key(
        section=section,
        name=name,
        kind=_kind(name, field),
        default=_default(name, field),
        bounds=_bounds(field),
        meaning=field.description or "",
    )


def _kind(name: str, field: FieldInfo) -> str:
    for mark in field.metadata:
        if isinstance(mark, MemberOf):
            return _listed(mark.registry.ours)
    return _kind_of_type(name, field.annotation)


def _kind_of_type(name: str, annotation: object) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return _listed(get_args(annotation))
    if origin in (Union, UnionType):
        inner = [part for part in get_args(annotation) if part is not NoneType]
        return " or ".join(_kind_of_type(name, part) for part in inner)
    if origin is Annotated:
        return _kind_of_type(name, get_args(annotation)[0])
    if origin is list:
        return f"list of {_kind_of_type(name, *get_args(annotation))}"
    if name in ("sampler", "pruner"):
        return "name or table"
    words = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    return words.get(annotation, "table") if isinstance(annotation, type) else "table"


def _listed(values: Iterable[str]) -> str:
    return " · ".join(f"`{value}`" for value in values)


def _default(name: str, field: FieldInfo) -> str:
    if name == "space":
        return ", ".join(f"`{option}`" for option in DEFAULT_SPACE)
    value = field.default.name if name in ("sampler", "pruner") else field.default
    if value is None or value == "":
        return "–"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _bounds(field: FieldInfo) -> str:
    words = []
    for limit in field.metadata:
        match limit:
            case Ge():
                words.append(f"≥ {limit.ge:,}")
            case Gt():
                words.append(f"> {limit.gt:,}")
            case Le():
                words.append(f"≤ {limit.le:,}")
            case Lt():
                words.append(f"< {limit.lt:,}")
    return ", ".join(words)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
