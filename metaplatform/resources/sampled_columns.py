"""What the columns of a sample are to each other: keys, and twins."""

from collections.abc import Sequence

import duckdb
from sqlglot import exp

from metaplatform.resources.samples import ColumnFacts

_RECURRING = 3
"""Values recur where there are so many rows for each of them."""


def unique_keys(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[ColumnFacts], rows: int
) -> tuple[tuple[str, ...], ...]:
    """Return keys: single columns without nulls or repeats, or else pairs and triples that have none, few first."""
    full = [column for column in columns if column.values == rows and _plain(column.type)]
    single: list[tuple[str, ...]] = [(column.name,) for column in full if column.distinct == rows]
    if single:
        return tuple(single)
    names = [column.name for column in sorted(full, key=lambda each: -each.distinct)[:6]]
    pairs: list[tuple[str, ...]] = [(one, two) for at, one in enumerate(names) for two in names[at + 1 :]]
    triples: list[tuple[str, ...]] = [(*pair, three) for pair in pairs for three in names[names.index(pair[1]) + 1 :]]
    for group in (pairs, triples):
        if found := [key for key in group if _is_key(connection, table, key, rows)]:
            return tuple(found)
    return ()


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


def _plain(kind: str) -> bool:
    return not kind.startswith(("STRUCT", "MAP", "UNION", "DOUBLE", "FLOAT", "BLOB")) and not kind.endswith("]")


def _is_key(connection: duckdb.DuckDBPyConnection, table: str, key: tuple[str, ...], rows: int) -> bool:
    inner = exp.select(*(exp.column(name, quoted=True) for name in key)).distinct().from_(table)
    counted = exp.select(exp.Count(this=exp.Star())).from_(inner.subquery("keys"))
    return bool(connection.execute(counted.sql("duckdb")).fetchall()[0][0] == rows)
