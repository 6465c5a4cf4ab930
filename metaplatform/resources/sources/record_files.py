"""Formats of files that are read in Python, file by file and batch by batch."""

import io
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import duckdb
import pyarrow as pa
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.naming import FILE
from metaplatform.resources.sources.arrow_rows import keep_rows
from metaplatform.resources.sources.declared_columns import check_headers
from metaplatform.resources.sources.file_formats import REJECT_COLUMNS, FileFormat, FilesRead, KnownFiles, S
from metaplatform.resources.sources.file_scans import file_type
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.resources.sources.path_columns import PathValues, union_of, values_of_path, with_path_values
from metaplatform.sql.dialect import sql_text

Reject = Callable[[int, str, str], None]
"""Takes what is not a row: the number of its line, why not, and what it says."""


class RecordFormat(FileFormat[S]):
    """A format that Python reads: all there is to write is :meth:`records`.

    By default the values are ``text``: their types are declared by the book, or told by what all values say. With
    ``types = "own"`` the types are those of the batches' columns.
    """

    types = "text"

    @abstractmethod
    def records(self, spec: S, file: OpenedFile, reject: Reject) -> pa.RecordBatchReader:
        """Return the rows of one file as they are read; what is not a row goes to ``reject``.

        The columns must be known before the first batch is asked for. What is raised is told with the name of the file.
        """

    def known(
        self, connection: duckdb.DuckDBPyConnection, spec: S, files: Sequence[OpenedFile], *, looked_at: int
    ) -> KnownFiles:
        """Return the files with the columns that their streams have."""
        del looked_at
        rejected: list[tuple[int, str, str]] = []

        def rows(file: OpenedFile, most: int | None = None) -> duckdb.DuckDBPyRelation:
            table = gen_name("rows")
            keep_rows(connection, table, self.records(spec, file, lambda *line: rejected.append(line)), most=most)
            return connection.table(table)

        columns = {file: self._columns(spec, file) for file in files}
        return KnownFiles(columns, rows, lambda: _told(rejected), first=rows)

    def apart(self, spec: S) -> bool:
        """Tell that a file's rows are those that :meth:`records` makes of it, whatever lies beside it."""
        del spec
        return True

    def read(self, connection: duckdb.DuckDBPyConnection, spec: S, files: Sequence[OpenedFile]) -> FilesRead:
        """Return a table with the rows of the files, and what is not a row.

        Raises:
            DataError: if the columns of a file do not go with the declared ones.
        """
        columns = {file.name: self._columns(spec, file) for file in files}
        check_headers(columns, spec)
        rejected: list[tuple[str, int, str, str]] = []
        tables, paths = [], file_type(connection, files)
        for file in files:
            tables.append(gen_name("rows"))
            stream = self.records(spec, file, lambda *line, name=file.name: rejected.append((name, *line)))
            path = exp.Cast(this=exp.Literal.string(str(file.path)), to=exp.DataType.build(paths, udt=True))
            named, values = sql_text(exp.alias_(path, FILE, quoted=True)), values_of_path(file, spec)

            def shape(
                rows: duckdb.DuckDBPyRelation, named: str = named, values: PathValues = values
            ) -> duckdb.DuckDBPyRelation:
                return with_path_values(rows.project(f"*, {named}"), values)

            keep_rows(connection, tables[-1], stream, shape=shape)
        lines = [dict(zip(REJECT_COLUMNS.names, each, strict=True)) for each in rejected]
        alike = self.types == "text" and len({frozenset(names) for names in columns.values()}) == 1
        rejects = pa.Table.from_pylist(lines, schema=REJECT_COLUMNS)
        return FilesRead(union_of(connection, tables), rejects, alike=alike)

    def _columns(self, spec: S, file: OpenedFile) -> tuple[str, ...]:
        return tuple(self.records(spec, file, lambda *_: None).schema.names)


def numbered_lines(file: OpenedFile) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file of text in UTF-8 with their numbers, from 1; a compressed one is decompressed.

    Raises:
        ValueError: if a line is not UTF-8.
    """
    with pa.input_stream(str(file.path), compression="detect") as stream:
        for number, line in enumerate(io.BufferedReader(cast("io.RawIOBase", stream)), start=1):
            try:
                yield number, line.decode().rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise ValueError(f"{file.name}: line {number} is not UTF-8") from error


def _told(rejected: Sequence[tuple[int, str, str]]) -> str:
    """Return what is said of the lines that are not rows."""
    if not rejected:
        return ""
    told = "1 line is not a row:" if len(rejected) == 1 else f"{len(rejected):,} lines are not rows, the first of them"
    number, reason, _ = rejected[0]
    return f"{told} line {number}: {reason}"
