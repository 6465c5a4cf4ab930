"""What the composition of SQL relies on in ibis, sqlglot and DuckDB, each with its reason."""

from collections.abc import Iterator
from typing import Any

import duckdb
import ibis
import pytest
import sqlglot
from ibis.backends.duckdb import Backend
from sqlglot import exp

from metaplatform.compute.features.windows import ZERO_OVER_NO_ROWS, is_aggregate
from metaplatform.sql.duckdb_functions import AGGREGATES


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    connected = ibis.duckdb.connect()
    connected.raw_sql("SET TimeZone = 'America/New_York'")
    yield connected
    connected.disconnect()


def value(backend: Backend, sql: str) -> Any:
    return backend.raw_sql(f"select {sql}").fetchall()[0][0]


def test_ibis_forgets_not_materialized_at_the_very_top_and_keeps_it_below(backend: Backend):
    """Why every composed query is wrapped in a SELECT."""
    assert "NOT MATERIALIZED" not in backend.sql("with a as not materialized (select 1 as x) select x from a").compile()
    wrapped = "select * from (with a as not materialized (select 1 as x) select x from a) as r"
    assert "NOT MATERIALIZED" in backend.sql(wrapped).compile()


def test_an_sql_table_of_ibis_creates_nothing(backend: Backend):
    """Why SQL enters by ``Backend.sql`` and not by ``Table.alias``."""
    count = "select count(*) as n from duckdb_views() where not internal"
    before = backend.raw_sql(count).fetchall()
    backend.sql("select 1 as x").filter(ibis._.x > 0).to_pyarrow()
    assert backend.raw_sql(count).fetchall() == before


def test_an_as_of_left_join_takes_one_latest_row_and_keeps_the_unmatched(backend: Backend):
    joined = """
    select l.t, r.v from (values ('a', 1), ('a', 5), ('b', 5), (null, 5)) as l(k, t)
    asof left join (values ('a', 1, 10), ('a', 4, 40), (null, 1, 99)) as r(k, t, v) on l.k = r.k and l.t > r.t
    """
    rows = backend.sql(joined).to_pyarrow().to_pylist()
    assert sorted((row["t"], row["v"] or 0) for row in rows) == [(1, 0), (5, 0), (5, 0), (5, 40)]


def test_a_range_frame_may_differ_from_row_to_row(backend: Backend):
    """How a window of calendar months is framed on whole microseconds."""
    query = """
    select t, sum(v) over (order by t range between (t - w) preceding and 1 preceding) as s
    from (values (0, 1, 0), (5, 10, 3), (9, 100, 5)) as rows(t, v, w) order by t
    """
    assert [row["s"] for row in backend.sql(query).to_pyarrow().to_pylist()] == [None, None, 10]


def test_a_failed_attempt_is_null_and_an_attempt_of_null_is_not(backend: Backend):
    """How a derived column that fails is told from one that is null."""
    assert value(backend, "try({'value': cast('x' as integer)}) is null") is True
    assert value(backend, "try({'value': cast(null as integer)}) is null") is False


def test_an_error_raised_in_having_stops_the_query(backend: Backend):
    having = "case when count(*) = 1 then true else error('two') end"
    query = f"select k from (values (1), (1)) as t(k) group by k having {having}"  # noqa: S608 — constants
    with pytest.raises(duckdb.InvalidInputException, match="two"):
        backend.raw_sql(query).fetchall()


@pytest.mark.parametrize(
    ("written", "micros"),
    [
        ("date '2024-01-01'", 1_704_067_200_000_000),
        ("timestamp '2024-01-01'", 1_704_067_200_000_000),
        ("timestamp_ns '2024-01-01'", 1_704_067_200_000_000),
        ("timestamptz '2024-01-01 00:00:00+00'", 1_704_067_200_000_000),
        ("timestamptz 'infinity'", None),
        ("timestamp '-infinity'", None),
    ],
)
def test_microseconds_are_those_of_utc_in_any_session(backend: Backend, written: str, micros: int | None):
    assert value(backend, f"epoch_us({written})") == micros


def test_casts_of_text_round_silently():
    """Why conforming compares a cast with a wider one."""
    connection = duckdb.connect()
    assert connection.execute("select try_cast('1.5' as integer)").fetchall() == [(2,)]
    assert connection.execute("select try_cast('2024-01-01 10:30' as date)::varchar").fetchall() == [("2024-01-01",)]
    connection.close()


@pytest.mark.parametrize("name", sorted(AGGREGATES))
def test_every_aggregate_of_duckdb_is_known_for_one(name: str):
    """A window block frames each aggregate it finds; one not found would be refused by DuckDB."""
    two = name.startswith(("arg", "max_by", "min_by", "regr", "cov", "corr"))
    tree = sqlglot.parse_one(f"{name}(x, y)" if two else f"{name}(x)", dialect="duckdb")
    assert any(is_aggregate(node) for node in tree.find_all(exp.Func))


# DuckDB's optimizer alone may call sum_no_overflow.
@pytest.mark.parametrize("name", sorted(AGGREGATES - {"sum_no_overflow"}))
def test_an_aggregate_over_no_rows_is_zero_or_null(backend: Backend, name: str):
    """A spine row that nothing is joined to has the aggregate's value over no rows."""
    for arguments in ("x", "x, x", "x, 0.5", "x, 2", "b", "s, ','", "", "x, [1]"):
        query = f"select {name}({arguments}) from (select 1 as x, true as b, 's' as s) where false"  # noqa: S608 — constants
        try:
            found = backend.raw_sql(query).fetchall()[0][0]
        except duckdb.Error:
            continue
        assert found == (0 if name in ZERO_OVER_NO_ROWS else None)
        return
    pytest.fail(f"no arguments fit {name}")


@pytest.mark.parametrize(
    "sql",
    [
        "x // 2 + x % 3",
        "x ** 2 / y",
        "isodow(make_date(a, b, c))",
        "date_diff('day', a, b)",
        "list_transform(l, k -> k + x)",
        "avg(CAST((x IS NULL) AS INT))",
        "quantile_cont(x, 0.9) FILTER (WHERE y > 1)",
        "string_agg(x, ',' ORDER BY y)",
        "x AT TIME ZONE 'Europe/Berlin'",
        "j ->> '$.a'",
        "strftime(x, '%Y-%m')",
        "try_cast(x as decimal(10, 2))",
        "count(distinct x)",
        "{'a': x, 'b': [1, 2]}",
    ],
)
def test_sql_that_was_parsed_and_written_again_stays_as_it_is(sql: str):
    """Text of the book passes through sqlglot several times on its way."""
    once = sqlglot.parse_one(sql, dialect="duckdb").sql(dialect="duckdb")
    assert sqlglot.parse_one(once, dialect="duckdb").sql(dialect="duckdb") == once
