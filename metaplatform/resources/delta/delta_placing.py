"""Rows on their way into a table's partitions: each with the key of its own, in the order of the keys."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metaplatform.errors import DataError
from metaplatform.naming import PARTITION


def in_partition(batches: Iterable[pa.RecordBatch], key: str) -> Iterator[pa.RecordBatch]:
    """Yield the batches with ``key`` as the partition of all rows, whatever they say themselves."""
    for batch in batches:
        others = [name for name in batch.schema.names if name != PARTITION]
        yield batch.select(others).append_column(PARTITION, pa.repeat(pa.scalar(key), len(batch)))


def in_order(batches: Iterable[pa.RecordBatch], partitions: frozenset[str], *, owner: str) -> Iterator[pa.RecordBatch]:
    """Yield the batches, having seen that the rows are ordered by ``_partition`` and belong to ``partitions``.

    Raises:
        DataError: if there is no such column, or a row is of another partition or out of order.
    """
    last = ""
    for batch in batches:
        if PARTITION not in batch.schema.names:
            raise DataError(owner=owner, culprit=f"rows without {PARTITION}", fix="select it beside the other columns")
        if not len(batch):
            continue
        for key in _runs(batch[PARTITION].cast(pa.string())):
            if key is None or key not in partitions:
                raise DataError(
                    owner=owner, culprit=f"a row whose {PARTITION} is {key}", fix="write it to its own partition"
                )
            if key < last:
                raise DataError(
                    owner=owner,
                    culprit=f"a row of partition {key} after rows of {last}",
                    fix=f"order the rows by {PARTITION}",
                )
            last = key
        yield batch


def _runs(keys: "pa.Array[Any]") -> list[str | None]:
    """Return the keys in their order, one that follows itself once."""
    encoded: Any = pc.call_function("run_end_encode", [keys])
    runs: list[str | None] = encoded.values.to_pylist()
    return runs
