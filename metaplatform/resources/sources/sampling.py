"""A look at files that no source reads yet: their columns, and what a bounded sample of their rows holds."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import duckdb

from metaplatform.errors import DataError
from metaplatform.resources.engine.duckdb_connections import memory_connection
from metaplatform.resources.sources.column_facts import Step, column_facts
from metaplatform.resources.sources.first_rows import ROWS, first_rows
from metaplatform.resources.sources.formats import FORMATS
from metaplatform.resources.sources.opened_files import OpenedFile, opened
from metaplatform.resources.sources.sampled_columns import (
    composite_keys,
    numbered_columns,
    twin_columns,
    unique_columns,
)
from metaplatform.resources.sources.sampled_times import time_facts
from metaplatform.resources.sources.samples import Sample
from metaplatform.resources.sources.source_files import unreadable
from metaplatform.resources.sources.source_paths import find_files, name_for_people
from metaplatform.specs.entities.families import SourceSpec

_CELLS, _FEWEST_ROWS = 10_000_000, 1_000
"""Of a wide file fewer rows are looked at: so many values in all, but not fewer rows than that."""


@dataclass(frozen=True)
class _Ends:
    """What :class:`Sample` says of the files that its rows are from."""

    whole: bool
    inferred: bool
    delimiter: str | None
    rejected: str
    not_everywhere: frozenset[str]


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
    paths = find_files(spec, project_root, allowed=allowed)
    with tempfile.TemporaryDirectory() as folder, memory_connection(Path(folder)) as connection:
        files = opened(paths, spec, project_root, Path(folder))
        try:
            table, ends = _ends(connection, spec, files)
            if not _count(connection, table):
                raise _without_rows(spec, name_for_people(paths[0], spec, project_root), ends.rejected)
            found = look_at(connection, table, twins_of=twins_of, step=step)
            return replace(found, paths=paths, **asdict(ends))
        except (duckdb.Error, OSError) as error:
            raise unreadable(f"raw.{spec.name}", str(error), files) from error


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


def _ends(connection: duckdb.DuckDBPyConnection, spec: SourceSpec, files: Sequence[OpenedFile]) -> tuple[str, "_Ends"]:
    """Return a table of the first rows of the first file and of the last."""
    form = FORMATS.of(spec.kind)
    held = form.held(files)
    ends = list(dict.fromkeys([held[0], held[-1]]))
    known = form.known(connection, spec, ends, looked_at=ROWS)
    for file in ends:
        form.refuse_unnamed(connection, spec, file, known.columns.get(file, ()))
    widest = max((len(columns) for columns in known.columns.values()), default=0) or 1
    found = first_rows(connection, spec, form, known, ends, rows=max(_FEWEST_ROWS, min(ROWS, _CELLS // widest)))
    return found.table, _Ends(
        whole=found.whole and len(ends) == len(held),
        inferred=form.types == "inferred",
        delimiter=known.delimiter,
        rejected=known.rejected(),
        not_everywhere=frozenset() if form.sparse else found.columns[0] ^ found.columns[-1],
    )


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(connection.table(table).count("*").fetchall()[0][0])


def _without_rows(spec: SourceSpec, name: str, rejected: str) -> DataError:
    told = f"{name} has no rows" + (f": {rejected}" if rejected else "")
    fix = "see that its first line names the columns" if rejected else "put some there: types are inferred from them"
    return DataError(owner=f"raw.{spec.name}", culprit=told, fix=fix)
