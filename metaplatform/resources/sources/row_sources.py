"""Sources whose rows are in no files: a table of a database, or what an API gives."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import duckdb
import ibis
import pyarrow as pa
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.errors import MetaplatformError
from metaplatform.naming import FILE
from metaplatform.resources.engine.duckdb_connections import memory_connection
from metaplatform.resources.engine.session import Session
from metaplatform.resources.sources.arrow_rows import keep_rows
from metaplatform.resources.sources.declared_columns import check_columns
from metaplatform.resources.sources.first_rows import ROWS
from metaplatform.resources.sources.guessed_types import typed_by_values
from metaplatform.resources.sources.looked_rows import look_at_rows
from metaplatform.resources.sources.row_moments import count_moments
from metaplatform.resources.sources.source_reader import (
    Looking,
    Place,
    SampledRows,
    SourceRows,
    SourceState,
    Types,
    said_by,
    unreadable,
)
from metaplatform.specs.book.source_looks import SourceLook
from metaplatform.specs.entities.ingestion import Source
from metaplatform.sql.dialect import sql_text

S = TypeVar("S", bound=Source)


class RowSource(ABC, Generic[S]):
    """What a kind of source whose rows are in no files does: all there is to write is :meth:`state` and :meth:`rows`.

    ``types`` is ``own`` where the columns of the batches have the types of their values; ``text`` where all are text,
    and types are declared by the book, or told by what all values say.

    A ``DataError`` of either method is told as it is, and anything else that is raised with the name of the source.
    Secrets are read with :func:`metaplatform.resources.process.secrets.secret`, and named nowhere.
    """

    types: Types = "own"

    @abstractmethod
    def state(self, spec: S, place: Place) -> SourceState:
        """Return what tells the rows that are there now from those of any other time.

        A run asks before it reads, and once more after: what changed meanwhile is read again. So it must be cheap.
        """

    @abstractmethod
    def rows(self, spec: S, place: Place) -> pa.RecordBatchReader:
        """Return all rows as a stream of batches, none of which is fetched before it is asked for.

        The columns are known at once. It may be that not all batches are asked for: then the stream is closed.
        """

    def first(self, spec: S, place: Place, most: int) -> pa.RecordBatchReader:
        """Return rows to look at, of which no more than ``most`` will be asked for.

        For what has to fetch all rows that it has asked for, asked for or not.
        """
        del most
        return self.rows(spec, place)

    def span(self, spec: S, place: Place, column: str) -> tuple[datetime, datetime] | None:
        """Return the first and the last moment of a column, None where nothing but the rows tells."""
        del spec, place, column
        return None


class RowReader:
    """The reader of a kind whose rows are in no files."""

    def __init__(self, source: RowSource[Any]) -> None:
        """Take what knows the rows."""
        self._source = source

    def state(self, spec: Source, place: Place) -> SourceState:
        """Return the state of the rows.

        Raises:
            DataError: if they are not there.
        """
        with _readable(spec):
            found = self._source.state(spec, place)
            return replace(found, parts=found.parts or (spec.origin[1],))

    def read(self, session: Session, spec: Source, place: Place, *, only: Collection[str] | None = None) -> SourceRows:
        """Return all rows, streamed into a table of the session; there is but one part.

        Raises:
            DataError: if rows or columns are missing or cannot be read.
        """
        del only
        backend, name, shown = session.backend, gen_name("rows"), spec.origin[1]
        with _readable(spec):
            stream = self._source.rows(spec, place)
            frozen = spec.contract == "freeze"
            check_columns(stream.schema.names, spec.columns, frozen=frozen, owner=spec.ref, culprit=shown)
            part = exp.alias_(exp.Literal.string(shown), FILE, quoted=True)
            keep_rows(backend.con, name, stream, shape=lambda rows: rows.project(f"*, {sql_text(part)}"))
            if self._source.types == "text" and not spec.columns:
                name = typed_by_values(backend.con, name, spec.written)
        return SourceRows(backend.table(name), None, {shown: shown})

    def look(self, spec: Source, place: Place, looking: Looking) -> SourceLook:
        """Return the columns, and how the first rows fit the book.

        Raises:
            DataError: if they are not there, or cannot be read.
        """
        with _readable(spec), memory_connection(looking.folder, threads=looking.threads) as connection:
            found, columns = self._first(connection, spec, place)
            backend, headers = ibis.duckdb.from_connection(connection), {spec.origin[1]: columns}
            lacking = spec.contract == "freeze" and not set(spec.columns) <= set(columns)
            if lacking or len({name.casefold() for name in columns}) < len(columns):
                return SourceLook(headers)
            moments = {}
            if found.whole and spec.event_timestamp is not None:
                moments = dict(count_moments(connection, [connection.table(found.table)], spec.event_timestamp))
            look = look_at_rows(backend, spec, found.table, headers, self._source.types, looking.judge)
            return replace(look, moments=moments)

    def span(self, spec: Source, place: Place, column: str) -> tuple[datetime, datetime] | None:
        """Return the first and the last moment of a column, None where nothing but the rows tells.

        Raises:
            DataError: if they cannot be asked for.
        """
        with _readable(spec):
            return self._source.span(spec, place, column)

    def sample(self, connection: duckdb.DuckDBPyConnection, spec: Source, place: Place, folder: Path) -> SampledRows:
        """Return the first rows.

        Raises:
            DataError: if they are not there, or cannot be read.
        """
        del folder
        with _readable(spec):
            return self._first(connection, spec, place)[0]

    def _first(
        self, connection: duckdb.DuckDBPyConnection, spec: Source, place: Place
    ) -> tuple[SampledRows, tuple[str, ...]]:
        table, stream = gen_name("looked_at"), self._source.first(spec, place, ROWS + 1)
        columns = tuple(stream.schema.names)
        if len({name.casefold() for name in columns}) == len(columns):
            keep_rows(connection, table, stream, most=ROWS + 1)
        else:
            connection.execute(f"CREATE TABLE {table} (nothing INTEGER)")
        (seen,) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0]  # noqa: S608  # a name of ours
        if seen > ROWS:
            connection.execute(f"DELETE FROM {table} WHERE rowid >= {ROWS}")  # noqa: S608
        return SampledRows(table, spec.origin[1], whole=seen <= ROWS), columns


@contextmanager
def _readable(spec: Source) -> Iterator[None]:
    """Raise whatever goes wrong as an error that names the source; what is not ours may be of any library."""
    try:
        yield
    except MetaplatformError:
        raise
    except Exception as error:
        fix = f"see that {spec.origin[1]} can be read from where runs start"
        raise unreadable(spec, said_by(error), {}, fix) from error
