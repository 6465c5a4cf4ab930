"""Kinds of value: what is said of an operation is what DuckDB says of it."""

from collections.abc import Callable, Iterator

import duckdb
import pytest

from metaplatform.specs.book.columns import kind_in
from metaplatform.sql.columns import Column
from metaplatform.sql.duckdb_kinds import KIND_GIVEN, KIND_KEPT, KINDS_REFUSED, MOMENTS_GIVEN, NUMBERS_GIVEN
from metaplatform.sql.expressions import parse_query
from metaplatform.sql.query_columns import query_columns
from metaplatform.sql.value_kinds import Kind, kind_of_type

COLUMNS = {
    "whole": "BIGINT", "real": "DOUBLE", "exact": "DECIMAL(9,2)", "words": "VARCHAR", "flag": "BOOLEAN",
    "day": "DATE", "local": "TIMESTAMP", "moment": "TIMESTAMPTZ", "clock": "TIME", "many": "INTEGER[]", "raw": "JSON",
}  # fmt: skip
KINDS: dict[str, Kind] = {name: kind_of_type(written) for name, written in COLUMNS.items()}
TABLE = tuple(Column(name, kind) for name, kind in KINDS.items())
ARGUMENTS = {
    "date_part": ["'day'", "?"], "datepart": ["'day'", "?"], "date_trunc": ["'day'", "?"],
    "replace": ["?", "'a'", "'b'"],
    "split_part": ["?", "','", "1"], "lpad": ["?", "9", "' '"], "rpad": ["?", "9", "' '"], "strftime": ["?", "'%Y'"],
    "regexp_replace": ["?", "'a'", "'b'"], "string_agg": ["?", "','"], "nullif": ["?", "?"], "ifnull": ["?", "?"],
    "date_diff": ["'day'", "?", "?"], "datediff": ["'day'", "?", "?"], "instr": ["?", "'a'"], "strptime": ["?", "'%Y'"],
    "starts_with": ["?", "'a'"], "ends_with": ["?", "'a'"], "regexp_matches": ["?", "'a'"],
    "regexp_full_match": ["?", "'a'"], "regexp_extract": ["?", "'a'"],
}  # fmt: skip
OVER = {"row_number", "rank", "dense_rank", "ntile", "lag", "lead"}
FUNCTIONS = sorted({*KINDS_REFUSED, *KIND_GIVEN, *KIND_KEPT, *NUMBERS_GIVEN, *MOMENTS_GIVEN} - OVER)
OPERATORS = ("+", "-", "*", "/", "//", "%", "<", ">=", "=", "<>", "like", "ilike", "and", "||")


def calls() -> Iterator[str]:
    for function in FUNCTIONS:
        for column in COLUMNS:
            yield f"{function}({', '.join(ARGUMENTS.get(function, ['?'])).replace('?', column)})"


def operations() -> Iterator[str]:
    for operator in OPERATORS:
        for left in COLUMNS:
            yield from (
                f"{left} {operator} {right}" for right in (*COLUMNS, "1", "1.5", "'2024-01-01'", "true", "null")
            )
    for column in COLUMNS:
        yield from (f"-{column}", f"not {column}", f"{column} + interval 1 day", f"{column} between 1 and 2")
        yield from (f"{column} between 'a' and 'b'", f"coalesce({column}, {column})", f"extract(year from {column})")
        yield from (f"case when flag then {column} else null end", f"max({column}) filter (where flag)")
        yield from (f"list_transform(many, words -> words + 1)[1] + {column}", f"sum(distinct {column})")


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(f"create table t ({', '.join(' '.join(pair) for pair in COLUMNS.items())})")
        yield connection


def type_in_duckdb(engine: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    """Return the type of an expression, or None if DuckDB refuses it."""
    try:
        return str(engine.sql(f"select {sql} as x from t").types[0])  # noqa: S608
    except (duckdb.BinderException, duckdb.NotImplementedException):
        return None


@pytest.mark.parametrize("texts", [calls, operations], ids=["calls", "operations"])
def test_what_is_called_a_fault_duckdb_refuses_and_kinds_are_its_types(
    texts: Callable[[], Iterator[str]], engine: duckdb.DuckDBPyConnection
):
    false_alarms: list[str] = []
    wrong_kinds: list[tuple[str, str, str]] = []
    for sql in texts():
        found, real = kind_in(sql, KINDS), type_in_duckdb(engine, sql)
        if real is not None and any(fault.certain for fault in found.faults):
            # Equality binds, and fails at the first row.
            always_fails = " = " in sql or " <> " in sql
            false_alarms += [] if always_fails else [sql]
        if real is not None and found.kind is not None and kind_of_type(real) != found.kind:
            wrong_kinds.append((sql, found.kind, real))
    assert (false_alarms, wrong_kinds) == ([], [])


def test_equalities_that_are_called_faults_fail_at_the_first_row():
    values = "1, 1.5, 1.5, 'x', true, date '2024-01-01', timestamp '2024-01-01', timestamptz '2024-01-01'"
    with duckdb.connect() as connection:
        connection.execute(f"create table t ({', '.join(f'{n} {COLUMNS[n]}' for n in list(COLUMNS)[:8])})")
        connection.execute(f"insert into t values ({values})")  # noqa: S608
        for sql in operations():
            if (" = " in sql or " <> " in sql) and any(fault.certain for fault in kind_in(sql, KINDS).faults):
                with pytest.raises(duckdb.Error):
                    connection.sql(f"select {sql} as x from t").fetchall()  # noqa: S608


def test_most_of_what_duckdb_refuses_for_its_kinds_is_called_a_fault(engine: duckdb.DuckDBPyConnection):
    known = [name for name, kind in KINDS.items() if kind]
    texts = [
        sql for texts in (calls(), operations()) for sql in texts if not {"clock", "many", "raw"} & set(sql.split())
    ]
    refused = [sql for sql in texts if type_in_duckdb(engine, sql) is None and any(name in sql for name in known)]
    missed = [sql for sql in refused if not kind_in(sql, KINDS).faults]
    assert len(missed) < len(refused) / 4, missed


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("select words + 1 as x from raw.t", (1, 8)),
        ("select 1 as x from raw.t\nwhere words > 3", (2, 7)),
        ("with a as (select words as w from raw.t) select avg(w) as x from a", (1, 49)),
        ("select s.w * 2 as x from (select upper(words) as w from raw.t) as s", (1, 10)),
        ("select 1 as x from raw.t as a join raw.t as b on a.day > b.whole", (1, 52)),
        ("select 1 as x from raw.t where exists (select 1 from raw.t as i where i.words > 2)", (1, 73)),
        ("select x + 1 as y from (select words as x from raw.t union all select words from raw.t)", (1, 8)),
        ("select sum(words) as x from (select * from raw.t)", (1, 8)),
        ("select whole from raw.t group by whole having sum(flag) > 1 and min(words) > 2", (1, 65)),
        ("select b + 1 as x from (select whole, words from raw.t) as t(a, b)", (1, 8)),
        ("select x + 1 as y from (select words as x from raw.t union by name select whole as z from raw.t)", (1, 8)),
        ("select words + 1 as x from (select * exclude (day) from raw.t)", (1, 8)),
        ("select w + 1 as x from (select * rename (words as w) from raw.t)", (1, 8)),
    ],
)
def test_kinds_go_through_joins_ctes_and_subqueries(sql: str, place: tuple[int, int]):
    (fault,) = query_columns(parse_query(sql), lambda ref: TABLE if ref == "raw.t" else None).wrong_kinds
    assert (fault.certain, fault.place) == (True, place)


@pytest.mark.parametrize(
    "sql",
    [
        "select words::integer + 1 as x from raw.t",
        "select whole as words from raw.t order by words + 1",
        "select words + 1 as x from raw.unknown",
        "select words + 1 as x from raw.t, raw.unknown",
        "with t as (select whole as words from raw.t) select words + 1 as x from t",
        "select a.words + 1 as x from raw.t as t, (select 1 as words) as a",
        "select b + 1 as x from raw.t as a(b)",
        "select case when flag then '1' else '2' end + 1 as x from raw.t",
        "select * replace (1 as words) from raw.t",
        "select words.part + 1 as x from raw.t",
        "select list_transform(many, words -> words + 1) as x from raw.t",
        "select [words + 1 for words in many] as x from raw.t",
        "select day + 1 as x, moment - interval 1 day as y, day - day as z, local > day as q from raw.t",
        "select flag > 0 as x, flag = 1 as y, sum(flag) as z, whole / real as q from raw.t",
        "select words > '5' as x, day > '2024-01-01' as y, moment = '2024-01-01' as z from raw.t",
        "select max(words) over (partition by day order by whole) as x from raw.t",
        "select max(whole, 3) || ['a'] as x, lower(min(day, 1)::varchar) as y from raw.t",
        "select x + 1 as y from (select words as x, whole as z from raw.t union by name select 'a' as q) as s(q, x)",
    ],
)
def test_what_duckdb_runs_or_the_book_cannot_know_is_no_fault(sql: str):
    assert query_columns(parse_query(sql), lambda ref: TABLE if ref == "raw.t" else None).wrong_kinds == ()
