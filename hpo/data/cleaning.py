"""Cleaning of texts: rules of the tokenizers library, so that an exported tokenizer cleans by itself.

What changes a text (tags, entities, URLs, normal form, case, white space) is one chain of the library's
normalisers. It runs over the texts before they are looked at, and is written into the exported
tokenizer, which then does the same to every text that anybody gives it, without hpo.
"""

from __future__ import annotations

import html.entities
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from hpo.data.source_tables import SourceTables
from hpo.data.table import Table

if TYPE_CHECKING:
    from tokenizers.normalizers import Normalizer

    from hpo.spec.cleaning import CleaningSection

_TAG: Final = r"</?[A-Za-z][^<>]*>|<!--.*?-->"
_URL: Final = r"(?:https?://|www\.)[^\s<>\"]+"
# What Barbieri et al., 2020, write for every URL, and pretrained vocabularies have as one token.
_MASK: Final = "http"


@dataclass(frozen=True)
class Step:
    """One kind of cleaning.

    Attributes:
        what: What it changes, in words for a warning.
        normalizer: Does it.
    """

    what: str
    normalizer: Normalizer


def cleaning_steps(section: CleaningSection) -> tuple[Step, ...]:
    """The steps that a study asks for, in the order in which they are done."""
    return tuple(_steps(section))


@lru_cache(maxsize=8)  # which has hundreds of patterns to compile
def normalizer_of(section: CleaningSection) -> Normalizer | None:
    """All that is done to a text, for a tokenizer to do; None where nothing is."""
    from tokenizers.normalizers import Sequence as Chain

    steps = cleaning_steps(section)
    return Chain([step.normalizer for step in steps]) if steps else None


def cleaned_source(
    source: SourceTables, column: str, section: CleaningSection
) -> tuple[SourceTables, tuple[str, ...]]:
    """The tables with clean texts.

    Args:
        column: Of the texts.

    Returns:
        The tables, and warnings that count the texts which each step changed.
    """
    steps = cleaning_steps(section)
    if not steps:
        return source, ()
    warnings: list[str] = []

    def cleaned(table: Table | None) -> Table | None:
        if table is None or column not in table.names:
            return table
        clean, notes = _cleaned_table(table, column, steps)
        warnings.extend(notes)
        return clean

    train, validation, test = (cleaned(t) for t in (source.train, source.validation, source.test))
    assert train is not None, "there is a training split always"
    return replace(source, train=train, validation=validation, test=test), tuple(warnings)


def clean_texts(texts: Sequence[str], section: CleaningSection) -> list[str]:
    """Texts as a model that was trained on clean ones reads them."""
    normalizer = normalizer_of(section)
    return [normalizer.normalize_str(text) for text in texts] if normalizer else list(texts)


def _cleaned_table(
    table: Table, column: str, steps: Sequence[Step]
) -> tuple[Table, tuple[str, ...]]:
    values = table.column(column)
    changed = dict.fromkeys((step.what for step in steps), 0)
    for index, value in enumerate(values):
        if not (isinstance(value, str) and _is_unicode(value)):
            continue  # which whoever reads the column tells of
        text = value
        for step in steps:
            clean = step.normalizer.normalize_str(text)
            changed[step.what] += clean != text
            text = clean
        values[index] = text
    warnings = tuple(
        f"{table.place}: {what} in {count:,} of {len(values):,} texts"
        for what, count in changed.items()
        if count
    )
    read = table.column
    return replace(table, column=lambda name: values if name == column else read(name)), warnings


def _steps(section: CleaningSection) -> Iterator[Step]:
    from tokenizers import Regex, normalizers

    if section.html:
        # Tags first: what an entity stands for is text, and no tag.
        yield Step("HTML tags taken out", normalizers.Replace(Regex(f"(?m:{_TAG})"), " "))
        entities = [normalizers.Replace(Regex(p), c) for p, c in _entities()]
        yield Step("HTML entities written as characters", normalizers.Sequence(entities))
    if section.urls == "mask":
        yield Step("URLs masked", normalizers.Replace(Regex(_URL), _MASK))
    if section.urls == "remove":
        yield Step("URLs taken out", normalizers.Replace(Regex(_URL), " "))
    if section.unicode == "NFC":
        yield Step("characters brought to the normal form NFC", normalizers.NFC())
    if section.unicode == "NFKC":
        yield Step("characters brought to the normal form NFKC", normalizers.NFKC())
    if section.lowercase:
        yield Step("capitals made small", normalizers.Lowercase())
    if section.whitespace:
        spaces = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
        yield Step("white space evened out", normalizers.Sequence(spaces))


def _entities() -> Iterator[tuple[str, str]]:
    """A pattern for each character that HTML has a name for, and the character; the ampersand last.

    Its entities begin all others that were escaped twice, of which one layer is to go.
    """
    names: dict[int, list[str]] = {0x27: ["apos"]}
    for name in html.entities.name2codepoint:  # the few hundred that occur, as HTML 5 means them
        names.setdefault(ord(html.entities.html5[f"{name};"]), []).append(name)
    for code in sorted(names, key=lambda code: (code == ord("&"), code)):
        hexadecimal = "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in f"{code:x}")
        spellings = [*names[code], f"#0*{code}", f"#[xX]0*{hexadecimal}"]
        yield f"&(?:{'|'.join(spellings)});", chr(code)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
