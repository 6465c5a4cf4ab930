"""How the rows of the two kinds are read."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa

from acme_sources import KeyValueSource, SqliteSource
from metaplatform.kinds.work import (
    FileReader,
    OpenedFile,
    Place,
    RecordFormat,
    Reject,
    RowReader,
    RowSource,
    SourceState,
    batches,
    numbered_lines,
    text_columns,
)


class SqliteRows(RowSource[SqliteSource]):
    """SQLite has types by value, not by column: all is text, and the book declares what it is."""

    types = "text"

    def state(self, spec: SqliteSource, place: Place) -> SourceState:
        """Return size and time of the database and its log; of one on a server, ask for its newest change."""
        file = place.file(spec.database, owner=f"raw.{spec.name}")
        found = [each.stat() for each in (file, file.with_name(f"{file.name}-wal")) if each.exists()]
        return SourceState(" ".join(f"{each.st_size} {each.st_mtime_ns}" for each in found if each.st_size))

    def rows(self, spec: SqliteSource, place: Place) -> pa.RecordBatchReader:
        """Return all rows of the table, fetched as they are asked for."""
        file = place.file(spec.database, owner=f"raw.{spec.name}")
        quoted = spec.table.replace('"', '""')
        query = f'SELECT * FROM "{quoted}"'  # noqa: S608

        def fetched() -> Iterator[list[str | None]]:
            with closing(_opened(file.as_uri())) as database:
                for row in database.execute(query):
                    yield [None if value is None else str(value) for value in row]

        with closing(_opened(file.as_uri())) as database:
            names = [column for column, *_ in database.execute(f"{query} LIMIT 0").description]
        return batches(text_columns(names), fetched())


class KeyValueLines(RecordFormat[KeyValueSource]):
    """A line is a row; one with a word that is not `key=value` is not."""

    def records(self, spec: KeyValueSource, file: OpenedFile, reject: Reject) -> pa.RecordBatchReader:
        """Return the declared names of each line, as text."""

        def read() -> Iterator[list[str | None]]:
            for number, line in numbered_lines(file):
                pairs = [word.partition("=") for word in line.split()]
                if not all(sign for _, sign, _ in pairs):
                    reject(number, "a word of it is not key=value", line)
                    continue
                found = {key: value for key, _, value in pairs}
                yield [found.get(name) for name in spec.names]

        return batches(text_columns(spec.names), read())


def _opened(address: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{address}?mode=ro", uri=True, check_same_thread=False)


SQLITE, KEY_VALUE = RowReader(SqliteRows()), FileReader(KeyValueLines())
