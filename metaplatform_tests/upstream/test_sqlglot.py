"""What sqlglot's optimizer does not know of DuckDB, and the platform therefore knows itself.

A test that fails here says that sqlglot has learnt something: decision 47 can be looked at again.
"""

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.optimizer.simplify import simplify

from metaplatform.sql.dialect import parsed

COLUMNS = {"whole": "BIGINT", "day": "DATE", "words": "VARCHAR", "flag": "BOOLEAN", "many": "INTEGER[]", "raw": "JSON"}


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        connection.execute("create schema raw")
        for name in ("t", "u"):
            connection.execute(f"create table raw.{name} ({', '.join(map(' '.join, COLUMNS.items()))})")
        connection.execute("create table raw.unknown (other integer)")
        yield connection


@pytest.mark.parametrize(
    "sql",
    [
        "select other, whole from raw.t, raw.unknown",
        "select [v + 1 for v in many] as x from raw.t",
        "select t as row from raw.t as t",
    ],
)
def test_qualify_refuses_what_duckdb_runs(sql: str, engine: duckdb.DuckDBPyConnection):
    """Of `raw.unknown` the book knows no columns."""
    engine.sql(sql)
    with pytest.raises(OptimizeError):
        qualify(parsed(sql), schema={"raw": {"t": COLUMNS}}, dialect="duckdb")


def test_qualify_tells_the_first_fault_alone():
    sql = "select wrong as a, bad as b from raw.t"
    with pytest.raises(OptimizeError, match="wrong") as caught:
        qualify(parsed(sql), schema={"raw": {"t": COLUMNS}}, dialect="duckdb")
    assert "bad" not in str(caught.value)


def test_scopes_have_one_relation_of_a_name_or_none(engine: duckdb.DuckDBPyConnection):
    sql = "select x, y from (select whole as x from raw.t), (select day as y from raw.t)"
    engine.sql(sql)
    with pytest.raises(OptimizeError, match="Alias already used"):
        [scope.selected_sources for scope in traverse_scope(parsed(sql))]


def test_the_scope_of_a_joined_pair_in_parentheses_has_lost_its_first_table():
    first, _ = traverse_scope(parsed("select * from (raw.t join raw.u using (whole)) as j"))
    assert list(first.selected_sources) == ["u"]


@pytest.mark.parametrize(
    "sql",
    [
        "avg(day)",
        "day - day",
        "sum(flag)",
        "many || many",
        "epoch_ms(day)",
        "json_extract(whole, whole)",
        "max(whole, 2)",
    ],
)
def test_types_that_sqlglot_gives_and_duckdb_does_not(sql: str, engine: duckdb.DuckDBPyConnection):
    """A wrong type would refuse a sound book: `epoch_ms(day) / 1000` as a moment that is divided."""
    schema = {"raw": {"t": COLUMNS}}
    query = qualify(parsed(f"select {sql} as x from raw.t"), schema=schema, dialect="duckdb")  # noqa: S608 — of the test
    (found,) = annotate_types(query, schema=schema, dialect="duckdb").selects
    real = exp.DataType.build(str(engine.sql(f"select {sql} as x from raw.t").types[0]), dialect="duckdb")  # noqa: S608
    assert found.type is not None
    assert found.type.this not in {real.this, exp.DType.UNKNOWN}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("date '2024-01-01' + interval 1 day", "date '2024-01-02'"),
        ("select whole as Total from raw.t", "select whole as total from raw.t"),
    ],
)
def test_simplified_texts_are_one_though_their_results_differ(one: str, other: str, engine: duckdb.DuckDBPyConnection):
    def simplified(sql: str) -> str:
        tree = normalize_identifiers(sqlglot.parse_one(sql, dialect="duckdb"), dialect="duckdb")
        return simplify(tree, dialect="duckdb").sql("duckdb")

    def result(sql: str) -> tuple[list[str], list[str]]:
        found = engine.sql(sql if sql.startswith("select") else f"select {sql} as x")
        return found.columns, list(map(str, found.types))

    assert simplified(one) == simplified(other)
    assert result(one) != result(other)
