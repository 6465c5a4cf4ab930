"""Which rows of a table are meant: those of a partition, of a span of time, of what has happened by a moment."""

from collections.abc import Collection
from datetime import datetime

import ibis

from metaplatform.compute.sql_columns import Scope
from metaplatform.naming import PARTITION
from metaplatform.specs.entities.ingestion import TimedTable
from metaplatform.specs.fields.partitions import Window
from metaplatform.specs.fields.reads import Reach


def in_partition(table: ibis.Table, partition: str | None) -> ibis.Table:
    """Return the rows of a stored table's partition; all of them if there is none."""
    return table.filter(table[PARTITION] == partition) if partition else table


def in_partitions(table: ibis.Table, partitions: Collection[str]) -> ibis.Table:
    """Return the rows of any of a stored table's partitions."""
    return table.filter(table[PARTITION].isin(list(partitions)))


def within(table: ibis.Table, column: str, start: datetime, end: datetime) -> ibis.Table:
    """Return the rows whose moment in ``column`` lies in ``[start, end)``."""
    moment = table[column]
    return table.filter(moment >= ibis.literal(start), moment < ibis.literal(end))


def read_by(table: ibis.Table, partition: str, window: Window, reach: Reach, moment: str | None) -> ibis.Table:
    """Return what a partition, which spans ``window``, reads of a table with event timestamp ``moment``."""
    if reach.kind == "same":
        return in_partition(table, partition)
    if reach.kind != "span" or moment is None:
        return table
    span = reach.interval(window)
    return within(table, moment, span.start, span.end)


def visible(table: ibis.Table, spec: TimedTable, *, now: datetime, window: Window | None) -> ibis.Table:
    """Return the rows that have happened by ``now`` (event timestamp before it), of ``window`` only if given.

    A table without an event timestamp is visible as a whole.
    """
    if spec.event_timestamp is None:
        return table
    column = Scope.of(table.columns, "table").find(spec.event_timestamp)
    seen = table.filter(table[column] < ibis.literal(now))
    return within(seen, column, window.start, window.end) if window else seen
