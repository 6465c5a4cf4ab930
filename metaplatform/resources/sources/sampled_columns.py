"""What the columns of a sample are to each other: keys, and twins."""

from collections.abc import Sequence
from itertools import combinations, islice
from math import prod

import duckdb
from sqlglot import exp

from metaplatform.resources.sources.samples import ColumnFacts

_RECURRING = 3
"""Values recur where there are so many rows for each of them."""
_MOST_TIMES, _MOST_IN_PAIRS, _MOST_IN_TRIPLES = 4, 24, 10
_MOST_TRIED, _MOST_FOUND, _MOST_NUMBERED = 200, 3, 20
_AT_MOST_SPARSE = 3
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}


def unique_columns(columns: Sequence[ColumnFacts], rows: int) -> tuple[ColumnFacts, ...]:
    """Return the columns without nulls or repeats that name rows, rather than measure something."""
    return tuple(column for column in _naming(columns, rows) if column.distinct == rows)


def composite_keys(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[ColumnFacts], rows: int
) -> tuple[tuple[str, ...], ...]:
    """Return pairs of columns without repeats that name rows, or else triples, the tightest first.

    A pair is tight where nearly all that its values could be combined to is there. Where a single column does,
    pairs that hold it say nothing.
    """
    naming = [column for column in _naming(columns, rows) if 1 < column.distinct < rows]
    timed = [column for column in naming if column.first]
    others = sorted((column for column in naming if not column.first), key=lambda each: each.distinct)
    for size, most in ((2, _MOST_IN_PAIRS), (3, _MOST_IN_TRIPLES)):
        # Most rows in common keys are told apart by when they are, and by the finest of the rest.
        kept = [*timed[:_MOST_TIMES], *others[: most // 2], *others[most // 2 :][-(most // 2) :]]
        groups = [group for group in combinations(kept, size) if prod(each.distinct for each in group) >= rows]
        groups.sort(key=lambda group: prod(each.distinct for each in group))
        keys = [tuple(each.name for each in columns if each in group) for group in groups]
        found = (key for key in keys[:_MOST_TRIED] if _is_key(connection, table, key, rows))
        if some := tuple(islice(found, _MOST_FOUND)):
            return some
    return ()


def numbered_columns(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[ColumnFacts], rows: int
) -> frozenset[str]:
    """Return those of ``columns`` whose whole numbers count the rows: hardly more numbers than rows, or in order."""
    found = set()
    for column in columns[:_MOST_NUMBERED]:
        whole = "bigint" in column.fits or column.type in _WHOLE
        if not whole:
            continue
        value = exp.cast(exp.column(column.name, quoted=True), "hugeint", dialect="duckdb").sql("duckdb")
        span, rising = connection.execute(
            f"SELECT max(n) - min(n) + 1, avg((n > before)::int) "  # noqa: S608  # names of ours
            f"FROM (SELECT n, lag(n) OVER (ORDER BY place) AS before "
            f"FROM (SELECT {value} AS n, rowid AS place FROM {table}))"
        ).fetchall()[0]
        if span <= _AT_MOST_SPARSE * rows or (rising is not None and rising == 1):
            found.add(column.name)
    return frozenset(found)


def twin_columns(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[ColumnFacts], name: str | None, rows: int
) -> tuple[str, ...]:
    """Return the columns whose values go one to one with those of ``name``, where values recur."""
    one = next((column for column in columns if column.name == name), None)
    if one is None or not 1 < one.distinct <= rows / _RECURRING:
        return ()
    found = []
    for other in columns:
        if other.name == name or other.distinct != one.distinct:
            continue
        pair = [exp.column(each, quoted=True) for each in (one.name, other.name)]
        both = exp.and_(*(exp.Not(this=exp.Is(this=each.copy(), expression=exp.null())) for each in pair))
        pairs = exp.select(*pair).distinct().from_(table).where(both)
        counted = exp.select(exp.Count(this=exp.Star())).from_(pairs.subquery("pairs"))
        if connection.execute(counted.sql("duckdb")).fetchall()[0][0] == one.distinct:
            found.append(other.name)
    return tuple(found)


def _naming(columns: Sequence[ColumnFacts], rows: int) -> list[ColumnFacts]:
    return [column for column in columns if column.values == rows and _plain(column.type) and not column.is_measure]


def _plain(kind: str) -> bool:
    return not kind.startswith(("STRUCT", "MAP", "UNION", "DOUBLE", "FLOAT", "BLOB")) and not kind.endswith("]")


def _is_key(connection: duckdb.DuckDBPyConnection, table: str, key: tuple[str, ...], rows: int) -> bool:
    inner = exp.select(*(exp.column(name, quoted=True) for name in key)).distinct().from_(table)
    counted = exp.select(exp.Count(this=exp.Star())).from_(inner.subquery("keys"))
    return bool(connection.execute(counted.sql("duckdb")).fetchall()[0][0] == rows)
