"""The head of a file of delimited text: its delimiter, the names of its columns, and where its rows begin."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa

from metaplatform.errors import DataError
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.specs.entities.csv_source import CsvSource

_DELIMITERS = (",", ";", "\t", "|")
_ARCHIVE, _OLD_WORKBOOK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_LINE = 2_000_000
"""Bytes: DuckDB reads no line that is longer."""


@dataclass(frozen=True)
class CsvHead:
    """What stands above the rows: ``skip`` counts the lines there, comments left out."""

    delimiter: str
    columns: tuple[str, ...]
    skip: int


def read_head(file: OpenedFile, spec: CsvSource) -> CsvHead:
    """Return the head of a file, of which no more than the first lines are read.

    Raises:
        DataError: if there is no such line, or it is not text in UTF-8.
    """
    lines, skip = _lines(file, spec)
    candidates = (spec.delimiter,) if spec.delimiter else _DELIMITERS
    heads = [CsvHead(delimiter, _columns(lines, delimiter, spec), skip) for delimiter in candidates]
    declared = set(spec.columns_of_files)
    chosen = max(heads, key=lambda head: (len(set(head.columns) & declared), len(head.columns)))
    if not spec.header_lines and declared:
        return CsvHead(chosen.delimiter, _declared_in_order(file, spec, chosen.columns), skip)
    return chosen


def _declared_in_order(file: OpenedFile, spec: CsvSource, values: Sequence[str]) -> tuple[str, ...]:
    names = tuple(spec.columns_of_files)
    if len(values) != len(names):
        raise DataError(
            owner=spec.ref,
            culprit=f"{file.name} has {len(values)} values in its first line, and {len(names)} columns are declared",
            fix="declare a column for each value, in their order, or correct `delimiter`",
        )
    return names


def _columns(lines: Sequence[str], delimiter: str, spec: CsvSource) -> tuple[str, ...]:
    """Return the names that header lines give, or numbered ones for the values of a first row."""
    escape = spec.escape if spec.escape != spec.quote else None
    quoted: Any = {"quotechar": spec.quote} if spec.quote else {"quoting": csv.QUOTE_NONE}
    rows = list(csv.reader(lines, delimiter=delimiter, escapechar=escape, **quoted))
    if not spec.header_lines:
        return tuple(f"column_{number}" for number, _ in enumerate(rows[0], start=1))
    names = _joined(rows)
    if spec.row_names is None:
        return names
    return (spec.row_names, *(names[1:] if names and not names[0].strip() else names))


def _joined(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the names of several header lines as one for each column."""
    if len(rows) == 1:
        return tuple(rows[0])
    width = max(map(len, rows))
    filled = []
    for row in rows[:-1]:
        above = ""
        filled.append([above := name.strip() or above for name in (*row, *[""] * (width - len(row)))])
    last = [name.strip() for name in (*rows[-1], *[""] * (width - len(rows[-1])))]
    return tuple("_".join(filter(None, parts)) for parts in zip(*filled, last, strict=True))


def _lines(file: OpenedFile, spec: CsvSource) -> tuple[list[str], int]:
    """Return the header lines, the first row where there are none, and how many lines the rows come after."""
    found: list[str] = []
    skip = 0
    for line in _text_lines(file, spec):
        if skip < spec.skip_lines or (not found and not line.strip()):
            skip += 1
            continue
        found.append(line)
        skip += bool(spec.header_lines)
        if len(found) >= (spec.header_lines or 1):
            return found, skip
    raise _without_header(file, spec, found)


def _without_header(file: OpenedFile, spec: CsvSource, found: Sequence[str]) -> DataError:
    if not spec.header_lines:
        return DataError(owner=spec.ref, culprit=f"{file.name} has no row", fix="put one there, or take the file away")
    if found or spec.skip_lines:
        culprit = f"{file.name} ends before the header lines that `skip_lines` and `header_lines` tell of"
        return DataError(owner=spec.ref, culprit=culprit, fix="correct them")
    fix = "give its columns names in the first line, or write `header_lines: 0` and declare `columns` in their order"
    return DataError(owner=spec.ref, culprit=f"{file.name} has no header line", fix=fix)


def _text_lines(file: OpenedFile, spec: CsvSource) -> Iterator[str]:
    """Yield the lines of a file as they come, but those that are comments; what follows a comment's mark is cut off."""
    told = _before_comment(spec) if spec.comment else None
    with pa.input_stream(str(file.path), compression="detect") as stream:
        raw = io.BufferedReader(cast("io.RawIOBase", stream))
        while line := raw.readline(_LONGEST_LINE + 1):
            if len(line) > _LONGEST_LINE:
                fix = "close its quotes, or split it"
                culprit = f"{file.name} has a line of more than two million characters"
                raise DataError(owner=spec.ref, culprit=culprit, fix=fix)
            yield from _decoded(line, file, spec, told)


def _before_comment(spec: CsvSource) -> re.Pattern[str]:
    """Return what finds a line as far as its comment: a mark in quotes begins none."""
    quote, mark = re.escape(spec.quote), re.escape(spec.comment or "")
    return re.compile(rf"({quote}[^{quote}]*{quote}|[^{mark}])*" if quote else rf"[^{mark}]*")


def _decoded(line: bytes, file: OpenedFile, spec: CsvSource, told: re.Pattern[str] | None) -> Iterator[str]:
    """Yield the lines in some bytes: old files end them with a carriage return alone."""
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        culprit, fix = _why_no_text(file, line)
        raise DataError(owner=spec.ref, culprit=culprit, fix=fix) from error
    for each in text.rstrip("\r\n").split("\r") or [""]:
        if told is None:
            yield each
        elif not each.lstrip().startswith(str(spec.comment)):
            yield (told.match(each) or [each])[0]


def _why_no_text(file: OpenedFile, head: bytes) -> tuple[str, str]:
    """Return what is wrong with a file whose first lines are not text in UTF-8, and the fix."""
    if head.startswith((_OLD_WORKBOOK, _ARCHIVE)):
        return f"{file.name} is a workbook or an archive, whatever its name", "export the sheet as CSV, in UTF-8"
    if head.startswith(_UTF_16):
        return f"{file.name} is not UTF-8: it is UTF-16", "convert the file to UTF-8, or write `encoding: utf-16`"
    fix = "convert the file to UTF-8, or declare its `encoding`, such as cp1252"
    return f"{file.name} is not UTF-8", fix
