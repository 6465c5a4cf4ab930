"""Rows of databases by DuckDB's scanners: what all databases have in common."""

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Generic, TypeVar

import duckdb
import pyarrow as pa
from sqlglot import exp

from metaplatform.errors import DataError, MetaplatformError
from metaplatform.resources.engine.duckdb_connections import duckdb_connection
from metaplatform.resources.sources.row_sources import RowSource
from metaplatform.resources.sources.source_reader import Place, SourceState
from metaplatform.resources.sources.timed_streams import within
from metaplatform.specs.entities.databases import DatabaseSource
from metaplatform.sql.dialect import NAME, call, cast_to, literal, sql_text
from metaplatform.sql.foreign_sql import foreign_query, foreign_table

D = TypeVar("D", bound=DatabaseSource)
SOURCE = "source"
"""What the database is attached as."""
_AT_ONCE = 100_000
_ROWS = "rows_of_source"
_IN_TYPES_OF_OURS = {
    "UBIGINT": "decimal(20, 0)",
    "INTERVAL": "varchar",
    "TIME WITH TIME ZONE": "varchar",
}
"""Types that no Delta table has → those that hold all of their values."""


class DatabaseRows(RowSource[D], Generic[D]):
    """Rows of a database: read by one query, so as they are at one moment, over a connection that cannot write."""

    def state(self, spec: D, place: Place) -> SourceState:
        """Return that it cannot be told without reading the rows whether they have changed."""
        del spec, place
        return SourceState(None, at_once=True)

    def rows(self, spec: D, place: Place) -> pa.RecordBatchReader:
        """Return all rows."""
        return self._streamed(spec, place, None)

    def first(self, spec: D, place: Place, most: int) -> pa.RecordBatchReader:
        """Return the first rows: PostgreSQL's scanner fetches all that the database was asked for."""
        return self._streamed(spec, place, most)

    def _streamed(self, spec: D, place: Place, most: int | None) -> pa.RecordBatchReader:
        def work() -> Iterator[pa.Schema | pa.RecordBatch]:
            with self.connected(spec, place) as connection:
                reader = self.relation(connection, spec, most).to_arrow_reader(_AT_ONCE)
                yield reader.schema
                yield from reader

        found = self.told(spec, work)
        schema = next(found)
        return pa.RecordBatchReader.from_batches(schema, found)

    def span(self, spec: D, place: Place, column: str) -> tuple[datetime, datetime] | None:
        """Return what the database says of the column."""

        def work() -> Iterator[tuple[datetime, datetime] | None]:
            with self.connected(spec, place) as connection:
                ends = (exp.cast(each, "timestamptz", dialect=NAME) for each in self.ends(connection, spec, column))
                yield connection.sql(sql_text(exp.select(*ends))).fetchall()[0]

        (found,) = self.told(spec, work)
        return found if None not in found else None

    @abstractmethod
    def ends(self, connection: duckdb.DuckDBPyConnection, spec: D, column: str) -> Sequence[exp.Expr]:
        """Return the smallest and the largest value of a column."""

    @contextmanager
    def connected(self, spec: D, place: Place) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection that has the database attached as :data:`SOURCE`, to be read only."""
        with duckdb_connection(":memory:", {"threads": 1}) as connection:
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            self.attach(connection, spec, place)
            yield connection

    @abstractmethod
    def attach(self, connection: duckdb.DuckDBPyConnection, spec: D, place: Place) -> None:
        """Attach the database."""

    @abstractmethod
    def relation(self, connection: duckdb.DuckDBPyConnection, spec: D, most: int | None) -> duckdb.DuckDBPyRelation:
        """Return the rows, the first ``most`` of them, in types that hold all of their values."""

    def said(self, spec: D, error: Exception) -> str:
        """Return what went wrong, in words that hold nothing secret."""
        del spec
        return str(error).split("\n\nLINE ", 1)[0]

    def told(self, spec: D, work: Any) -> Iterator[Any]:
        """Yield what ``work`` does within the source's time, and whatever goes wrong as an error that hides secrets.

        Raises:
            DataError: without the error that it is from, whose text may hold a password, and which logs would keep.
        """
        limit, failed = spec.timeout, ""
        try:
            yield from within(limit.shortest.total_seconds(), work)
        except MetaplatformError:
            raise
        except TimeoutError:
            failed, fix = f"the database has not given all rows within {limit}", "see what it does, or raise `timeout`"
        except (duckdb.Error, pa.ArrowException, OSError, ValueError, RuntimeError) as error:
            failed = _shortened(self.said(spec, error))
            fix = f"see that {spec.where} names the right database, and that it can be read from where runs start"
        if failed:
            raise DataError(owner=spec.ref, culprit=f"{spec.origin[1]}: {failed}", fix=fix)


class ScannedRows(DatabaseRows[D], Generic[D]):
    """Rows of a database that DuckDB asks by a query in the database's own SQL, with the ``function`` for it."""

    function: str

    @abstractmethod
    def cells(self, connection: duckdb.DuckDBPyConnection, spec: D) -> Mapping[str, exp.Expr]:
        """Return for each column what the database is to send of it, an expression of its own SQL."""

    def shapes(self, connection: duckdb.DuckDBPyConnection, spec: D) -> Mapping[str, exp.Expr]:
        """Return columns that DuckDB makes something else of, and what, beside :func:`held`."""
        del connection, spec
        return {}

    def relation(self, connection: duckdb.DuckDBPyConnection, spec: D, most: int | None) -> duckdb.DuckDBPyRelation:
        """Return the rows of the query."""
        cells = self.cells(connection, spec)
        shapes = self.shapes(connection, spec)
        query = exp.select(*(exp.alias_(cell, name, quoted=True) for name, cell in cells.items()))
        query = query.from_(asked(spec))
        return held(self.ask(connection, query.limit(most) if most is not None else query, spec), shapes)

    def ask(self, connection: duckdb.DuckDBPyConnection, query: exp.Select, spec: D) -> duckdb.DuckDBPyRelation:
        """Return what the database answers to a query of its own SQL."""
        text = query.sql(spec.dialect)
        return connection.sql(f"FROM {self.function}({literal(SOURCE)}, {literal(text)})")

    def ends(self, connection: duckdb.DuckDBPyConnection, spec: D, column: str) -> Sequence[exp.Expr]:
        """Return what the database answers, as text."""
        value = exp.column(column, quoted=True)
        ends = [exp.alias_(self.text(each(this=value.copy())), f"v{at}") for at, each in enumerate((exp.Min, exp.Max))]
        found = self.one_row(connection, exp.select(*ends).from_(asked(spec)), spec)
        return [exp.null() if each is None else exp.Literal.string(str(each)) for each in found]

    def text(self, value: exp.Expr) -> exp.Expr:
        """Return a value as text, in the database's own SQL."""
        return exp.cast(value, "text")

    def columns(self, connection: duckdb.DuckDBPyConnection, spec: D) -> dict[str, str]:
        """Return the columns with the types that DuckDB takes them for; nothing is fetched for it."""
        found = self.ask(connection, exp.select("*").from_(asked(spec)), spec)
        return dict(zip(found.columns, map(str, found.types), strict=True))

    def one_row(self, connection: duckdb.DuckDBPyConnection, query: exp.Select, spec: D) -> Sequence[Any]:
        """Return the only row of a query's answer."""
        return tuple(self.ask(connection, query, spec).fetchall()[0])


def asked(spec: DatabaseSource) -> exp.Expr:
    """Return what a source reads, for FROM of a query of the database's own SQL."""
    if spec.query is not None:
        return foreign_query(spec.query, spec.dialect).as_(_ROWS)
    return exp.alias_(foreign_table(spec.table or "", spec.dialect), _ROWS, table=True)


def column(name: str) -> exp.Column:
    """Return a column by its name, to the letter."""
    return exp.column(name, quoted=True)


def held(rows: duckdb.DuckDBPyRelation, shapes: Mapping[str, exp.Expr]) -> duckdb.DuckDBPyRelation:
    """Return rows in types that a Delta table can hold, with the ``shapes`` of some of their columns."""
    shaped = []
    for name, kind in zip(rows.columns, map(str, rows.types), strict=True):
        known = _IN_TYPES_OF_OURS.get(kind)
        value = shapes.get(name) or (cast_to(column(name), known) if known else column(name))
        shaped.append(sql_text(exp.alias_(value, name, quoted=True)))
    return rows.project(", ".join(shaped))


def refused_unless(value: exp.Expr, why: str, condition: exp.Expr) -> exp.Expr:
    """Return a value that fails the reading with a reason where a condition is not met."""
    return exp.Case(ifs=[exp.If(this=condition, true=value)], default=call("error", exp.Literal.string(why)))


def _shortened(text: str) -> str:
    told = " ".join(line.strip() for line in text.splitlines() if line.strip())
    # DuckDB's own errors begin with the name of their class.
    return re.sub(r"^(\w+ )+Error: ", "", told)[:280]
