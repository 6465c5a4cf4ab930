"""Delimited text: rows as they stand, and lines that are no row kept aside with their reason."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.specs.ingestion import CsvSource, FileSource

REJECT_COLUMNS: pa.Schema = pa.schema(
    [("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("text", pa.string())]  # type: ignore[arg-type]
)
"""A line that is no row: its file, its 1-based number, why not, and what it says."""
_DELIMITERS = (",", ";", "\t", "|")
# No text has it, so that a line comes as one field.
_NO_DELIMITER = "\x1f"
_QUOTE = '"'
_ARCHIVE, _OLD_WORKBOOK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UNTYPED = '"NULL"'


def read_csv_files(backend: Backend, spec: CsvSource, labels: Mapping[Path, str]) -> tuple[ibis.Table, ibis.Table]:
    """Return the rows of ``labels``' files, and their rejected lines (:data:`REJECT_COLUMNS`), as tables.

    With declared columns every value is text; without, types are inferred from all rows. Files may have
    their columns in different orders. Beside others, a file without a byte is a reject. ``labels`` says what
    each file is called in messages.

    Raises:
        DataError: if a header does not go with the declared columns, or a file is not UTF-8.
    """
    owner = f"raw.{spec.name}"
    held = with_content(labels)
    heads = {path: read_header(backend.con, path, spec, label=labels[path]) for path in held}
    check_headers({labels[path]: header for path, (_, header) in heads.items()}, spec)
    groups: dict[tuple[str, tuple[str, ...]], list[Path]] = {}
    for path, head in heads.items():
        groups.setdefault(head, []).append(path)
    tables = [
        _read_group(backend.con, spec, paths, delimiter=delimiter, header=header)
        for (delimiter, header), paths in groups.items()
    ]
    rows = _union(backend.con, tables)
    rejects = _rejects(backend.con, tables, labels, owner=owner)
    rejects = pa.concat_tables([rejects, _empty_files([label for path, label in labels.items() if path not in held])])
    return backend.table(rows), backend.create_table(gen_name("rejects"), rejects)


def check_columns(found: Sequence[str], declared: Mapping[str, str], *, frozen: bool, owner: str, culprit: str) -> None:
    """Compare the columns of a file with those declared, if any are.

    Raises:
        DataError: listing what is missing, what is new (where ``frozen``), or what is there twice.
    """
    folded = [name.casefold() for name in found]
    twice = sorted({name for name in found if folded.count(name.casefold()) > 1})
    missing = [name for name in declared if name not in found]
    new = [name for name in found if name not in declared] if declared and frozen else []
    faults = [("twice", twice), ("missing", missing), ("not declared", new)]
    if any(names for _, names in faults):
        listed = "; ".join(
            f"columns {fault}: {', '.join(repr(name) for name in names)}" for fault, names in faults if names
        )
        raise DataError(
            owner=owner,
            culprit=f"{culprit}: {listed}",
            fix="mend the file, or declare its columns as they are (`contract: evolve` adds new ones by itself)",
        )


def check_headers(headers: Mapping[str, Sequence[str]], spec: FileSource) -> None:
    """Compare the columns of each file, by its name for people, with those declared, if any are.

    Where the source evolves, a file may lack what another file has.

    Raises:
        DataError: as :func:`check_columns` does, for the first file at fault.
    """
    frozen = spec.contract == "freeze"
    somewhere = {name for found in headers.values() for name in found}
    for label, found in headers.items():
        spared = [] if frozen else [name for name in spec.columns if name in somewhere and name not in found]
        check_columns([*found, *spared], spec.columns, frozen=frozen, owner=f"raw.{spec.name}", culprit=label)


def with_content(paths: Iterable[Path]) -> list[Path]:
    """Return the files that have a byte at least; all of them if none has, for the first to tell what is wrong."""
    every = list(paths)
    return [path for path in every if path.stat().st_size] or every


def _empty_files(labels: Sequence[str]) -> pa.Table:
    """Return a reject for each file without a byte: an export that found nothing, or one that broke off."""
    rejects = [{"file": label, "line": 1, "reason": "the file is empty", "text": ""} for label in labels]
    return pa.Table.from_pylist(rejects, schema=REJECT_COLUMNS)


def read_header(
    connection: duckdb.DuckDBPyConnection, path: Path, spec: CsvSource, *, label: str
) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter and the column names of a file, from its first line.

    Raises:
        DataError: if there is no such line, or it is not UTF-8.
    """
    owner = f"raw.{spec.name}"
    files: Any = [str(path)]
    try:
        # A result not read to its end keeps its transaction open, which the next error would then abort.
        first = connection.read_csv(
            files,
            columns={"line": "VARCHAR"},
            header=False,
            auto_detect=False,
            delimiter=_NO_DELIMITER,
            quotechar="",
            escapechar="",
            strict_mode=False,
        )
        line = first.limit(1).fetchall()
    except duckdb.InvalidInputException as error:
        culprit, fix = _why_no_text(path, label, str(error))
        raise DataError(owner=owner, culprit=culprit, fix=fix) from error
    if not line or not line[0][0]:
        raise DataError(
            owner=owner, culprit=f"{label} has no header line", fix="give its columns names in the first line"
        )
    headers = [
        (delimiter, tuple(next(csv.reader([line[0][0]], delimiter=delimiter))))
        for delimiter in ((spec.delimiter,) if spec.delimiter else _DELIMITERS)
    ]
    return max(headers, key=lambda header: (len(set(header[1]) & set(spec.columns)), len(header[1])))


def _why_no_text(path: Path, label: str, told: str) -> tuple[str, str]:
    """Return what is wrong with a file whose first line DuckDB cannot read, and the fix."""
    with path.open("rb") as file:
        head = file.read(len(_OLD_WORKBOOK))
    if head == _OLD_WORKBOOK or head.startswith(_ARCHIVE):
        return f"{label} is a workbook or an archive, whatever its name", "export the sheet as CSV, in UTF-8"
    if "utf-8" in told.lower() or "unicode" in told.lower():
        encoding = ": it is UTF-16" if head.startswith(_UTF_16) else ""
        return f"{label} is not UTF-8{encoding}", "convert the file to UTF-8"
    # The line itself, of any length, is left out.
    lines = [line for line in told.splitlines() if not line.startswith("Original Line")]
    return f"{label}: {' '.join(lines[:2])[:300]}", "mend the file's first lines"


def _read_group(
    connection: duckdb.DuckDBPyConnection,
    spec: CsvSource,
    paths: list[Path],
    *,
    delimiter: str,
    header: tuple[str, ...],
) -> str:
    """Read files of one header into a table, and their rejects into two more named after it; return its name."""
    name = gen_name("rows")
    files: Any = [str(path) for path in paths]
    types: dict[str, Any] = {"sample_size": -1}
    if spec.columns:
        types = {"columns": dict.fromkeys(header, "VARCHAR"), "auto_detect": False}
    relation = connection.read_csv(
        files,
        header=True,
        delimiter=delimiter,
        quotechar=_QUOTE,
        escapechar=_QUOTE,
        na_values=list(spec.null_values),
        store_rejects=True,
        rejects_table=f"{name}_errors",
        rejects_scan=f"{name}_scans",
        **types,
    )
    untyped_as_text(relation).create(name)
    return name


def untyped_as_text(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return the relation with its columns that have no value anywhere, and so no type to infer, as text."""
    columns = []
    for name, kind in zip(relation.columns, map(str, relation.types), strict=True):
        # Not by ColumnExpression, which takes a quote in a name for one around it.
        value = exp.column(name, quoted=True)
        columns.append(exp.alias_(exp.cast(value, "varchar"), name, quoted=True) if kind == _UNTYPED else value)
    return relation.project(", ".join(column.sql("duckdb") for column in columns))


def _union(connection: duckdb.DuckDBPyConnection, tables: list[str]) -> str:
    if len(tables) == 1:
        return tables[0]
    name = gen_name("rows")
    connection.execute(f"CREATE TABLE {name} AS " + " UNION ALL BY NAME ".join(f"FROM {table}" for table in tables))
    return name


def _rejects(
    connection: duckdb.DuckDBPyConnection, tables: list[str], labels: Mapping[Path, str], *, owner: str
) -> pa.Table:
    """Return the rejected lines of all reads, one row a line.

    Raises:
        DataError: if a line is not UTF-8: then the whole file is in another encoding.
    """
    names = {str(path): label for path, label in labels.items()}
    rejects: dict[tuple[str, int], dict[str, Any]] = {}
    for table in tables:
        found = connection.execute(
            "SELECT file_path, line, error_type::VARCHAR, coalesce(column_name, ''), error_message, csv_line "  # noqa: S608
            f"FROM {table}_errors JOIN {table}_scans USING (scan_id, file_id) ORDER BY ALL"
        ).fetchall()
        for file, line, kind, column, message, text in found:
            if kind == "INVALID ENCODING":
                raise DataError(
                    owner=owner, culprit=f"{names[file]}: line {line} is not UTF-8", fix="convert the file to UTF-8"
                )
            reason = f"{kind.lower()}: {message}" + (f" (column '{column}')" if column else "")
            reject = rejects.setdefault((file, line), {"file": names[file], "line": line, "reason": "", "text": text})
            reject["reason"] = "; ".join(filter(None, (reject["reason"], reason)))
    return pa.Table.from_pylist(list(rejects.values()), schema=REJECT_COLUMNS)
