"""First rows of a source, held against the book."""

from collections.abc import Mapping

import ibis
from ibis.backends.duckdb import Backend
from sqlglot import exp

from metaplatform.errors import DataError
from metaplatform.resources.sources.guessed_types import typed_by_values
from metaplatform.resources.sources.source_reader import Judge, Types
from metaplatform.specs.book.source_looks import Misfit, SourceLook
from metaplatform.specs.entities.ingestion import Source
from metaplatform.sql.dialect import sql_text


def look_at_rows(
    backend: Backend, spec: Source, table: str, headers: Mapping[str, tuple[str, ...]], types: Types, judge: Judge
) -> SourceLook:
    """Return the types and the misfits of a table of rows; ``headers`` are the columns of all that they are from."""
    if types == "text" and not spec.columns:
        table = typed_by_values(backend.con, table, spec.written)
    _add_lacking(backend, spec, table, {found for header in headers.values() for found in header})
    rows = backend.table(table)
    found = dict(zip(rows.columns, map(str, backend.con.table(table).types), strict=True))
    seen = int(backend.con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608  # a name of ours
    return SourceLook(headers, found if not spec.columns else {}, _misfits(judge, rows, spec) if seen else (), seen)


def _add_lacking(backend: Backend, spec: Source, table: str, somewhere: set[str]) -> None:
    """Add the declared columns that only files which were not looked at have, as nulls."""
    for name in somewhere.intersection(spec.columns).difference(backend.con.table(table).columns):
        column = sql_text(exp.column(name, quoted=True))
        backend.con.execute(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR")


def _misfits(judge: Judge, rows: ibis.Table, spec: Source) -> tuple[Misfit, ...]:
    """Return what the ingestion of these rows would turn away."""
    try:
        return judge(rows, spec)
    except DataError:
        # A key, a moment or a derivation names a column that is not there: the rules say so, with its place.
        return ()
