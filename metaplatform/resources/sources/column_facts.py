"""The columns of a sample of rows: how many values each has, of which types they are, and between which ends.

Asked of many columns at once, so that thousands of them take seconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
from sqlglot import exp

from metaplatform.resources.sources.samples import FEW, ColumnFacts
from metaplatform.sql.exact_casts import guesses

MARKERS = (
    *("", "NA", "N/A", "n/a", "#N/A", "<NA>", "N.A.", "n.a.", "NULL", "Null", "null", "NIL", "nil", "None", "none"),
    *("NaN", "nan", "NaT", "-", "--", "\u2013", "\u2014", ".", "..", "...", "?", "\\N"),
    *("(null)", "n.v.", "k.A.", "k. A."),
    *("#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!"),
)
"""Texts that stand for nothing in files found in the wild."""
UNMISTAKABLE = frozenset({"", "\\N", "NULL", "null", "(null)", "<NA>", "#N/A", "N/A", "n/a"})
"""Those of them that stand for nothing in a column of words too."""
DATE_FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d")
CLOCK_FORMATS = ("", " %H:%M", " %H:%M:%S")
_THOUSANDS, _COMMA = r"[+-]?(0|[1-9]\d{0,2}(,\d{3})*)(\.\d+)?", "comma"
_DECIMAL_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+"
_TIMES = ("date", "timestamptz", "timestamp", *(day + clock for day in DATE_FORMATS for clock in CLOCK_FORMATS))
_LOOKED_AT_FIRST = 20
_CELLS_AT_ONCE, _COLUMNS_AT_ONCE = 2_000_000, 1_000
_TEXT = "VARCHAR"
_CELLS, _COLUMN, _VALUE = "cells", exp.column("place"), exp.column("value")
Step = Callable[[int, int], None]
"""Told how many columns of how many have been looked at."""


def column_facts(
    connection: duckdb.DuckDBPyConnection, table: str, *, step: Step = lambda _done, _total: None
) -> tuple[ColumnFacts, ...]:
    """Return the facts of every column of a table, in order."""
    relation = connection.table(table)
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    rows = int(relation.count("*").fetchall()[0][0])
    at_once = min(_COLUMNS_AT_ONCE, max(1, _CELLS_AT_ONCE // max(1, rows)))
    names = list(types)
    found: list[ColumnFacts] = []
    for start in range(0, len(names), at_once):
        some = {name: types[name] for name in names[start : start + at_once]}
        found += _facts(connection, table, some)
        step(len(found), len(names))
    return tuple(found)


def _facts(connection: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str]) -> Iterator[ColumnFacts]:
    _make_cells(connection, table, list(types))
    texts = {f"c{at}": name for at, (name, kind) in enumerate(types.items()) if kind == _TEXT}
    markers = _take_markers(connection, list(texts))
    tests = _tests(_VALUE)
    fits = {place: _one_comma(kinds) for place, kinds in _fits(connection, tests, list(texts)).items()}
    counts, distinct = exp.Sum(this=exp.column("rows")), exp.Count(this=exp.Star())
    listed = exp.func("list_sort", exp.ArrayAgg(this=_VALUE.copy()), dialect="duckdb")
    few = exp.Case(ifs=[exp.If(this=exp.LTE(this=distinct, expression=exp.Literal.number(FEW)), true=listed)])
    longest = exp.Max(this=exp.func("length", _VALUE.copy(), dialect="duckdb"))
    space = exp.func("contains", _VALUE.copy(), exp.Literal.string(" "), dialect="duckdb")
    spaced = exp.func("bool_or", space, dialect="duckdb")
    held = _by_column(connection, [counts, distinct.copy(), few, longest, spaced])
    ends = {**_ends_of_text(connection, tests, fits), **_ends_of_moments(connection, table, types)}
    for at, (name, kind) in enumerate(types.items()):
        place = f"c{at}"
        values, different, told, longest, spaced = held.get(place, (0, 0, None, 0, False))
        first, last = ends.get(place, (None, None))
        fitting, marked = fits.get(place, frozenset()), markers.get(place, {})
        few_values = tuple(told or ())
        found = ColumnFacts(name, kind, int(values), different, fitting, marked, first, last, few_values)
        found = replace(found, longest=int(longest or 0), spaced=bool(spaced))
        yield _with_words_kept(found) if kind == _TEXT else found


def _one_comma(kinds: frozenset[str]) -> frozenset[str]:
    """Return what a column fits with one meaning of its commas: `1,250` is a decimal only if every number has one."""
    if {"thousands", "decimal comma"} <= kinds:
        kinds -= {"thousands" if _COMMA in kinds else "decimal comma"}
    return kinds - {_COMMA}


def _with_words_kept(facts: ColumnFacts) -> ColumnFacts:
    """Return the facts of a column of words with its markers as values again: `NA` may be Namibia, `-` a dash."""
    kept = {mark: rows for mark, rows in facts.markers.items() if mark not in UNMISTAKABLE}
    if facts.fits or not facts.values or not kept:
        return facts
    few = tuple(sorted((*facts.few, *kept))) if facts.few and len(facts.few) + len(kept) <= FEW else ()
    values, distinct = facts.values + sum(kept.values()), facts.distinct + len(kept)
    return replace(facts, values=values, distinct=distinct, few=few, kept=frozenset(kept))


def moment_sql(facts: ColumnFacts) -> exp.Expr:
    """Return the moment that a column's value says, as an expression over the table that was looked at."""
    value: exp.Expr = exp.column(facts.name, quoted=True)
    if facts.type == _TEXT:
        tests = _tests(value)
        value = next(tests[kind] for kind in _TIMES if kind in facts.fits)
    return exp.cast(value, "timestamp", dialect="duckdb")


def _make_cells(connection: duckdb.DuckDBPyConnection, table: str, names: Sequence[str]) -> None:
    """Make the table of cells: each different value of each column, as text, and in how many rows it stands.

    What is asked of it is one query for all columns: binding an expression for each would take most of the time.
    """
    texts = [
        exp.alias_(exp.cast(exp.column(name, quoted=True), "varchar", dialect="duckdb"), f"c{at}")
        for at, name in enumerate(names)
    ]
    wide = exp.select(*texts).from_(table).sql("duckdb")
    places = ", ".join(f"c{at}" for at in range(len(names)))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_CELLS} AS SELECT place, value, count(*) AS rows "  # noqa: S608  # names of ours
        f"FROM (UNPIVOT ({wide}) ON {places} INTO NAME place VALUE value) GROUP BY ALL"
    )


def _by_column(
    connection: duckdb.DuckDBPyConnection,
    facts: Sequence[exp.Expr],
    *,
    places: Sequence[str] | None = None,
    cells: exp.Select | None = None,
) -> dict[str, tuple[Any, ...]]:
    """Return aggregates of the cells of each column; ``places`` says of which, ``cells`` of which of their values."""
    query = exp.select(_COLUMN.copy(), *facts).from_(cells.subquery(_CELLS) if cells else _CELLS)
    if places is not None:
        query = query.where(_one_of(_COLUMN, places))
    found = connection.execute(query.group_by(_COLUMN.copy()).sql("duckdb")).fetchall()
    return {place: tuple(row) for place, *row in found}


def _one_of(value: exp.Expr, texts: Sequence[str]) -> exp.In:
    return exp.In(this=value.copy(), expressions=[exp.Literal.string(text) for text in texts])


def _take_markers(connection: duckdb.DuckDBPyConnection, places: Sequence[str]) -> dict[str, dict[str, int]]:
    """Take the markers out of the cells of text; return for each column that has some how often each stands in it."""
    if not places:
        return {}
    marked = exp.and_(_one_of(_VALUE, MARKERS), _one_of(_COLUMN, places))
    query = exp.select(_COLUMN.copy(), _VALUE.copy(), exp.column("rows")).from_(_CELLS).where(marked)
    found: dict[str, dict[str, int]] = {}
    for place, value, rows in connection.execute(query.sql("duckdb")).fetchall():
        found.setdefault(place, {})[value] = rows
    if found:
        connection.execute(exp.delete(_CELLS, where=marked.copy()).sql("duckdb"))
    return found


def _fits(
    connection: duckdb.DuckDBPyConnection, tests: Mapping[str, exp.Expr], places: Sequence[str]
) -> dict[str, frozenset[str]]:
    """Return for each column of text with a value which tests every value of it passes."""
    if not places:
        return {}
    failing = {
        kind: exp.func("count_if", exp.Is(this=test.copy(), expression=exp.null()), dialect="duckdb")
        for kind, test in tests.items()
    }
    rank = exp.Window(this=exp.RowNumber(), partition_by=[_COLUMN.copy()])
    first = exp.select("*").from_(_CELLS).qualify(exp.LTE(this=rank, expression=exp.Literal.number(_LOOKED_AT_FIRST)))
    # A few values rule out most.
    seen = _by_column(connection, list(failing.values()), places=places, cells=first)
    fits: dict[str, set[str]] = {place: set() for place in seen}
    for at, (kind, failed) in enumerate(failing.items()):
        left = [place for place, found in seen.items() if not found[at]]
        for place, (count,) in (_by_column(connection, [failed], places=left) if left else {}).items():
            if not count:
                fits[place].add(kind)
    return {place: frozenset(kinds) for place, kinds in fits.items()}


def _ends_of_text(
    connection: duckdb.DuckDBPyConnection, tests: Mapping[str, exp.Expr], fits: Mapping[str, frozenset[str]]
) -> dict[str, tuple[Any, ...]]:
    """Return the first and last moment of the columns of text that hold moments."""
    found: dict[str, tuple[Any, ...]] = {}
    read_as = {place: next((kind for kind in _TIMES if kind in kinds), None) for place, kinds in fits.items()}
    for kind in sorted({kind for kind in read_as.values() if kind}):
        places = [place for place, chosen in read_as.items() if chosen == kind]
        found |= _by_column(connection, _bounds(tests[kind]), places=places)
    return found


def _ends_of_moments(
    connection: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str]
) -> dict[str, tuple[Any, ...]]:
    """Return the first and last moment of the columns that are of such a type."""
    timed = {f"c{at}": name for at, (name, kind) in enumerate(types.items()) if kind.startswith(("DATE", "TIMESTAMP"))}
    if not timed:
        return {}
    bounds = [bound for name in timed.values() for bound in _bounds(exp.column(name, quoted=True))]
    row = connection.execute(exp.select(*bounds).from_(table).sql("duckdb")).fetchall()[0]
    return {place: row[2 * at : 2 * at + 2] for at, place in enumerate(timed)}


def _bounds(value: exp.Expr) -> list[exp.Expr]:
    moment = exp.cast(value.copy(), "timestamp", dialect="duckdb")
    return [exp.Min(this=moment), exp.Max(this=moment.copy())]


def _tests(value: exp.Expr) -> dict[str, exp.Expr]:
    """Return, by type or format, an expression that is null unless the text is of it."""

    def only_if(pattern: str) -> exp.Expr:
        matched = exp.func("regexp_full_match", value.copy(), exp.Literal.string(pattern), dialect="duckdb")
        return exp.Case(ifs=[exp.If(this=matched, true=value.copy())])

    tests = {
        **guesses(value),
        "digits": only_if(r"[+-]?\d+"),
        "thousands": only_if(_THOUSANDS),
        _COMMA: only_if(".*,.*"),
        "decimal comma": only_if(f"{_DECIMAL_COMMA}|[+-]?\\d+"),
    }
    for day in DATE_FORMATS:
        for clock in CLOCK_FORMATS:
            form = exp.Literal.string(day + clock)
            tests[day + clock] = exp.func("try_strptime", value.copy(), form, dialect="duckdb")
    return tests
