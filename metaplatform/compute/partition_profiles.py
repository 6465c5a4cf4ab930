"""What each partition of a source's rows holds, for counting it and for telling a changed one apart."""

import ibis
from sqlglot import exp

from metaplatform.compute.instants import MICROSECONDS
from metaplatform.compute.local_time import grain, in_period, key, periods_table
from metaplatform.compute.sql_columns import ROW, Scope, Steps, all_columns, column, named, source, text
from metaplatform.naming import PARTITION
from metaplatform.specs.entities.ingestion import Source
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.sql.dialect import call, cast_to

_DAYS = PartitionSpec(every="day", start="1970-01-01")


def partition_profiles(table: ibis.Table, spec: Source, *, moment: str | None = None) -> ibis.Table:
    """Return what each partition of a source's rows holds, for telling a changed one apart.

    Columns: ``partition`` (as ``PartitionSpec.key_of``; the UTC day of a source with an event timestamp alone, ``""``
    without one), ``rows``, and ``fingerprint``: text that depends on the partition's rows and columns, not on the
    order of either. It is DuckDB's hash, so another version of DuckDB may see everything as changed, once.
    ``moment`` names the column of event timestamps where it is not the source's; rows without one are in none.
    """
    scheme = (spec.partitions or _DAYS) if spec.event_timestamp else None
    return row_profiles(table, owner=spec.ref, scheme=scheme, moment=moment or spec.event_timestamp)


def row_profiles(
    table: ibis.Table, *, owner: str, scheme: PartitionSpec | None = None, moment: str | None = None
) -> ibis.Table:
    """Return what a table holds in each period of ``scheme``, by ``moment``, or in all; see ``partition_profiles``."""
    steps = Steps(owner, {"rows": table})
    content = exp.Sum(this=call("hash", *(column(name) for name in sorted(table.columns))))
    counted = [named(exp.Count(this=exp.Star()), "rows"), named(content, "content")]
    if scheme is None or moment is None:
        whole = exp.select(*counted).from_(source("rows"))
        return _profiles(steps, steps.add("whole", whole), text(""))
    seconds = grain(scheme)
    timed = call("epoch_us", column(_column_like(table, moment)))
    slot = exp.Sub(this=timed, expression=_modulo(timed, seconds * MICROSECONDS))
    # Whole slots of time are keyed, not rows: keys of rows would be text made from each timestamp.
    slots = exp.select(named(slot, "slot"), *counted).from_(source("rows")).group_by(exp.Literal.number(1))
    second = exp.IntDiv(this=column("slot", ROW), expression=exp.Literal.number(MICROSECONDS))
    query = exp.select(column("rows", ROW), column("content", ROW), named(key(second, scheme), "partition"))
    query = query.from_(source(steps.add("slots", slots)))
    query.append("joins", exp.Join(this=periods_table(scheme), on=in_period(second)))
    return _profiles(steps, steps.add("keyed", query), column("partition"))


def by_partition(table: ibis.Table, *, owner: str, scheme: PartitionSpec, moment: str) -> ibis.Table:
    """Return the rows with the key of the partition that each belongs to by ``moment``, and in that order."""
    steps = Steps(owner, {"rows": table})
    query = _keyed(exp.select(all_columns(ROW)).from_(source("rows")), table, scheme, moment, PARTITION)
    return steps.finish(query).order_by(PARTITION)


def profiles_by(table: ibis.Table, group: str, *, owner: str, scheme: PartitionSpec | None, moment: str) -> ibis.Table:
    """Return what a table holds for each value of the text column ``group``; see ``partition_profiles``.

    With ``scheme`` it is told apart by the period of ``moment`` too, in the column ``period``.
    """
    steps = Steps(owner, {"rows": table})
    columns = [column(name, ROW) for name in sorted(table.columns) if name != group]
    counted = [named(exp.Count(this=exp.Star()), "rows"), named(exp.Sum(this=call("hash", *columns)), "content")]
    query = exp.select(named(column(group, ROW), "partition")).from_(source("rows"))
    query = _keyed(query, table, scheme, moment, "period") if scheme else query.select(named(text(""), "period"))
    step = steps.add("counted", query.select(*counted).group_by(exp.Literal.number(1), exp.Literal.number(2)))
    return _profiles(steps, step, column("partition"), column("period"))


def _keyed(query: exp.Select, table: ibis.Table, scheme: PartitionSpec, moment: str, name: str) -> exp.Select:
    """Select the key of the period of ``scheme`` in which a row's ``moment`` lies, as ``name``."""
    timed = call("epoch_us", column(_column_like(table, moment), ROW))
    whole = exp.Paren(this=exp.Sub(this=timed, expression=_modulo(timed, MICROSECONDS)))
    second = exp.IntDiv(this=whole, expression=exp.Literal.number(MICROSECONDS))
    query = query.select(named(key(second, scheme), name))
    query.append("joins", exp.Join(this=periods_table(scheme), on=in_period(second)))
    return query


def moment_span(table: ibis.Table, spec: Source) -> ibis.Table:
    """Return one row: ``first`` and ``last`` event timestamp of a conformed table, in microseconds since 1970."""
    steps = Steps(spec.ref, {"rows": table})
    moment = call("epoch_us", column(_column_like(table, spec.event_timestamp or "")))
    ends = [named(exp.Min(this=moment.copy()), "first"), named(exp.Max(this=moment), "last")]
    return steps.finish(exp.select(*ends).from_(source("rows")))


def _modulo(value: exp.Expr, divisor: int) -> exp.Expr:
    """Return the remainder, never negative: there were years before 1970."""
    by = exp.Literal.number(divisor)
    remainder = exp.Paren(this=exp.Mod(this=value.copy(), expression=by))
    return exp.Mod(this=exp.Paren(this=exp.Add(this=remainder, expression=by.copy())), expression=by.copy())


def _profiles(steps: Steps, step: str, *groups: exp.Expr) -> ibis.Table:
    rows = cast_to(exp.Sum(this=column("rows")), "bigint")
    content = exp.Coalesce(this=exp.Sum(this=column("content")), expressions=[exp.Literal.number(0)])
    fingerprint = cast_to(content, "varchar")
    keys = [named(group, name) for group, name in zip(groups, ("partition", "period"), strict=False)]
    query = exp.select(*keys, named(rows, "rows"), named(fingerprint, "fingerprint"))
    return steps.finish(query.from_(source(step)).group_by(*(exp.Literal.number(n) for n in range(1, len(keys) + 1))))


def _column_like(table: ibis.Table, name: str) -> str:
    return Scope.of(table.columns, "table").find(name)
