"""Types of columns of text that nobody declared: such that no value changes, otherwise they stay text."""

from collections.abc import Iterator, Mapping, Sequence

import duckdb
from ibis.util import gen_name
from sqlglot import exp

from metaplatform.naming import FILE
from metaplatform.sql.written_values import Written

_LOOKED_AT_FIRST = 2_000
_TESTS_AT_ONCE = 500
Readings = Mapping[str, Sequence[exp.Expr]]
"""Column → the ways to read it, in the order they are tried: each gives a typed value, or null where it changes."""


def typed_by_values(connection: duckdb.DuckDBPyConnection, table: str, written: Written) -> str:
    """Return the name of a table with the columns of ``table``, all text, in the types that their values have.

    ``written`` says how they are written.
    """
    columns = [name for name in connection.table(table).columns if name != FILE]
    readings = {name: tuple(written.guesses(exp.column(name, quoted=True)).values()) for name in columns}
    return typed(connection, table, readings)


def typed(connection: duckdb.DuckDBPyConnection, table: str, readings: Readings) -> str:
    """Return the name of a table like ``table`` with each column by the first reading that changes no value of it.

    Columns without a value, and those that no reading fits, stay as they are; ``table`` is dropped.
    """
    # A few rows rule out most readings, so that the many are asked little.
    likely = fitting(connection, f"(FROM {table} LIMIT {_LOOKED_AT_FIRST})", readings)
    left = {name: [readings[name][at] for at in numbers] for name, numbers in likely.items()}
    chosen: dict[str, exp.Expr] = {}
    while pending := {name: tests for name, tests in left.items() if tests and name not in chosen}:
        held = fitting(connection, table, {name: tests[:1] for name, tests in pending.items()})
        chosen |= {name: pending[name][0] for name, numbers in held.items() if numbers}
        left = {name: tests[1:] for name, tests in pending.items()}
    filled = set(_filled(connection, table, list(chosen)))
    return _retyped(connection, table, {name: reading for name, reading in chosen.items() if name in filled})


def fitting(
    connection: duckdb.DuckDBPyConnection,
    rows: str,
    readings: Readings,
    *,
    values: Mapping[str, exp.Expr] | None = None,
) -> dict[str, list[int]]:
    """Return for each column the numbers of its readings that give a value wherever the column has one.

    ``rows`` is a table, or a query in parentheses; ``values`` are what counts as a column's value, if not all does.
    """
    known = values or {}
    tests = [
        (name, number, known.get(name, exp.column(name, quoted=True)), reading)
        for name, each in readings.items()
        for number, reading in enumerate(each)
    ]
    found: dict[str, list[int]] = {name: [] for name in readings}
    for start in range(0, len(tests), _TESTS_AT_ONCE):
        some = tests[start : start + _TESTS_AT_ONCE]
        counted = exp.select(*(_count_of_changes(value, reading) for _, _, value, reading in some))
        row = connection.execute(f"{counted.sql('duckdb')} FROM {rows}").fetchall()[0]
        for (name, number, _, _), changes in zip(some, row, strict=True):
            if not changes:
                found[name].append(number)
    return found


def _count_of_changes(value: exp.Expr, reading: exp.Expr) -> exp.Expr:
    there = exp.not_(exp.Is(this=value.copy(), expression=exp.null()))
    changed = exp.and_(there, exp.Is(this=reading.copy(), expression=exp.null()))
    return exp.func("count_if", changed, dialect="duckdb")


def _filled(connection: duckdb.DuckDBPyConnection, table: str, names: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(names), _TESTS_AT_ONCE):
        some = names[start : start + _TESTS_AT_ONCE]
        counted = exp.select(*(exp.Count(this=exp.column(name, quoted=True)) for name in some)).from_(table)
        found = connection.execute(counted.sql("duckdb")).fetchall()[0]
        yield from (name for name, values in zip(some, found, strict=True) if values)


def _retyped(connection: duckdb.DuckDBPyConnection, table: str, chosen: Mapping[str, exp.Expr]) -> str:
    if not chosen:
        return table
    name = gen_name("typed")
    selected = [
        exp.alias_(chosen[column].copy() if column in chosen else exp.column(column, quoted=True), column, quoted=True)
        for column in connection.table(table).columns
    ]
    connection.execute(f"CREATE TABLE {name} AS {exp.select(*selected).from_(table).sql('duckdb')}")
    connection.execute(f"DROP TABLE {table}")
    return name
