"""What of a table has happened by a moment."""

from datetime import datetime

import ibis

from metaplatform.compute.sql_columns import Scope
from metaplatform.specs.entities.ingestion import TimedTable
from metaplatform.specs.fields.partitions import Window


def visible(table: ibis.Table, spec: TimedTable, *, now: datetime, window: Window | None) -> ibis.Table:
    """Return the rows that have happened by ``now`` (event timestamp before it), of ``window`` only if given.

    A table without an event timestamp is visible as a whole.
    """
    if spec.event_timestamp is None:
        return table
    moment = table[_column_like(table, spec.event_timestamp)]
    seen = table.filter(moment < ibis.literal(now))
    if window is None:
        return seen
    return seen.filter(moment >= ibis.literal(window.start), moment < ibis.literal(window.end))


def _column_like(table: ibis.Table, name: str) -> str:
    return Scope.of(table.columns, "table").find(name)
