"""What SQL in the book may not do: reach outside itself, see other rows, or answer differently each time."""

import pytest

from metaplatform.sql.dialect import parsed
from metaplatform.sql.expressions import parse_expression, parse_query
from metaplatform.sql.sql_safety import SqlError, is_aggregate, is_function, written_name


def refused_expression(sql: str) -> SqlError:
    with pytest.raises(SqlError) as caught:
        parse_expression(sql)
    return caught.value


def refused_query(sql: str) -> SqlError:
    with pytest.raises(SqlError) as caught:
        parse_query(sql)
    return caught.value


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("(select 1)", "never tables"),
        ("a in (select b from raw.c)", "never tables"),
        ("exists (select 1)", "never tables"),
        ("a in raw.c", "never tables"),
        ("sum(a) over ()", "window function"),
        ("row_number() over (order by a)", "window function"),
        ("lag(a)", "window function"),
        ("*", "one value"),
        ("columns('a')", "one value"),
        ("$1 + a", "parameters"),
        ("? + a", "parameters"),
    ],
)
def test_expressions_that_look_beyond_their_row(sql: str, says: str) -> None:
    error = refused_expression(sql)
    assert error.rule == "forbidden-sql"
    assert says in error.message


@pytest.mark.parametrize("sql", ["count(*)", "a in (1, 2)", "sum(a) filter (where b)", "[x for x in a]", "a -> 'b'"])
def test_expressions_that_do_not(sql: str) -> None:
    parse_expression(sql)


@pytest.mark.parametrize(
    ("sql", "culprit"),
    [
        ("now()", "now"),
        ("a > current_date", "current_date"),
        ("random()", "random"),
        ("uuid()", "uuid"),
        ("current_timestamp", "current_timestamp"),
    ],
)
def test_what_answers_differently_each_time(sql: str, culprit: str) -> None:
    for error in (refused_expression(sql), refused_query(f"select {sql}")):
        assert (error.rule, error.culprit) == ("impure-function", culprit)


@pytest.mark.parametrize(
    "call", ["read_csv('x')", "getenv('HOME')", "glob('*')", "read_text('/etc/passwd')", "parquet_scan('x')"]
)
def test_what_reaches_outside(call: str) -> None:
    error = refused_expression(call)
    assert (error.rule, error.culprit) == ("unknown-function", call.partition("(")[0])
    assert refused_query(f"select 1 as x from {call}").rule in {"forbidden-sql", "unknown-function"}  # noqa: S608


def test_a_misspelt_function_is_told_with_its_place_and_the_nearest_one() -> None:
    error = refused_expression("a +\n  coalesc(b, 1)")
    assert (error.culprit, error.nearest, error.line) == ("coalesc", "coalesce", 2)


@pytest.mark.parametrize(
    ("sql", "culprit"),
    [
        ("select * from orders", "orders"),
        ("select * from main.orders", "main.orders"),
        ("select * from db.raw.orders", "db.raw.orders"),
        ("select * from models.m", "models.m"),
        ("with a as (select * from b), b as (select 1 as x) select * from a join c on true", "c"),
        ("select * from (with a as (select 1 as x) select * from a) join a on true", "a"),
    ],
)
def test_queries_read_references_and_their_own_parts_only(sql: str, culprit: str) -> None:
    error = refused_query(sql)
    assert (error.rule, error.culprit) == ("unknown-reference", culprit)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from raw.a join tables.b on true join features.c on true join predictions.d on true, outputs.e",
        "with A as (select 1 as x) select * from a",
        "select (select max(x) from raw.b) as x, row_number() over () as n from raw.a",
        "select n from range(3) as r(n)",
        "from raw.a",
    ],
)
def test_queries_that_read_what_they_may(sql: str) -> None:
    parse_query(sql)


STATEMENTS = """
select 1 as x from raw.a; drop table raw.a
insert into raw.a values (1)
copy raw.a to 'x'
attach 'x'
pragma version
set threads = 1
select 1 into t from raw.a
select * from raw.a at (version => 1)
install httpfs
"""


@pytest.mark.parametrize("sql", STATEMENTS.strip().splitlines())
def test_statements_are_no_queries(sql: str) -> None:
    assert refused_query(sql).rule in {"sql-syntax", "forbidden-sql"}


def test_types_that_nobody_knows() -> None:
    error = refused_expression("a::money_of_mine")
    assert (error.rule, error.culprit.lower()) == ("unknown-type", "money_of_mine")


@pytest.mark.parametrize(
    ("sql", "name"),
    [("AVG(a)", "avg"), ("list_sort(a)", "list_sort"), ("a -> 'b'", "json_extract"), ("case when a then 1 end", "case"),
     ("My_own(a)", "my_own")],
)  # fmt: skip
def test_functions_have_the_name_that_duckdb_reads(sql: str, name: str) -> None:
    assert written_name(parsed(sql)) == name


@pytest.mark.parametrize(("sql", "yes"), [("sum(a)", True), ("quantile_cont(a, 0.5)", True), ("arg_max(a, b)", True),
                                          ("abs(a)", False), ("a + 1", False), ("list_sort(a)", False)])  # fmt: skip
def test_aggregates_make_one_value_of_many_rows(sql: str, yes: bool) -> None:  # noqa: FBT001
    assert is_aggregate(parsed(sql)) == yes


@pytest.mark.parametrize(("sql", "yes"), [("abs(a)", True), ("a and b", False), ("a::int", False), ("a", False)])
def test_connectors_and_casts_are_no_functions(sql: str, yes: bool) -> None:  # noqa: FBT001
    assert is_function(parsed(sql)) == yes
