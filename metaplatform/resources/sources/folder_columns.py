"""Columns whose values stand in the names of folders (Hive's layout), added to the rows of a group of files."""

from collections.abc import Sequence
from pathlib import Path

import duckdb
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.resources.sources.source_paths import hive_values
from metaplatform.specs.entities.ingestion import FileSource

FolderValues = tuple[tuple[str, str | None], ...]
"""Column → value, as text, of all files of one folder."""


def folder_values(path: Path, spec: FileSource) -> FolderValues:
    """Return what the folders of a file say of the source's ``hive_columns``.

    Raises:
        DataError: if they do not say all of them.
    """
    return tuple(hive_values(path, spec).items()) if spec.hive_columns else ()


def with_folder_values(rows: duckdb.DuckDBPyRelation, values: FolderValues) -> duckdb.DuckDBPyRelation:
    """Return the rows with a column of text for each value."""
    if not values:
        return rows
    added = [
        exp.alias_(exp.cast(exp.null() if value is None else exp.Literal.string(value), "varchar"), name, quoted=True)
        for name, value in values
    ]
    return rows.project(", ".join(("*", *(each.sql("duckdb") for each in added))))


def union_of(connection: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> str:
    """Return the name of a table with the rows of all, joined by the names of columns; the parts are dropped."""
    if len(tables) == 1:
        return tables[0]
    name = gen_name("rows")
    connection.execute(f"CREATE TABLE {name} AS " + " UNION ALL BY NAME ".join(f"FROM {table}" for table in tables))
    for table in tables:
        connection.execute(f"DROP TABLE {table}")
    return name
