"""Delimited text: rows as they stand, and lines that are not rows kept aside with their reason."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.resources.sources.file_scans import file_type, scan
from metaplatform.resources.sources.folder_columns import FolderValues, folder_values, union_of, with_folder_values
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.entities.ingestion import CsvSource

REJECT_COLUMNS: pa.Schema = pa.schema(
    [("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("text", pa.string())]  # type: ignore[arg-type]
)
"""A line that is not a row: its file, its 1-based number, why not, and what it says."""
_DELIMITERS = (",", ";", "\t", "|")
# No text has it, so that a line comes as one field.
_NO_DELIMITER = "\x1f"
_QUOTE = '"'
_ARCHIVE, _OLD_WORKBOOK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_csv_files(
    connection: duckdb.DuckDBPyConnection, spec: CsvSource, files: Sequence[OpenedFile]
) -> tuple[str, pa.Table]:
    """Return a table's name with the rows of the files, all text, and their rejected lines (:data:`REJECT_COLUMNS`).

    Each row has the path of its file beside. Files may have their columns in different orders. Beside others, a file
    without a byte is a reject.

    Raises:
        DataError: if a header does not go with the declared columns, or a file is not UTF-8.
    """
    held = with_content(files)
    heads = {file.name: read_header(connection, file, spec) for file in held}
    check_headers({name: header for name, (_, header) in heads.items()}, spec)
    groups: dict[tuple[tuple[str, tuple[str, ...]], FolderValues], list[OpenedFile]] = {}
    for file in held:
        groups.setdefault((heads[file.name], folder_values(file.origin, spec)), []).append(file)
    tables, paths = [], file_type(connection, held)
    for ((delimiter, header), values), members in groups.items():
        name = gen_name("rows")
        rows = csv_rows(connection, spec, members, delimiter=delimiter, header=header, rejects=name, paths=paths)
        with_folder_values(rows, values).create(name)
        tables.append(name)
    rejects = _rejects(connection, tables, files, owner=f"raw.{spec.name}")
    empty = _empty_files([file.name for file in files if file not in held])
    return union_of(connection, tables), pa.concat_tables([rejects, empty])


def csv_rows(
    connection: duckdb.DuckDBPyConnection,
    spec: CsvSource,
    files: Sequence[OpenedFile],
    *,
    delimiter: str,
    header: Sequence[str],
    rejects: str,
    paths: str | None = None,
) -> duckdb.DuckDBPyRelation:
    """Return the rows of files of one header, as text; rejected lines go to two tables named after ``rejects``.

    ``paths`` is the type of the files' paths (:func:`file_type`), where each row is to have its own.
    """
    text = exp.Literal.string
    columns = [exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=text("VARCHAR")) for name in header]
    options: dict[str, exp.Expr] = {
        "columns": exp.Struct(expressions=columns),
        "auto_detect": exp.false(),
        "header": exp.true(),
        "delim": text(delimiter),
        "quote": text(_QUOTE),
        "escape": text(_QUOTE),
        "hive_partitioning": exp.false(),
        "store_rejects": exp.true(),
        "rejects_table": text(f"{rejects}_errors"),
        "rejects_scan": text(f"{rejects}_scans"),
    }
    if spec.null_values:
        options["nullstr"] = exp.Array(expressions=[text(value) for value in spec.null_values])
    return connection.sql(scan("read_csv", files, options, file_type=paths).sql("duckdb"))


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
            fix="fix the file, or declare its columns as they are (`contract: evolve` adds new ones by itself)",
        )


def check_headers(headers: Mapping[str, Sequence[str]], spec: SourceSpec) -> None:
    """Compare the columns of each file, by its name for people, with those declared, if any are.

    Where the source evolves, a file may lack what another file has. No file has a column that its folders say.

    Raises:
        DataError: as :func:`check_columns` does, for the first file at fault.
    """
    frozen = spec.contract == "freeze"
    declared = spec.columns_of_files
    somewhere = {name for found in headers.values() for name in found}
    for label, found in headers.items():
        spared = [] if frozen else [name for name in declared if name in somewhere and name not in found]
        check_columns([*found, *spared], declared, frozen=frozen, owner=f"raw.{spec.name}", culprit=label)
        both = [name for name in found if name.casefold() in {each.casefold() for each in spec.hive_columns}]
        if both:
            raise DataError(
                owner=f"raw.{spec.name}",
                culprit=f"{label} has the column '{both[0]}' itself, which `hive_columns` takes from its folder",
                fix="take it out of `hive_columns`, or rename it in the files",
            )


def with_content(files: Iterable[OpenedFile]) -> list[OpenedFile]:
    """Return the files that have a byte at least; all of them if none has, for the first to tell what is wrong."""
    every = list(files)
    return [file for file in every if file.path.stat().st_size] or every


def _empty_files(labels: Sequence[str]) -> pa.Table:
    """Return a reject for each file without a byte: an export that found nothing, or one that broke off."""
    rejects = [{"file": label, "line": 1, "reason": "the file is empty", "text": ""} for label in labels]
    return pa.Table.from_pylist(rejects, schema=REJECT_COLUMNS)


def read_header(
    connection: duckdb.DuckDBPyConnection, file: OpenedFile, spec: CsvSource
) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter and the column names of a file, from its first line.

    Raises:
        DataError: if there is no such line, or it is not UTF-8.
    """
    owner = f"raw.{spec.name}"
    paths: Any = [str(file.path)]
    try:
        # A result not read to its end keeps its transaction open, which the next error would then abort.
        first = connection.read_csv(
            paths,
            columns={"line": "VARCHAR"},
            header=False,
            auto_detect=False,
            delimiter=_NO_DELIMITER,
            quotechar="",
            escapechar="",
            strict_mode=False,
            hive_partitioning=False,
        )
        line = first.limit(1).fetchall()
    except duckdb.InvalidInputException as error:
        culprit, fix = _why_no_text(file, str(error))
        raise DataError(owner=owner, culprit=culprit, fix=fix) from error
    if not line or not line[0][0]:
        raise DataError(
            owner=owner, culprit=f"{file.name} has no header line", fix="give its columns names in the first line"
        )
    headers = [
        (delimiter, tuple(next(csv.reader([line[0][0]], delimiter=delimiter))))
        for delimiter in ((spec.delimiter,) if spec.delimiter else _DELIMITERS)
    ]
    return max(headers, key=lambda header: (len(set(header[1]) & set(spec.columns)), len(header[1])))


def _why_no_text(file: OpenedFile, told: str) -> tuple[str, str]:
    """Return what is wrong with a file whose first line DuckDB cannot read, and the fix."""
    label = file.name
    with file.path.open("rb") as opened:
        head = opened.read(len(_OLD_WORKBOOK))
    if head == _OLD_WORKBOOK or head.startswith(_ARCHIVE):
        return f"{label} is a workbook or an archive, whatever its name", "export the sheet as CSV, in UTF-8"
    if "utf-8" in told.lower() or "unicode" in told.lower():
        encoding = ": it is UTF-16" if head.startswith(_UTF_16) else ""
        return f"{label} is not UTF-8{encoding}", "convert the file to UTF-8"
    if "maximum line size" in told.lower():
        return f"{label} has a line of more than two million characters", "close its quotes, or split it"
    return f"{label} does not begin with a line of text", "export it as CSV, in UTF-8, with a header line"


def _rejects(
    connection: duckdb.DuckDBPyConnection, tables: list[str], files: Sequence[OpenedFile], *, owner: str
) -> pa.Table:
    """Return the rejected lines of all reads, one row a line.

    Raises:
        DataError: if a line is not UTF-8: then the whole file is in another encoding.
    """
    names = {str(file.path): file.name for file in files}
    rejects: dict[tuple[str, int], dict[str, Any]] = {}
    for table in tables:
        found = connection.execute(
            "SELECT file_path, line, error_type::VARCHAR, coalesce(column_name, ''), error_message, csv_line "  # noqa: S608
            f"FROM {table}_errors JOIN {table}_scans USING (scan_id, file_id) ORDER BY ALL"
        ).fetchall()
        for path, line, kind, column, message, text in found:
            if kind == "INVALID ENCODING":
                raise DataError(
                    owner=owner, culprit=f"{names[path]}: line {line} is not UTF-8", fix="convert the file to UTF-8"
                )
            reason = f"{kind.lower()}: {message}" + (f" (column '{column}')" if column else "")
            reject = rejects.setdefault((path, line), {"file": names[path], "line": line, "reason": "", "text": text})
            reject["reason"] = "; ".join(filter(None, (reject["reason"], reason)))
    return pa.Table.from_pylist(list(rejects.values()), schema=REJECT_COLUMNS)
