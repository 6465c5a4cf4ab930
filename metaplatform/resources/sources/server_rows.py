"""Rows of database servers: PostgreSQL, MySQL and MariaDB."""

import re
import socket
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import duckdb
from sqlglot import exp

from metaplatform.errors import MetaplatformError
from metaplatform.resources.engine.duckdb_connections import load_extension
from metaplatform.resources.sources.database_rows import (
    SOURCE,
    ScannedRows,
    asked,
    column,
    refused_unless,
)
from metaplatform.resources.sources.server_urls import Server, server_of
from metaplatform.resources.sources.source_reader import Place, SourceState
from metaplatform.specs.entities.databases import MysqlSource, PostgresSource, ServerSource
from metaplatform.sql.dialect import cast_to, literal
from metaplatform.sql.foreign_sql import foreign_table

S = TypeVar("S", bound=ServerSource)
_CONNECT_SECONDS, _MYSQL_PORT = 10, 3306
_DECIMAL, _FLOATS = "DECIMAL", ("DOUBLE", "DOUBLE[]", "DOUBLE[][]")
_SAID = re.compile(r"(?:ERROR|FATAL):\s+(.*)", re.DOTALL)
_TEXT_OF_MYSQL = frozenset({"json", "uuid", "inet4", "inet6"})


class ServerRows(ScannedRows[S], Generic[S]):
    """Rows of a server, which knows a source's watermark."""

    extension: str
    extra: str

    def state(self, spec: S, place: Place) -> SourceState:
        """Return the watermark's largest value and the number of rows, where there is a watermark."""
        if spec.watermark is None:
            return super().state(spec, place)
        newest = self.text(exp.Max(this=column(spec.watermark)))
        facts = [exp.alias_(newest, "newest"), exp.alias_(exp.Count(this=exp.Star()), "number")]

        def work() -> Iterator[str]:
            with self.connected(spec, place) as connection:
                found = self.one_row(connection, exp.select(*facts).from_(asked(spec)), spec)
                yield " ".join(map(str, found))

        (token,) = self.told(spec, work)
        return SourceState(token, at_once=True)

    def attach(self, connection: duckdb.DuckDBPyConnection, spec: S, place: Place) -> None:
        """Attach the server: who asks, and by which password, is a secret of the connection's, and stands nowhere."""
        del place
        server = server_of(spec)
        load_extension(connection, self.extension, extra=self.extra)
        facts = {"USER": server.user, "PASSWORD": server.password, "DATABASE": server.database}
        facts |= {self.place_of(server): server.host, "PORT": str(server.port or "")}
        given = ", ".join(f"{name} {literal(value)}" for name, value in facts.items() if value)
        connection.execute(f"CREATE SECRET server (TYPE {self.extra}, {given})")
        options = literal(self.options(connection, spec, server))
        connection.execute(f"ATTACH {options} AS {SOURCE} (TYPE {self.extra}, SECRET server, READ_ONLY)")

    def place_of(self, server: Server) -> str:
        """Return what the server's address is called."""
        del server
        return "HOST"

    @abstractmethod
    def options(self, connection: duckdb.DuckDBPyConnection, spec: S, server: Server) -> str:
        """Return what else the connection is made with, once it is known that there is a server."""

    def said(self, spec: S, error: Exception) -> str:
        """Return what the server said, or else what happened on the way to it."""
        try:
            text = server_of(spec).without_secrets(str(error))
        except MetaplatformError:
            return type(error).__name__
        found = _SAID.search(text)
        told = found[1] if found else text.rpartition('": ')[2]
        return re.split(r"\n\s*LINE \d|\nCONTEXT:", told, maxsplit=1)[0]


class PostgresRows(ServerRows[PostgresSource]):
    """Rows of PostgreSQL. Numerics come as text: DuckDB's scanner makes 0 of NaN, and rounds those of any precision."""

    function, extension, extra = "postgres_query", "postgres_scanner", "postgres"

    def options(self, connection: duckdb.DuckDBPyConnection, spec: PostgresSource, server: Server) -> str:
        """Return a connection string: it connects soon or not at all, and the server ends what takes too long."""
        del connection
        limit = int(spec.timeout.shortest.total_seconds() * 1_000)
        settings = f"-c statement_timeout={limit} -c default_transaction_read_only=on"
        own = {"connect_timeout": str(_CONNECT_SECONDS), "application_name": "metaplatform", **server.options}
        own["options"] = f"{settings} {server.options.get('options', '')}".strip()
        return " ".join(f"{name}='{_escaped(value)}'" for name, value in own.items())

    def cells(self, connection: duckdb.DuckDBPyConnection, spec: PostgresSource) -> Mapping[str, exp.Expr]:
        """Return columns as they are, numerics as text."""
        found = self.columns(connection, spec)
        as_text = self._numerics(connection, spec, found)
        return {name: exp.cast(column(name), "text") if name in as_text else column(name) for name in found}

    def shapes(self, connection: duckdb.DuckDBPyConnection, spec: PostgresSource) -> Mapping[str, exp.Expr]:
        """Return decimals in the type that the database declares, where the book declares none."""
        if spec.columns and spec.contract == "freeze":
            return {}
        found = self.columns(connection, spec)
        return {
            name: _decimal(name, kind)
            for name, kind in found.items()
            if kind.startswith(_DECIMAL) and not kind.endswith("]") and name not in spec.columns
        }

    def said(self, spec: PostgresSource, error: Exception) -> str:
        """Return what the server said; of arrays, what can be done."""
        told = super().said(spec, error)
        if "Expected an array with" in told:
            return "an array has other dimensions than its column declares: read it by `query`, with to_json(…)::text"
        return told

    def _numerics(
        self, connection: duckdb.DuckDBPyConnection, spec: PostgresSource, found: Mapping[str, str]
    ) -> frozenset[str]:
        decimals = {name for name, kind in found.items() if kind.startswith(_DECIMAL)}
        floats = [name for name, kind in found.items() if kind in _FLOATS]
        if not floats:
            return frozenset(decimals)
        # One row, of nulls: a type is told for these too.
        nothing = exp.select("*").from_(asked(spec)).limit(0).subquery("nothing")
        types = [
            exp.alias_(exp.cast(exp.func("pg_typeof", column(name)), "text"), f"t{at}")
            for at, name in enumerate(floats)
        ]
        one = exp.select(exp.alias_(exp.Literal.number(1), "one")).subquery("one")
        query = exp.select(*types).from_(one).join(nothing, on=exp.true(), join_type="left")
        names = zip(floats, self.one_row(connection, query, spec), strict=True)
        return frozenset(decimals | {name for name, kind in names if not kind.startswith("double precision")})


class MysqlRows(ServerRows[MysqlSource]):
    """Rows of MySQL and MariaDB."""

    function, extension, extra = "mysql_query", "mysql_scanner", "mysql"

    def place_of(self, server: Server) -> str:
        """Return that a path is a socket."""
        return "SOCKET" if server.host.startswith("/") else "HOST"

    def options(self, connection: duckdb.DuckDBPyConnection, spec: MysqlSource, server: Server) -> str:
        """Return nothing; see that there is a server, for which the scanner would wait for minutes, and set rules.

        A TINYINT(1) is a number, as the database has it; instants come in UTC; dates without a day or a month are null.
        """
        if not server.host.startswith("/"):
            socket.create_connection((server.host, server.port or _MYSQL_PORT), _CONNECT_SECONDS).close()
        connection.execute("SET mysql_tinyint1_as_boolean = false")
        connection.execute("SET mysql_session_time_zone = '+00:00'")
        connection.execute("SET mysql_incomplete_dates_as_nulls = true")
        connection.execute(f"SET mysql_query_timeout_max_ms = {int(spec.timeout.shortest.total_seconds() * 1_000)}")
        return ""

    def cells(self, connection: duckdb.DuckDBPyConnection, spec: MysqlSource) -> Mapping[str, exp.Expr]:
        """Return columns as they are, and as text those that the scanner does not know, or would round."""
        found, declared = self.columns(connection, spec), self._declared(connection, spec)
        as_text = {name for name, kind in declared.items() if kind in _TEXT_OF_MYSQL}
        as_text |= {name for name, kind in declared.items() if kind.endswith("text") and found.get(name) == "BLOB"}
        as_text |= {name for name, kind in found.items() if kind == "DOUBLE" and declared.get(name) == "decimal"}
        return {name: self.text(column(name)) if name in as_text else column(name) for name in found}

    def text(self, value: exp.Expr) -> exp.Expr:
        """Return a value as text, which is not called so here."""
        return exp.Cast(this=value, to=exp.DataType.build("char"))

    def shapes(self, connection: duckdb.DuckDBPyConnection, spec: MysqlSource) -> Mapping[str, exp.Expr]:
        """Return the instants as such: the scanner has them as times without a zone."""
        declared = self._declared(connection, spec)
        return {name: cast_to(column(name), "timestamptz") for name, kind in declared.items() if kind == "timestamp"}

    def said(self, spec: MysqlSource, error: Exception) -> str:
        """Return what the server said, or that there is none."""
        if isinstance(error, OSError) and not isinstance(error, duckdb.Error):
            return f"no connection: {error.strerror or 'no answer within 10 seconds'}"
        return super().said(spec, error)

    def _declared(self, connection: duckdb.DuckDBPyConnection, spec: MysqlSource) -> dict[str, str]:
        """Return the types that the database declares, of a table; of a query it tells none."""
        if spec.table is None:
            return {}
        table = foreign_table(spec.table, spec.dialect)
        within = exp.Literal.string(table.db) if table.db else exp.Anonymous(this="DATABASE")
        query = (
            exp.select(
                exp.alias_(exp.column("COLUMN_NAME"), "name"), exp.alias_(exp.func("LOWER", "DATA_TYPE"), "kind")
            )
            .from_("information_schema.COLUMNS")
            .where(exp.EQ(this=exp.column("TABLE_NAME"), expression=exp.Literal.string(table.name)))
            .where(exp.EQ(this=exp.column("TABLE_SCHEMA"), expression=within))
        )
        return {_text(name): _text(kind) for name, kind in self.ask(connection, query, spec).fetchall()}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _decimal(name: str, kind: str) -> exp.Expr:
    value = column(name)
    why = f"column '{name}' holds NaN, which no {kind.lower()} is: declare it under `columns`, as double or varchar"
    number = exp.NEQ(this=value.copy(), expression=exp.Literal.string("NaN"))
    fit = exp.or_(exp.Is(this=value.copy(), expression=exp.null()), number)
    return refused_unless(cast_to(value, kind), why, fit)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
