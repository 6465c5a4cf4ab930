"""How the moments of a sample's columns lie: how densely, how regularly, in which order."""

from collections.abc import Mapping, Sequence
from itertools import permutations

import duckdb
from sqlglot import exp

from metaplatform.resources.sources.column_facts import moment_sql
from metaplatform.resources.sources.samples import ColumnFacts, TimeFacts

GRAINS = ("hour", "day", "week", "month", "quarter", "year")
_MOST = 12
"""So many columns with moments are looked at: a table with more is not a series of one kind of event."""
_HARDLY_EVER = 0.02
_DAY = 86_400


def time_facts(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[ColumnFacts], rows: int
) -> tuple[Mapping[str, TimeFacts], frozenset[tuple[str, str]]]:
    """Return how the moments of each column that has one for every row lie, and which columns are before which."""
    timed = [column for column in columns if column.first and column.last and column.values == rows][:_MOST]
    facts = {column.name: _facts(connection, table, column, rows) for column in timed}
    return facts, _earlier(connection, table, timed)


def _facts(connection: duckdb.DuckDBPyConnection, table: str, column: ColumnFacts, rows: int) -> TimeFacts:
    moment = moment_sql(column).sql("duckdb")
    slots = ", ".join(f"count(DISTINCT date_trunc('{grain}', t))" for grain in GRAINS)
    spans = ", ".join(f"epoch(max(t) FILTER ({half}) - min(t) FILTER ({half}))" for half in ("early", "NOT early"))
    found = connection.execute(
        f"SELECT count(DISTINCT t), avg((t::time <> TIME '00:00:00')::int), quantile_disc(t, 0.99), "  # noqa: S608
        f"avg((t >= before)::int), avg((t <= before)::int), epoch(max(t) - min(t)), {spans}, {slots} "
        f"FROM (SELECT t, place < {rows // 2} AS early, lag(t) OVER (ORDER BY place) AS before "
        f"FROM (SELECT {moment} AS t, rowid AS place FROM {table}))"
    ).fetchall()[0]
    distinct, clocked, mostly_by, rising, falling, span, *halves = found[:8]
    # Of files in the order of time, the first and last rows tell the pace; the gap between the two does not.
    paces = [rows / max(span / _DAY, 1), *(rows / 2 / max((half or 0) / _DAY, 1) for half in halves if rows > _MOST)]
    in_order = 1.0 if rising is None else max(rising, falling)
    return TimeFacts(distinct, clocked, in_order, max(paces), dict(zip(GRAINS, found[8:], strict=True)), mostly_by)


def _earlier(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[ColumnFacts]
) -> frozenset[tuple[str, str]]:
    pairs = list(permutations(columns, 2))
    if not pairs:
        return frozenset()
    behind = [exp.GT(this=moment_sql(one), expression=moment_sql(other)).sql("duckdb") for one, other in pairs]
    shares = ", ".join(f"avg(({each})::int)" for each in behind)
    found = connection.execute(f"SELECT {shares} FROM {table}").fetchall()[0]  # noqa: S608  # expressions of ours
    named = ((one.name, other.name) for one, other in pairs)
    return frozenset(pair for pair, share in zip(named, found, strict=True) if share <= _HARDLY_EVER)
