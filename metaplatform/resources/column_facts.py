"""The columns of a sample of rows: how many values each has, of which types they are, and between which ends.

Asked of many columns at once, so that thousands of them take seconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
from sqlglot import exp

from metaplatform.resources.guessed_types import fitting
from metaplatform.resources.samples import FEW, ColumnFacts
from metaplatform.specs.exact_casts import guesses

MARKERS = (
    *("", "NA", "N/A", "n/a", "#N/A", "<NA>", "N.A.", "n.a.", "NULL", "Null", "null", "NIL", "nil", "None", "none"),
    *("NaN", "nan", "NaT", "-", "--", ".", "?", "\\N"),
)
"""Texts that stand for nothing in files found in the wild."""
UNMISTAKABLE = frozenset({"\\N", "NULL", "null", "<NA>", "#N/A", "N/A", "n/a"})
"""Those of them that stand for nothing in a column of words too: `NA` may be Namibia, `-` a dash."""
DATE_FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d")
CLOCK_FORMATS = ("", " %H:%M", " %H:%M:%S")
_DECIMAL_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+"
_TIMES = ("date", "timestamptz", "timestamp", *(day + clock for day in DATE_FORMATS for clock in CLOCK_FORMATS))
_LOOKED_AT_FIRST = 200
_AT_ONCE = 200
_TEXT = "VARCHAR"
Step = Callable[[int, int], None]
"""Told how many columns of how many have been looked at."""


def column_facts(
    connection: duckdb.DuckDBPyConnection, table: str, *, step: Step = lambda _done, _total: None
) -> tuple[ColumnFacts, ...]:
    """Return the facts of every column of a table, in order."""
    relation = connection.table(table)
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    names = list(types)
    found: list[ColumnFacts] = []
    for start in range(0, len(names), _AT_ONCE):
        some = {name: types[name] for name in names[start : start + _AT_ONCE]}
        found += _facts(connection, table, some)
        step(len(found), len(names))
    return tuple(found)


def _facts(connection: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str]) -> Iterator[ColumnFacts]:
    markers = _markers(connection, table, [name for name, kind in types.items() if kind == _TEXT])
    values = {name: _unless_marked(name) if markers.get(name) else exp.column(name, quoted=True) for name in types}
    tests = {name: _tests(values[name]) for name, kind in types.items() if kind == _TEXT}
    fits = _fits(connection, table, values, tests)
    texts = {name: exp.cast(value.copy(), "varchar", dialect="duckdb") for name, value in values.items()}
    counts = _each(connection, table, {name: exp.Count(this=value.copy()) for name, value in values.items()})
    distinct = _each(
        connection,
        table,
        {name: exp.Count(this=exp.Distinct(expressions=[text.copy()])) for name, text in texts.items()},
    )
    few = _each(connection, table, {name: _listed(texts[name]) for name in types if distinct[name] <= FEW})
    ends = _ends(connection, table, {name: _time(name, types, values, tests, fits, counts) for name in types})
    for name, kind in types.items():
        first, last = ends.get(name, (None, None))
        told = tuple(few.get(name) or ())
        yield ColumnFacts(
            name,
            kind,
            counts[name],
            distinct[name],
            fits.get(name, frozenset()),
            markers.get(name, {}),
            first,
            last,
            told,
        )


def _each(connection: duckdb.DuckDBPyConnection, table: str, facts: Mapping[str, exp.Expr]) -> dict[str, Any]:
    """Return one value of the table for each name."""
    if not facts:
        return {}
    row = connection.execute(exp.select(*facts.values()).from_(table).sql("duckdb")).fetchall()[0]
    return dict(zip(facts, row, strict=True))


def _markers(connection: duckdb.DuckDBPyConnection, table: str, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return for each column that has some how often each marker stands in it."""
    counted = {
        name: exp.func("count_if", exp.In(this=exp.column(name, quoted=True), expressions=_marks()), dialect="duckdb")
        for name in names
    }
    found = {}
    for name, count in _each(connection, table, counted).items():
        if count:
            column = exp.column(name, quoted=True)
            query = exp.select(column, exp.Count(this=exp.Star())).from_(table)
            query = query.where(exp.In(this=column.copy(), expressions=_marks())).group_by(column.copy())
            found[name] = dict(connection.execute(query.sql("duckdb")).fetchall())
    return found


def _unless_marked(name: str) -> exp.Expr:
    column = exp.column(name, quoted=True)
    marked = exp.In(this=column, expressions=_marks())
    return exp.Case(ifs=[exp.If(this=marked, true=exp.null())], default=column.copy())


def _marks() -> list[exp.Expr]:
    return [exp.Literal.string(mark) for mark in MARKERS]


def _fits(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    values: Mapping[str, exp.Expr],
    tests: Mapping[str, Mapping[str, exp.Expr]],
) -> dict[str, frozenset[str]]:
    """Return for each column of text which tests every value of it passes."""
    left = {name: list(each) for name, each in tests.items()}
    for rows in (f"(FROM {table} LIMIT {_LOOKED_AT_FIRST})", table):
        # A few rows rule out most.
        asked = {name: [tests[name][kind] for kind in kinds] for name, kinds in left.items() if kinds}
        passed = fitting(connection, rows, asked, values=values)
        left = {name: [left[name][at] for at in numbers] for name, numbers in passed.items()}
    return {name: frozenset(kinds) for name, kinds in left.items()}


def _listed(text: exp.Expr) -> exp.Expr:
    distinct = exp.ArrayAgg(this=exp.Distinct(expressions=[text.copy()]))
    there = exp.Not(this=exp.Is(this=text.copy(), expression=exp.null()))
    return exp.func("list_sort", exp.Filter(this=distinct, expression=exp.Where(this=there)), dialect="duckdb")


def _time(
    name: str,
    types: Mapping[str, str],
    values: Mapping[str, exp.Expr],
    tests: Mapping[str, Mapping[str, exp.Expr]],
    fits: Mapping[str, frozenset[str]],
    counts: Mapping[str, int],
) -> exp.Expr | None:
    """Return the moments of a column, if it has some."""
    if types[name].startswith(("DATE", "TIMESTAMP")):
        return values[name]
    if not counts[name]:
        return None
    return next((tests[name][kind] for kind in _TIMES if kind in fits.get(name, frozenset())), None)


def _ends(
    connection: duckdb.DuckDBPyConnection, table: str, times: Mapping[str, exp.Expr | None]
) -> dict[str, tuple[datetime | None, datetime | None]]:
    moments = {
        name: exp.cast(time.copy(), "timestamp", dialect="duckdb") for name, time in times.items() if time is not None
    }
    first = _each(connection, table, {name: exp.Min(this=moment) for name, moment in moments.items()})
    last = _each(connection, table, {name: exp.Max(this=moment.copy()) for name, moment in moments.items()})
    return {name: (first[name], last[name]) for name in moments}


def _tests(value: exp.Expr) -> dict[str, exp.Expr]:
    """Return, by type or format, an expression that is null unless the text is of it."""

    def only_if(pattern: str) -> exp.Expr:
        matched = exp.func("regexp_full_match", value.copy(), exp.Literal.string(pattern), dialect="duckdb")
        return exp.Case(ifs=[exp.If(this=matched, true=value.copy())])

    tests = {
        **guesses(value),
        "digits": only_if(r"[+-]?\d+"),
        "decimal comma": only_if(f"{_DECIMAL_COMMA}|[+-]?\\d+"),
    }
    for day in DATE_FORMATS:
        for clock in CLOCK_FORMATS:
            form = exp.Literal.string(day + clock)
            tests[day + clock] = exp.func("try_strptime", value.copy(), form, dialect="duckdb")
    return tests
