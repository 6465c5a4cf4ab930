"""Delimited text: rows as they stand, and lines that are not rows kept aside with their reason."""

import csv
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import duckdb
import pyarrow as pa
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.resources.sources.declared_columns import check_columns, check_headers
from metaplatform.resources.sources.file_formats import REJECT_COLUMNS, FileFormat, FilesRead, KnownFiles, with_content
from metaplatform.resources.sources.file_scans import file_type, scan
from metaplatform.resources.sources.folder_columns import FolderValues, folder_values, union_of, with_folder_values
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.specs.entities.ingestion import CsvSource

_DELIMITERS = (",", ";", "\t", "|")
# No text has it, so that a line comes as one field.
_NO_DELIMITER = "\x1f"
_QUOTE = '"'
_ARCHIVE, _OLD_WORKBOOK = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class CsvFormat(FileFormat[CsvSource]):
    """Delimited text: all values are text, and what is not a row is a reject."""

    types = "text"

    def read(self, connection: duckdb.DuckDBPyConnection, spec: CsvSource, files: Sequence[OpenedFile]) -> FilesRead:
        """Return a table with the rows of the files, all text, and their rejected lines (:data:`REJECT_COLUMNS`).

        Files may have their columns in different orders. Beside others, a file without a byte is a reject.

        Raises:
            DataError: if a header does not go with the declared columns, or a file is not UTF-8.
        """
        held = with_content(files)
        heads = {file.name: _read_header(connection, file, spec) for file in held}
        check_headers({name: header for name, (_, header) in heads.items()}, spec)
        groups: dict[tuple[tuple[str, tuple[str, ...]], FolderValues], list[OpenedFile]] = {}
        for file in held:
            groups.setdefault((heads[file.name], folder_values(file.origin, spec)), []).append(file)
        tables, paths = [], file_type(connection, held)
        for ((delimiter, header), values), members in groups.items():
            name = gen_name("rows")
            rows = _rows(connection, spec, members, delimiter=delimiter, header=header, rejects=name, paths=paths)
            with_folder_values(rows, values).create(name)
            tables.append(name)
        rejects = _rejects(connection, tables, files, owner=spec.ref)
        empty = _empty_files([file.name for file in files if file not in held])
        return FilesRead(union_of(connection, tables), pa.concat_tables([rejects, empty]))

    def known(
        self, connection: duckdb.DuckDBPyConnection, spec: CsvSource, files: Sequence[OpenedFile], *, looked_at: int
    ) -> KnownFiles:
        """Return the files with the columns that their first lines name."""
        del looked_at
        heads = {file: _read_header(connection, file, spec) for file in files}
        scans: list[str] = []

        def rows(file: OpenedFile) -> duckdb.DuckDBPyRelation:
            delimiter, header = heads[file]
            scans.append(gen_name("rejects"))
            return _rows(connection, spec, [file], delimiter=delimiter, header=header, rejects=scans[-1])

        columns = {file: header for file, (_, header) in heads.items()}
        delimiter = next((found for found, _ in reversed(heads.values())), None)
        return KnownFiles(columns, rows, rejected=lambda: _told_of_rejects(connection, scans), delimiter=delimiter)

    def in_lines(self, name: str) -> bool:
        """Tell that a row is a line, but for line breaks in quotes."""
        del name
        return True

    def refuse_unnamed(
        self, connection: duckdb.DuckDBPyConnection, spec: CsvSource, file: OpenedFile, columns: Sequence[str]
    ) -> None:
        """Refuse a first line that is a row, or names that no table can have."""
        del connection
        owner = spec.ref
        for name in columns:
            if not name.strip() or _is_value(name):
                raise DataError(
                    owner=owner,
                    culprit=f"{file.name} has no header line: '{name}' is not a name of a column",
                    fix=f"put a first line there that names its {len(columns)} columns, and nothing above it",
                )
        check_columns(columns, {}, frozen=False, owner=owner, culprit=file.name)


def _is_value(name: str) -> bool:
    """Tell whether a name looks like a number or a date; years do head columns."""
    number = None
    # Not `inf`, nor `nan`: they are words too.
    if any(map(str.isdigit, name)):
        with suppress(ValueError):
            number = float(name.replace(",", "."))
    a_year = number is not None and name.isdigit() and 1900 <= number <= 2100  # noqa: PLR2004  # years head columns
    return not a_year and (number is not None or name[:10].replace("-", "").isdigit())


def _rows(
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


def _told_of_rejects(connection: duckdb.DuckDBPyConnection, scans: Sequence[str]) -> str:
    """Return what is said of the lines of text that are not rows."""
    errors = " UNION ALL ".join(f"FROM {scan}_errors" for scan in scans)
    found = connection.execute(
        f"SELECT count(DISTINCT (scan_id, file_id, line)), arg_min((line, error_message), line) FROM ({errors})"  # noqa: S608
    ).fetchall()
    count, first = found[0]
    if not count:
        return ""
    told = "1 line is not a row:" if count == 1 else f"{count:,} lines are not rows, the first of them"
    return f"{told} line {first[0]}: {first[1].splitlines()[0]}"


def _empty_files(labels: Sequence[str]) -> pa.Table:
    """Return a reject for each file without a byte: an export that found nothing, or one that broke off."""
    rejects = [{"file": label, "line": 1, "reason": "the file is empty", "text": ""} for label in labels]
    return pa.Table.from_pylist(rejects, schema=REJECT_COLUMNS)


def _read_header(
    connection: duckdb.DuckDBPyConnection, file: OpenedFile, spec: CsvSource
) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter and the column names of a file, from its first line.

    Raises:
        DataError: if there is no such line, or it is not UTF-8.
    """
    owner = spec.ref
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
    """Return the rejected lines of all reads, one row per line.

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
