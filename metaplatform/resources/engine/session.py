"""What the platform asks of an engine: tables in, Ibis expressions through, Arrow batches out."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend
from sqlglot import exp

FileKind = Literal["parquet", "csv"]
"""What an engine writes rows to, beside tables."""


class Session(Protocol):
    """An engine at work on the tables of a storage root, from :meth:`Warehouse.session`; nothing of it outlives it.

    ``folder`` holds its temporary files; ``threads`` is how many it may take, and those who work with its rows.
    ``release`` tells its engine from others, which may hash rows otherwise. Expressions of Ibis are of its ``backend``,
    which the readers of sources' files work on as well: they alone know which engine it is.
    A table is read at one version throughout, whatever is committed meanwhile.
    """

    backend: Backend
    folder: Path
    threads: int
    release: str

    def table(self, ref: str, *, version: int | None = None) -> ibis.Table:
        """Return table ``ref`` as it was at ``version`` of its Delta log (default: when first asked for).

        Raises:
            StorageError: if there is no such table or version.
        """

    def query(self, sql: exp.Query, tables: Mapping[str, ibis.Table], *, owner: str = "query") -> ibis.Table:
        """Return the result of a query of the book, in the book's dialect, its references read from ``tables``.

        Raises:
            DataError: if a table is not among ``tables``, or the query does not fit their columns.
        """

    def query_each(
        self,
        sql: exp.Query,
        tables: Mapping[str, ibis.Table],
        *,
        apart: Collection[str],
        partitions: Sequence[str],
        owner: str = "query",
    ) -> ibis.Table:
        """Return the results of a query for each of ``partitions``, which is the column ``_partition`` of its rows.

        Each is the result over the rows of that partition in the tables ``apart``, and over all rows of the others.

        Raises:
            DataError: as :meth:`query`, and for a query that the engine cannot answer for many partitions at once.
        """

    def keep(self, expr: ibis.Table, *, owner: str = "query") -> ibis.Table:
        """Return ``expr`` computed once into a table of this session, for expressions that are read twice.

        Raises:
            DataError: if a row makes the computation fail.
        """

    def stream(self, expr: ibis.Table, *, chunk: int = 100_000, owner: str = "query") -> pa.RecordBatchReader:
        """Return the rows of ``expr`` as a stream of batches of ``chunk`` rows; several may be open at once.

        Sums of integers come as BIGINT, as Ibis has them.

        Raises:
            DataError: here or while reading, if a row makes the computation fail.
            StorageError: likewise, if disk or memory does.
        """

    def export(self, expr: ibis.Table, path: Path, *, kind: FileKind, owner: str = "query") -> int:
        """Write the rows of ``expr`` to one file, as they are computed; return how many.

        Raises:
            DataError: if a row makes the computation fail.
            StorageError: if the file cannot be written.
        """
