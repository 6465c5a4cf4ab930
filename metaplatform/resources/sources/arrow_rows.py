"""Rows made in Python, as a stream of batches: never all of them at once."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

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


def text_columns(names: Iterable[str]) -> pa.Schema:
    """Return a schema of columns of text."""
    return pa.schema([pa.field(name, pa.string()) for name in names])
