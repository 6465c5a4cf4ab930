"""SQL of the book over ibis tables."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ibis
import pytest
from ibis.backends.duckdb import Backend

from metaplatform.compute.sql_columns import aggregates, where, with_columns
from metaplatform.errors import DataError
from metaplatform.sql.sql_safety import SqlError


@pytest.fixture(scope="module")
def orders() -> Iterator[ibis.Table]:
    backend: Backend = ibis.duckdb.connect()
    backend.raw_sql(
        """create table orders as select * from (values (1, 1.5, 'a', [1, 2]), (2, null, 'b', [3]), (3, 4.0, 'a', []))
        as rows("Order ID", "größe", carrier, list)"""
    )
    yield backend.table("orders")
    backend.disconnect()


def rows(table: ibis.Table) -> list[dict[str, Any]]:
    return table.to_pyarrow().to_pylist()


def test_columns_are_added_in_order_and_read_one_another(orders: ibis.Table):
    result = with_columns(orders, {"next": '"order id" + 1', "double_next": "NEXT * 2", "carrier": "upper(carrier)"})
    assert result.columns == ("Order ID", "größe", "carrier", "list", "next", "double_next")
    assert [(row["double_next"], row["carrier"]) for row in rows(result)] == [(4, "A"), (6, "B"), (8, "A")]


def test_a_lambdas_own_names_are_no_columns(orders: ibis.Table):
    result = with_columns(orders, {"shifted": 'list_transform(list, carrier -> carrier + "Order ID")'})
    assert [row["shifted"] for row in rows(result)] == [[2, 3], [5], []]


def test_a_condition_keeps_rows_for_which_it_is_true(orders: ibis.Table):
    assert [row["Order ID"] for row in rows(where(orders, "größe > 1"))] == [1, 3]
    assert [row["Order ID"] for row in rows(where(orders, "größe > 1 or carrier = 'b'"))] == [1, 2, 3]


def test_aggregates_are_by_group_or_over_all(orders: ibis.Table):
    columns = {"n": "count(*)", "mean": "avg(größe)"}
    assert rows(aggregates(orders, columns)) == [{"n": 3, "mean": 2.75}]
    grouped = rows(aggregates(orders, columns, by=["CARRIER"]).order_by("carrier"))
    assert grouped == [{"carrier": "a", "n": 2, "mean": 2.75}, {"carrier": "b", "n": 1, "mean": None}]


def test_the_result_is_a_table_like_any_other(orders: ibis.Table):
    added = with_columns(orders, {"x": '"Order ID" * 10'})
    again = with_columns(added.filter(added["x"] > 10), {"y": "x + 1"})
    assert sorted(row["y"] for row in rows(again.join(added.select("x"), "x"))) == [21, 31]


@pytest.mark.parametrize(
    "sql", ["carrier; drop table orders", "(select 1)", "random()", "read_text('/etc/passwd')", ""]
)
def test_what_is_no_plain_expression_is_refused(orders: ibis.Table, sql: str):
    with pytest.raises(SqlError):
        with_columns(orders, {"x": sql})


def test_faults_name_the_owner(orders: ibis.Table):
    with pytest.raises(DataError, match=r"outputs\.report: there is no column 'carier'"):
        where(orders, "carier = 'a'", owner="outputs.report")
    with pytest.raises(DataError, match=r"outputs\.report: Binder Error"):
        where(orders, "carrier + 1 = date '2024-01-01'", owner="outputs.report")


def test_threads_with_a_cursor_each_do_not_meet(orders: ibis.Table):
    backend = orders.get_backend()

    def total(number: int) -> int:
        own = ibis.duckdb.from_connection(backend.con.cursor())
        return rows(aggregates(own.table("orders"), {"t": f'sum("Order ID") + {number}'}))[0]["t"]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(total, range(8))) == [6 + number for number in range(8)]
