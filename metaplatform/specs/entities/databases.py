"""Sources that are rows of a database: a table, or what a query of the database's own SQL gives."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from metaplatform.specs.entities.ingestion import Source
from metaplatform.specs.fields.addresses import holds_credentials, is_url, shown_path
from metaplatform.specs.fields.base import ColumnName, EnvironmentVariable, Interval
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.faults import Fault
from metaplatform.specs.fields.references import Path
from metaplatform.sql.foreign_sql import foreign_query, foreign_table
from metaplatform.sql.sql_safety import SqlError


class DatabaseSource(Source):
    """Rows of a database: of one ``table`` or view, or of one ``query``, a SELECT in the database's own SQL.

    A ``table`` is written as the database writes it, with its schema where it has one. So long after a run has asked
    for other rows (``ask_every``) another one does. A reading that has not ended after ``timeout`` is given up.
    """

    dialect: ClassVar[str]
    """The database's SQL, as sqlglot calls it."""
    table: str | None = Field(default=None, min_length=1)
    query: str | None = Field(default=None, min_length=1)
    ask_every: Interval = Duration(seconds=900)
    timeout: Interval = Duration(seconds=3_600)

    @property
    def where(self) -> str:
        """Return which database it is, as messages may call it."""
        raise NotImplementedError

    @property
    def origin(self) -> tuple[Path, str]:
        """Return the field that says which rows they are, and how messages call these."""
        if self.table is None:
            return ("query",), f"the query of {self.where}"
        return ("table",), f"{self.table[:80]} of {self.where}"

    @property
    def asked_every(self) -> Duration:
        """Return how often the loop has a run ask whether there are other rows."""
        return self.ask_every

    @property
    def policy_fields(self) -> frozenset[str]:
        """Return also what decides when, and for how long, the database is asked: it makes no row another."""
        return super().policy_fields | {"ask_every", "timeout"}

    def faults(self) -> Iterator[Fault]:
        """Yield a query that does more than read, and what cannot be the name of a table."""
        yield from super().faults()
        try:
            if self.query is not None:
                foreign_query(self.query, self.dialect)
            if self.table is not None:
                foreign_table(self.table, self.dialect)
        except SqlError as error:
            yield Fault(error.rule, self.origin[0], error.culprit, error.message, error.fix)

    @model_validator(mode="after")
    def _one_of_table_and_query(self) -> "DatabaseSource":
        if (self.table is None) == (self.query is None):
            raise ValueError("a source of a database has either a table or a query")
        return self


class ServerSource(DatabaseSource):
    """Rows of a database server, whose URL stands in the environment variable ``url_env`` or in a file.

    The file is the one that the variable with ``_FILE`` behind its name says, as containers are given secrets.
    ``watermark`` is a column that grows with every change of a row, such as ``updated_at``: then a run reads rows only
    where its largest value, or their number, is another than before. Without it they are read whenever a run asks.
    """

    schemes: ClassVar[tuple[str, ...]]
    """What the database's URLs may begin with; the first is the one that people are shown."""
    url_env: EnvironmentVariable
    watermark: ColumnName | None = None

    @property
    def where(self) -> str:
        """Return the variable's name."""
        return self.url_env

    @property
    def policy_fields(self) -> frozenset[str]:
        """Return also the watermark: it decides when rows are read."""
        return super().policy_fields | {"watermark"}


class PostgresSource(ServerSource):
    """Rows of PostgreSQL, or of a database that speaks its language."""

    dialect = "postgres"
    schemes = ("postgresql", "postgres")
    kind: Literal["postgres"]


class MysqlSource(ServerSource):
    """Rows of MySQL or MariaDB."""

    dialect = "mysql"
    schemes = ("mysql", "mariadb")
    kind: Literal["mysql"]


class DatabaseFileSource(DatabaseSource):
    """Rows of a database in a file, ``path``, relative to the book's project folder."""

    endings: ClassVar[tuple[str, ...]]
    """The endings of such files' names, lower case."""
    path: str = Field(min_length=1)

    @property
    def where(self) -> str:
        """Return the path, of which nothing that looks like a secret is shown."""
        return shown_path(self.path)

    def faults(self) -> Iterator[Fault]:
        """Yield also a path that is an address."""
        yield from super().faults()
        if is_url(self.path) or holds_credentials(self.path):
            message = "a database in a file is named by its path"
            yield Fault("invalid-path", ("path",), self.where, message, "give the path of a file below the project's")


class SqliteSource(DatabaseFileSource):
    """Rows of an SQLite file. Its types belong to values, not to columns: they are read as those of a CSV file are."""

    dialect = "sqlite"
    endings = (".sqlite", ".sqlite3", ".db", ".db3")
    kind: Literal["sqlite"]


class DuckDBSource(DatabaseFileSource):
    """Rows of a DuckDB file."""

    dialect = "duckdb"
    endings = (".duckdb", ".ddb")
    kind: Literal["duckdb"]
