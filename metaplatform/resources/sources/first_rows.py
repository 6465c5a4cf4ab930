"""A look at some files of a source → one table with a bounded number of their first rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from ibis.util import gen_name

from metaplatform.resources.sources.file_formats import FileFormat, KnownFiles
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.resources.sources.path_columns import values_of_path, with_path_values
from metaplatform.specs.entities.ingestion import FileSource

ROWS = 20_000
"""So many rows of a source are looked at, at most; as many of each file."""


@dataclass(frozen=True)
class FirstRows:
    """The ``table`` of rows, whether it holds all of its files (``whole``), and the columns of each of these."""

    table: str
    whole: bool
    columns: tuple[frozenset[str], ...]


def first_rows(
    connection: duckdb.DuckDBPyConnection,
    spec: FileSource,
    form: FileFormat[Any],
    known: KnownFiles,
    files: Sequence[OpenedFile],
    *,
    rows: int = ROWS,
) -> FirstRows:
    """Return up to so many rows of the files, in their order, in the types that the format itself has.

    Raises:
        DataError: if the folder of a file lacks a column of the source.
    """
    parts, share = [], rows // len(files)
    for file in files:
        parts.append(gen_name("part"))
        # One row more than is kept tells whether there are others.
        with_path_values(known.first_rows(file, share + 1), values_of_path(file, spec)).create(parts[-1])
    counted = " UNION ALL ".join(f"SELECT count(*) AS rows FROM {part}" for part in parts)  # noqa: S608  # names of ours
    (most,) = connection.execute(f"SELECT max(rows) FROM ({counted})").fetchall()[0]  # noqa: S608
    table = gen_name("looked_at")
    union = " UNION ALL BY NAME ".join(f"(FROM {part} LIMIT {share})" for part in parts)
    connection.execute(f"CREATE TABLE {table} AS {union}")
    columns = tuple(frozenset(connection.table(part).columns) for part in parts)
    for part in parts:
        connection.execute(f"DROP TABLE {part}")
    return FirstRows(form.typed(connection, spec, table, files, looked_at=ROWS), most <= share, columns)
