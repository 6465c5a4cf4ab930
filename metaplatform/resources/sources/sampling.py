"""A look at files that no source reads yet: their columns, and what a bounded sample of their rows holds."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from metaplatform.errors import DataError
from metaplatform.resources.engine.duckdb_connections import memory_connection
from metaplatform.resources.sources.column_facts import Step, column_facts
from metaplatform.resources.sources.opened_files import opened
from metaplatform.resources.sources.sampled_columns import (
    composite_keys,
    numbered_columns,
    twin_columns,
    unique_columns,
)
from metaplatform.resources.sources.sampled_rows import SAMPLE_TABLE, load_sample
from metaplatform.resources.sources.sampled_times import time_facts
from metaplatform.resources.sources.samples import Sample
from metaplatform.resources.sources.source_files import unreadable
from metaplatform.resources.sources.source_paths import find_files, name_for_people
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
    owner = f"raw.{spec.name}"
    paths = find_files(spec, project_root, allowed=allowed)
    with tempfile.TemporaryDirectory() as folder, memory_connection(Path(folder)) as connection:
        files = opened(paths, spec, project_root, Path(folder))
        try:
            loaded = load_sample(connection, spec, files)
            _refuse_empty(
                _count(connection, SAMPLE_TABLE),
                name_for_people(paths[0], spec, project_root),
                loaded.rejected,
                owner=owner,
            )
            return replace(
                look_at(connection, SAMPLE_TABLE, twins_of=twins_of, step=step),
                paths=paths,
                whole=loaded.whole,
                delimiter=loaded.delimiter,
                rejected=loaded.rejected,
                not_everywhere=loaded.not_everywhere,
            )
        except (duckdb.Error, OSError) as error:
            raise unreadable(owner, str(error), files) from error


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


def _refuse_empty(rows: int, name: str, rejected: str, *, owner: str) -> None:
    if rows == 0:
        told = f"{name} has no rows" + (f": {rejected}" if rejected else "")
        fix = (
            "see that its first line names the columns" if rejected else "put some there: types are inferred from them"
        )
        raise DataError(owner=owner, culprit=told, fix=fix)
