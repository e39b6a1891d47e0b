"""Files that are not UTF-8: what each language's programs write is told apart, also between English lines."""

from __future__ import annotations

from encodings.aliases import aliases
from pathlib import Path

import pytest

from hpo.data.files import read_file
from hpo.data.formats.options import ReadOptions
from hpo.data.row_stream import open_rows
from hpo.errors import HpoError
from hpo.spec.encodings import is_encoding
from hpo.spec.study_file import find_study_file, read_study
from tests.data.languages import ENGLISH, SENTENCES

CASES = [(name, lines) for names, lines in SENTENCES.items() for name in names]
MIXES = {
    "alone": lambda lines: lines * 4,
    "among many English lines": lambda lines: (*ENGLISH * 5, *lines, *ENGLISH * 5),
    "beside English words": lambda lines: [f"{a} {b}" for a, b in zip(lines, ENGLISH, strict=True)],
    "run into English words": lambda lines: [
        f"{a}{b}" for a, b in zip(lines, ENGLISH, strict=True)
    ],
}


def table(texts: list[str] | tuple[str, ...]) -> str:
    rows = "".join(f'"{text}",{number % 2}\n' for number, text in enumerate(texts))
    return f"text,label\n{rows}"


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize(("encoding", "lines"), CASES, ids=[name for name, _ in CASES])
def test_texts_are_read_as_they_were_written(
    tmp_path: Path, encoding: str, lines: tuple[str, ...], mix: str
) -> None:
    path, texts = tmp_path / "it.csv", MIXES[mix](lines)
    path.write_bytes(table(texts).encode(encoding))
    read = read_file(path)
    assert read.column("text") == list(texts)
    [warning] = read.warnings
    shown = warning.partition("(“")[2].partition("”)")[0]
    assert shown
    assert any(shown in text or text in shown for text in table(texts).splitlines())
    assert "data.encoding sets it" in warning


def test_one_chinese_sentence_among_long_english_ones_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "it.csv"
    texts = [f"这部电影非常好看{' '.join(ENGLISH)}"] * 20
    path.write_bytes(table(texts).encode("gb18030"))
    assert read_file(path).column("text") == texts


@pytest.mark.parametrize(
    "text", ["naïve café", "à la carte", "50 € or £5", "It’s “great” – really…", "Müller"]
)
def test_a_few_signs_are_taken_for_what_windows_writes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "it.csv"
    path.write_bytes(table([*ENGLISH, text]).encode("cp1252"))
    assert read_file(path).column("text")[-1] == text
    assert "read as cp1252" in read_file(path).warnings[0]


@pytest.mark.parametrize(
    "name", sorted({*aliases, *aliases.values(), "idna", "punycode", "undefined"})
)
def test_any_codec_reads_what_it_wrote_or_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "it.csv"
    if not is_encoding(name):
        with pytest.raises(HpoError, match="an encoding that Python knows"):
            read_study(find_study_file("quickstart"), {"data.encoding": name})
        return
    spec = read_study(find_study_file("quickstart"), {"data.encoding": name})
    path.write_bytes(table(ENGLISH).encode(name))
    assert spec.data.encoding == name
    assert read_file(path, ReadOptions(encoding=name)).column("text") == list(ENGLISH)
    with open_rows(path, ReadOptions(encoding=name)) as stream:
        assert [text for part in stream.parts for text in part.columns["text"]] == list(ENGLISH)


@pytest.mark.parametrize("name", ["hex", "base64", "rot13", "zlib", "idna", "undefined", "utf-99"])
def test_codecs_of_no_text_are_refused(name: str) -> None:
    with pytest.raises(HpoError, match="an encoding that Python knows"):
        read_study(find_study_file("quickstart"), {"data.encoding": name})
