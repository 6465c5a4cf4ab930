"""A look at files that no source reads yet: their columns, and what a bounded sample of their rows holds."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb

from metaplatform.errors import DataError
from metaplatform.resources.engine.duckdb_connections import memory_connection
from metaplatform.resources.sources.column_facts import Step, column_facts
from metaplatform.resources.sources.readers import READERS
from metaplatform.resources.sources.row_sources import RowReader
from metaplatform.resources.sources.sampled_columns import (
    composite_keys,
    numbered_columns,
    twin_columns,
    unique_columns,
)
from metaplatform.resources.sources.sampled_times import time_facts
from metaplatform.resources.sources.samples import Sample
from metaplatform.resources.sources.source_reader import Place
from metaplatform.specs.entities.families import SourceSpec


def sample_source(
    spec: SourceSpec,
    project_root: str,
    *,
    allowed: Sequence[str] = (),
    twins_of: str | None = None,
    step: Step = lambda _done, _total: None,
) -> Sample:
    """Return what a sample of the source's rows holds, and which columns are twins of ``twins_of``.

    ``allowed`` are folders beside the project's that sources may read; ``step`` is told of the columns looked at.

    Raises:
        DataError: if there is no file, none can be read, or there is no row.
    """
    place = Place(project_root, allowed)
    with tempfile.TemporaryDirectory() as folder, memory_connection(Path(folder)) as connection:
        rows = READERS.of(spec.kind).sample(connection, spec, place, Path(folder))
        if not _count(connection, rows.table):
            raise _without_rows(spec, rows.name, rows.rejected)
        facts = {name: value for name, value in vars(rows).items() if name not in {"table", "name"}}
        return replace(look_at(connection, rows.table, twins_of=twins_of, step=step), **facts)


def span_of(spec: SourceSpec, project_root: str, column: str) -> tuple[datetime, datetime] | None:
    """Return the first and the last moment of a column of a source, None where nothing but the rows tells.

    Raises:
        DataError: if they cannot be asked for.
    """
    reader = READERS.of(spec.kind)
    return reader.span(spec, Place(project_root), column) if isinstance(reader, RowReader) else None


def look_at(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    *,
    twins_of: str | None = None,
    step: Step = lambda _done, _total: None,
) -> Sample:
    """Return what a table of a connection holds, all of its rows, as a sample of no file."""
    rows = _count(connection, table)
    columns = column_facts(connection, table, step=step)
    unique = unique_columns(columns, rows)
    times, earlier = time_facts(connection, table, columns, rows)
    return Sample(
        (),
        rows,
        True,
        columns,
        tuple(column.name for column in unique),
        composite_keys(connection, table, columns, rows),
        numbered_columns(connection, table, unique, rows),
        times,
        earlier,
        twins=twin_columns(connection, table, columns, twins_of, rows),
    )


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(connection.table(table).count("*").fetchall()[0][0])


def _without_rows(spec: SourceSpec, name: str, rejected: str) -> DataError:
    told = f"{name} has no rows" + (f": {rejected}" if rejected else "")
    fix = "see that its first line names the columns" if rejected else "put some there: types are inferred from them"
    return DataError(owner=spec.ref, culprit=told, fix=fix)
