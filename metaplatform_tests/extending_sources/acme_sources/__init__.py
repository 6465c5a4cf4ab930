"""What the book says of two kinds of sources: rows of a table in SQLite, and files of `key=value` lines."""

from typing import ClassVar, Literal

from metaplatform.kinds import ColumnName, Duration, FileSource, Interval, Many, Path, Source


class SqliteSource(Source):
    """Rows of one ``table`` of ``database``, an SQLite file of the project, asked for news every ``ask_every``."""

    kind: Literal["acme_sqlite"]
    database: str
    table: str
    ask_every: Interval = Duration(seconds=900)

    @property
    def origin(self) -> tuple[Path, str]:
        """Return the field that says where the rows are, and how messages call it."""
        return ("table",), f"table {self.table} of {self.database}"

    @property
    def asked_every(self) -> Duration:
        """Return how often the loop asks whether there are other rows."""
        return self.ask_every

    @property
    def policy_fields(self) -> frozenset[str]:
        """Return also what decides when the database is asked: it makes no row another."""
        return super().policy_fields | {"ask_every"}


class KeyValueSource(FileSource):
    """Lines such as ``user=7 path=/cart``, of which ``names`` are read; what a line does not have is null."""

    endings: ClassVar = (".log",)
    kind: Literal["key_value"]
    names: Many[ColumnName]
