"""A file of views on Delta tables, in the engine's own format: for people and BI tools."""

from collections.abc import Mapping
from pathlib import Path

import duckdb
from sqlglot import exp

from metaplatform.errors import StorageError
from metaplatform.naming import asset_path
from metaplatform.resources.engine.duckdb_connections import delta_scan, duckdb_connection, load_delta
from metaplatform.sql.dialect import sql_text


def write_view_file(path: Path, tables: Mapping[str, Path], *, owner: str) -> None:
    """Make a file with a view for each table (reference → folder), which reads the table as it is when asked.

    Raises:
        StorageError: if a table cannot be read, or the file cannot be written.
    """
    try:
        with duckdb_connection(str(path), {}) as connection:
            load_delta(connection)
            for ref, folder in tables.items():
                schema, name = (exp.to_identifier(part, quoted=True) for part in asset_path(ref))
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {sql_text(schema)}")
                view = exp.select("*").from_(delta_scan(folder))
                created = exp.Create(this=exp.Table(this=name, db=schema), kind="VIEW", expression=view)
                connection.execute(sql_text(created))
    except duckdb.Error as error:
        raise StorageError(owner=owner, culprit=str(error), fix="materialize the tables it shows first") from error
