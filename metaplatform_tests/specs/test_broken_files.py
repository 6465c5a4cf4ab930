"""Broken books that no mark in a line can express: encodings, line ends, and what is no file of text."""

import codecs
from pathlib import Path

import pytest

from metaplatform.specs.loading import read_book

BOOK = "tables:\n  müller:\n    sql: select 1 as x\n  b:\n    sql: select custmer from raw.a\n"
SOURCE = "sources:\n  a: {kind: csv, path: a.csv, columns: {customer: varchar}}\n"


def found(folder: Path) -> list[tuple[str, int, str, str]]:
    _, issues = read_book(folder)
    errors = [issue for issue in issues if issue.severity == "error" and issue.location]
    return [(issue.location.file, issue.location.line, issue.rule, issue.culprit) for issue in errors if issue.location]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "metadata"
    made.mkdir()
    (made / "a.yaml").write_text(SOURCE)
    return made


TWO = [("metadata/z.yaml", 2, "invalid-value", "müller"), ("metadata/z.yaml", 5, "unknown-column", "custmer")]


@pytest.mark.parametrize(
    "data",
    [
        BOOK.encode(),
        codecs.BOM_UTF8 + BOOK.encode(),
        BOOK.replace("\n", "\r\n").encode(),
        codecs.BOM_UTF8 + BOOK.replace("\n", "\r\n").encode(),
        BOOK.rstrip("\n").encode(),
        BOOK.replace("müller", '"m\\u00fcller"').encode(),
    ],
    ids=["utf-8", "mark", "windows", "windows with mark", "no last line end", "escaped"],
)
def test_line_ends_and_byte_order_marks_move_no_line(folder: Path, data: bytes):
    (folder / "z.yaml").write_bytes(data)
    assert found(folder) == TWO


def test_old_line_ends_of_a_mac_are_line_ends_to_yaml(folder: Path):
    (folder / "z.yaml").write_bytes(BOOK.replace("\n", "\r").encode())
    assert [each[1:] for each in found(folder)] == [each[1:] for each in TWO]


@pytest.mark.parametrize(
    ("data", "line", "rule"),
    [
        (BOOK.encode("latin-1"), 2, "not-utf8"),
        (BOOK.encode("cp1252"), 2, "not-utf8"),
        (BOOK.encode("utf-16"), 1, "not-utf8"),
        (BOOK.encode("utf-16-le"), 2, "not-utf8"),
        (BOOK.encode("utf-32"), 1, "not-utf8"),
        (BOOK.replace("ü", "u").encode("utf-16-le"), 1, "yaml-syntax"),
        (BOOK.replace("ü", "\0").encode(), 2, "yaml-syntax"),
        (b"tables:\n  a: {sql: \xed\xa0\x80}\n", 2, "not-utf8"),
        (b'tables:\n  a: {sql: "\\ud800"}\n', 2, "yaml-syntax"),
        (b"tables:\n  a\xe2\x80: 1\n", 2, "not-utf8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 1, "not-utf8"),
        (b"PK\x03\x04\x14\0\0\0", 1, "yaml-syntax"),
        (b"%YAML 3.9\n---\ntables: {}\n", 1, "yaml-syntax"),
        (b"%!PS\n", 1, "yaml-syntax"),
        (b"tables: !!python/object/apply:os.system [x]\n", 1, "wrong-type"),
        (b"tables:\n  a: {sql: 'select 1 as x' \x7f}\n", 2, "yaml-syntax"),
    ],
)
def test_what_is_no_text_of_a_book_is_one_fault_at_its_line(folder: Path, data: bytes, line: int, rule: str):
    (folder / "z.yaml").write_bytes(data)
    assert [each[:3] for each in found(folder)] == [("metadata/z.yaml", line, rule)]


def test_a_folder_and_a_broken_link_that_are_called_like_files_are_told(folder: Path):
    (folder / "y.yaml").mkdir()
    (folder / "z.yaml").symlink_to("gone.yaml")
    (folder / "y.yaml" / "inside.yaml").write_text(BOOK)
    assert [each[:3] for each in found(folder)] == [
        ("metadata/y.yaml/inside.yaml", 2, "invalid-value"),
        ("metadata/y.yaml/inside.yaml", 5, "unknown-column"),
        ("metadata/z.yaml", 1, "unreadable-file"),
    ]


def test_names_that_differ_by_unicode_alone_are_no_names(folder: Path):
    names = ("mu\u0308ller", "m\u00fcller", "\ufb01le")
    book = "sources:\n" + "".join(f"  {name}: {{kind: csv, path: x}}\n" for name in names)
    (folder / "z.yaml").write_text(book, encoding="utf-8")
    assert [each[1:3] for each in found(folder)] == [(2, "invalid-value"), (3, "invalid-value"), (4, "invalid-value")]


def test_columns_that_differ_by_unicode_normalisation_alone_are_told_apart_with_a_hint(folder: Path):
    book = "sources:\n  s: {kind: csv, path: x, columns: {stra\u00dfe_u\u0308: bigint}, key: [stra\u00dfe_\u00fc]}\n"
    (folder / "z.yaml").write_text(book, encoding="utf-8")
    (issue,) = [issue for issue in read_book(folder)[1] if issue.severity == "error"]
    assert (issue.rule, issue.nearest) == ("unknown-column", "stra\u00dfe_u\u0308")
