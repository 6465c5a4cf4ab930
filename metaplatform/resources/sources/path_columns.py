"""Columns whose values stand in the paths of files, added to the rows of a group of files."""

from collections.abc import Sequence

import duckdb
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.naming import FILE
from metaplatform.resources.sources.opened_files import OpenedFile
from metaplatform.resources.sources.source_paths import path_values
from metaplatform.specs.entities.ingestion import FileSource

PathValues = tuple[tuple[str, str | None], ...]
"""Column → value, as text, of all files whose paths say the same."""


def values_of_path(file: OpenedFile, spec: FileSource) -> PathValues:
    """Return what the path of a file says of the source's ``hive_columns`` and ``name_columns``.

    Raises:
        DataError: if it does not say all of them.
    """
    return tuple(path_values(file.origin, file.name, spec).items()) if spec.columns_of_paths else ()


def with_values_of_paths(
    rows: duckdb.DuckDBPyRelation, files: Sequence[OpenedFile], spec: FileSource
) -> duckdb.DuckDBPyRelation:
    """Return the rows of many files with what their paths say; :data:`FILE` is of the type of all ``files``.

    One read does thousands of files, each with values of its own: they are looked up by the file's number.

    Raises:
        DataError: if a path does not say all of them.
    """
    found = [dict(values_of_path(file, spec)) for file in files]
    number = exp.Anonymous(this="enum_code", expressions=[exp.column(FILE, quoted=True)])
    at = exp.Add(this=exp.cast(number, "bigint", dialect="duckdb"), expression=exp.Literal.number(1))
    added = []
    for name in spec.columns_of_paths:
        values = exp.Array(expressions=[_text(each[name]) for each in found])
        value = exp.Anonymous(this="list_extract", expressions=[values, at.copy()])
        added.append(exp.alias_(value, name, quoted=True))
    return rows.project(", ".join(("*", *(each.sql("duckdb") for each in added)))) if added else rows


def with_path_values(rows: duckdb.DuckDBPyRelation, values: PathValues) -> duckdb.DuckDBPyRelation:
    """Return the rows with a column of text for each value."""
    if not values:
        return rows
    added = [exp.alias_(_text(value), name, quoted=True) for name, value in values]
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


def _text(value: str | None) -> exp.Expr:
    return exp.cast(exp.null() if value is None else exp.Literal.string(value), "varchar", dialect="duckdb")
