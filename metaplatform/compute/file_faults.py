"""What of each file is turned away: how many rows, what tells them from others, and when the first of them is about."""

from datetime import datetime

import ibis
from sqlglot import exp

from metaplatform.compute.ingestion import MOMENT
from metaplatform.compute.instants import literal
from metaplatform.compute.sql_columns import Steps, column, named, source
from metaplatform.naming import FILE
from metaplatform.sql.dialect import call, cast_to


def faults_by_file(faulty: ibis.Table, *, owner: str, within: tuple[datetime, datetime] | None) -> ibis.Table:
    """Return the rows that were turned away, by file.

    Columns: ``file``, ``rows``, ``content`` (text that changes with the rows, not with their order), and ``first``: the
    earliest of their event timestamps, in microseconds since 1970, that is one of those ``within``; null if none is.
    """
    content = exp.Sum(this=call("hash", *(column(name) for name in sorted(faulty.columns))))
    first: exp.Expr = cast_to(exp.null(), "bigint")
    if within is not None:
        bounds = exp.Between(this=column(MOMENT), low=literal(within[0]), high=literal(within[1]))
        earliest = exp.Min(this=call("epoch_us", column(MOMENT)))
        first = exp.Filter(this=earliest, expression=exp.Where(this=bounds))
    query = exp.select(
        named(column(FILE), "file"),
        named(exp.Count(this=exp.Star()), "rows"),
        named(cast_to(content, "varchar"), "content"),
        named(first, "first"),
    )
    return Steps(owner, {"rows": faulty}).finish(query.from_(source("rows")).group_by(column(FILE)))
