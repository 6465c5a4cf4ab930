"""Rows of databases that are files: SQLite and DuckDB."""

from collections.abc import Mapping, Sequence

import duckdb
from sqlglot import exp

from metaplatform.resources.engine.duckdb_connections import load_extension
from metaplatform.resources.sources.database_rows import SOURCE, DatabaseRows, ScannedRows, asked, column, held
from metaplatform.resources.sources.source_reader import Place, SourceState
from metaplatform.specs.entities.databases import DatabaseFileSource, DuckDBSource, SqliteSource
from metaplatform.sql.dialect import literal, sql_text

_EXACT = "%!.17g"


class SqliteRows(ScannedRows[SqliteSource]):
    """Rows of SQLite: all as text, for a column may hold values of any type; blobs in hexadecimal digits."""

    types = "text"
    function = "sqlite_query"

    def state(self, spec: SqliteSource, place: Place) -> SourceState:
        """Return size and time of the file, and of its log."""
        return _state(spec, place, "-wal")

    def attach(self, connection: duckdb.DuckDBPyConnection, spec: SqliteSource, place: Place) -> None:
        """Attach the file."""
        file = place.file(spec.path, owner=spec.ref)
        load_extension(connection, "sqlite_scanner")
        connection.execute(f"ATTACH {literal(str(file))} AS {SOURCE} (TYPE sqlite, READ_ONLY)")

    def cells(self, connection: duckdb.DuckDBPyConnection, spec: SqliteSource) -> Mapping[str, exp.Expr]:
        """Return each value as the shortest text that it can be told from."""
        return {name: _value(column(name)) for name in self.columns(connection, spec)}


class DuckDBRows(DatabaseRows[DuckDBSource]):
    """Rows of a DuckDB file."""

    def state(self, spec: DuckDBSource, place: Place) -> SourceState:
        """Return size and time of the file, and of its log."""
        return _state(spec, place, ".wal")

    def attach(self, connection: duckdb.DuckDBPyConnection, spec: DuckDBSource, place: Place) -> None:
        """Attach the file; nothing else can be reached from its queries and views."""
        file = place.file(spec.path, owner=spec.ref)
        connection.execute(f"ATTACH {literal(str(file))} AS {SOURCE} (READ_ONLY)")
        connection.execute(f"USE {SOURCE}")
        connection.execute("SET enable_external_access = false")

    def relation(
        self, connection: duckdb.DuckDBPyConnection, spec: DuckDBSource, most: int | None
    ) -> duckdb.DuckDBPyRelation:
        """Return the rows of the table or the query."""
        query = exp.select("*").from_(asked(spec))
        return held(connection.sql(sql_text(query.limit(most) if most is not None else query)), {})

    def ends(self, connection: duckdb.DuckDBPyConnection, spec: DuckDBSource, column: str) -> Sequence[exp.Expr]:
        """Return two queries, one a value."""
        del connection
        value = exp.column(column, quoted=True)
        rows = asked(spec)
        return [exp.select(each(this=value.copy())).from_(rows.copy()).subquery() for each in (exp.Min, exp.Max)]


def _state(spec: DatabaseFileSource, place: Place, log: str) -> SourceState:
    file = place.file(spec.path, owner=spec.ref)
    found = [each.stat() for each in (file, file.with_name(f"{file.name}{log}")) if each.exists()]
    return SourceState(" ".join(f"{each.st_size} {each.st_mtime_ns}" for each in found if each.st_size), at_once=True)


def _value(value: exp.Expr) -> exp.Expr:
    """Return a value as text: of a number with decimals 15 digits where they are enough, and 17 where they are not."""
    text = exp.cast(value.copy(), "text")
    enough = exp.EQ(this=exp.cast(text.copy(), "real"), expression=value.copy())
    exact = exp.Anonymous(this="printf", expressions=[exp.Literal.string(_EXACT), value.copy()])
    real = exp.Case(ifs=[exp.If(this=enough, true=text.copy())], default=exact)
    kind = exp.Anonymous(this="typeof", expressions=[value.copy()])
    digits = exp.Anonymous(this="hex", expressions=[value.copy()])
    ifs = [("real", real), ("blob", digits)]
    return exp.Case(
        this=kind, ifs=[exp.If(this=exp.Literal.string(name), true=shown) for name, shown in ifs], default=text
    )
