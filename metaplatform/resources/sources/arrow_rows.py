"""Rows made in Python, as a stream of batches: never all of them at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

import duckdb
import pyarrow as pa

_AT_ONCE = 20_000


def batches(schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> pa.RecordBatchReader:
    """Return rows, each a sequence of the values of the columns of ``schema``, as they come."""

    def made() -> Iterator[pa.RecordBatch]:
        left = iter(rows)
        while some := list(islice(left, _AT_ONCE)):
            arrays = [
                pa.array(values, field.type) for field, values in zip(schema, zip(*some, strict=True), strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, made())


def keep_rows(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    stream: pa.RecordBatchReader,
    *,
    most: int | None = None,
    shape: Callable[[duckdb.DuckDBPyRelation], duckdb.DuckDBPyRelation] = lambda rows: rows,
) -> None:
    """Make a table of a stream's rows, the first ``most`` of them, each batch in the ``shape`` that is given to it.

    The batches are fetched here and not by DuckDB, whose threads would ask for them: a stream of Python's that these
    leave half read (a limit, an error, Ctrl-C) hangs or aborts the process at its end.
    """
    with closing(stream):
        shape(connection.from_arrow(stream.schema.empty_table())).create(table)
        left = most
        while left is None or left > 0:
            try:
                batch = stream.read_next_batch()
            except StopIteration:
                return
            some = pa.Table.from_batches([batch]).slice(0, left)
            shape(connection.from_arrow(some)).insert_into(table)
            left = None if left is None else left - some.num_rows


def text_columns(names: Iterable[str]) -> pa.Schema:
    """Return a schema of columns of text."""
    return pa.schema([pa.field(name, pa.string()) for name in names])
