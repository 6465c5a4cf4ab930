"""Delimited text: rows as they stand, and lines that are not rows kept aside with their reason."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.resources.sources.csv_heads import CsvHead, read_head
from metaplatform.resources.sources.declared_columns import check_columns, check_headers
from metaplatform.resources.sources.file_formats import REJECT_COLUMNS, FileFormat, FilesRead, KnownFiles, with_content
from metaplatform.resources.sources.file_scans import file_type, scan
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.resources.sources.path_columns import union_of, with_values_of_paths
from metaplatform.resources.sources.rewritten_text import rewritten
from metaplatform.specs.entities.csv_source import CsvSource


class CsvFormat(FileFormat[CsvSource]):
    """Delimited text: all values are text, and what is not a row is a reject."""

    types = "text"

    def prepared(
        self, spec: CsvSource, files: Sequence[OpenedFile], folder: Path, *, most: int | None = None
    ) -> list[OpenedFile]:
        """Return the files as DuckDB can read them.

        Raises:
            DataError: if one is not in its declared encoding.
        """
        return [rewritten(file, spec, folder, most=most) for file in files]

    def read(self, connection: duckdb.DuckDBPyConnection, spec: CsvSource, files: Sequence[OpenedFile]) -> FilesRead:
        """Return a table with the rows of the files, all text, and their rejected lines (:data:`REJECT_COLUMNS`).

        Files may have their columns in different orders. Beside others, a file without a byte is a reject.

        Raises:
            DataError: if a header does not go with the declared columns, or a file is not UTF-8.
        """
        held = with_content(files)
        heads = {file.name: read_head(file, spec) for file in held}
        check_headers({name: head.columns for name, head in heads.items()}, spec)
        groups: dict[CsvHead, list[OpenedFile]] = {}
        for file in held:
            groups.setdefault(heads[file.name], []).append(file)
        tables, paths = [], file_type(connection, held)
        for head, members in groups.items():
            name = gen_name("rows")
            rows = _rows(connection, spec, members, head, rejects=name, paths=paths)
            with_values_of_paths(rows, held, spec).create(name)
            tables.append(name)
        rejects = _rejects(connection, tables, files, owner=spec.ref)
        empty = _empty_files([file.name for file in files if file not in held])
        alike = len({frozenset(head.columns) for head in heads.values()}) == 1
        return FilesRead(union_of(connection, tables), pa.concat_tables([rejects, empty]), alike=alike)

    def apart(self, spec: CsvSource) -> bool:
        """Tell that a file's rows are what its own first line makes of them."""
        del spec
        return True

    def known(
        self, connection: duckdb.DuckDBPyConnection, spec: CsvSource, files: Sequence[OpenedFile], *, looked_at: int
    ) -> KnownFiles:
        """Return the files with the columns that their first lines name."""
        del looked_at
        heads = {file: read_head(file, spec) for file in files}
        scans: list[str] = []

        def rows(file: OpenedFile) -> duckdb.DuckDBPyRelation:
            scans.append(gen_name("rejects"))
            return _rows(connection, spec, [file], heads[file], rejects=scans[-1])

        columns = {file: head.columns for file, head in heads.items()}
        delimiter = next((head.delimiter for head in reversed(heads.values())), None)
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
    head: CsvHead,
    *,
    rejects: str,
    paths: str | None = None,
) -> duckdb.DuckDBPyRelation:
    """Return the rows of files of one head, as text; rejected lines go to two tables named after ``rejects``.

    ``paths`` is the type of the files' paths (:func:`file_type`), where each row is to have its own.
    """
    text = exp.Literal.string
    names = (exp.to_identifier(name, quoted=True) for name in head.columns)
    columns = [exp.PropertyEQ(this=name, expression=text("VARCHAR")) for name in names]
    options: dict[str, exp.Expr] = {
        "columns": exp.Struct(expressions=columns),
        "auto_detect": exp.false(),
        "header": exp.false(),
        "skip": exp.Literal.number(head.skip),
        "delim": text(head.delimiter),
        "quote": text(spec.quote),
        "escape": text(spec.escape or spec.quote),
        "hive_partitioning": exp.false(),
        "store_rejects": exp.true(),
        "rejects_table": text(f"{rejects}_errors"),
        "rejects_scan": text(f"{rejects}_scans"),
    }
    if spec.comment:
        options["comment"] = text(spec.comment)
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
                fix = "convert the file to UTF-8, or declare its `encoding`, such as cp1252"
                raise DataError(owner=owner, culprit=f"{names[path]}: line {line} is not UTF-8", fix=fix)
            reason = f"{kind.lower()}: {message}" + (f" (column '{column}')" if column else "")
            reject = rejects.setdefault((path, line), {"file": names[path], "line": line, "reason": "", "text": text})
            reject["reason"] = "; ".join(filter(None, (reject["reason"], reason)))
    return pa.Table.from_pylist(list(rejects.values()), schema=REJECT_COLUMNS)
