"""What the book's reading relies on in DuckDB, sqlglot and PyYAML."""

import threading
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest
import sqlglot
import yaml
from sqlglot import exp

from metaplatform.sql.duckdb_functions import AGGREGATES, CALLED, IMPURE, SCALARS, WINDOWS


def catalogue(*kinds: str) -> set[str]:
    sql = "select distinct lower(function_name) from duckdb_functions() where list_contains(?, function_type)"
    with duckdb.connect() as connection:
        return {str(name) for (name,) in connection.execute(sql, [list(kinds)]).fetchall()}


def test_every_function_the_book_may_call_is_one_of_duckdbs():
    """Otherwise a misspelt function would pass validation."""
    assert catalogue("scalar", "macro") >= SCALARS
    assert catalogue("aggregate") >= AGGREGATES | WINDOWS


def test_every_function_the_platform_calls_is_one_of_duckdbs():
    """Otherwise the engine that this table is for would refuse what the platform composes."""
    assert catalogue("scalar", "macro", "aggregate") | {"dense_rank", "row_number"} >= CALLED


def test_every_aggregate_of_duckdb_is_known():
    """Otherwise it would be refused, or taken for a function of one row."""
    assert catalogue("aggregate") <= AGGREGATES | WINDOWS | IMPURE


def test_duckdb_compares_column_names_without_case():
    """Name clashes are judged so."""
    with duckdb.connect() as connection:
        assert connection.execute('select A, "a" from (select 1 as a)').fetchall() == [(1, 1)]


def test_duckdb_lets_where_and_select_read_aliases_of_the_same_select():
    """Unknown columns are judged so."""
    with duckdb.connect() as connection:
        sql = "select x + 1 as y, y * 2 as z from (select 1 as x) where y > 1"
        assert connection.execute(sql).fetchall() == [(2, 4)]


def test_sqlglot_keeps_the_place_of_names():
    """Its column is that of the name's last character; faults are placed by it."""
    tree = sqlglot.parse_one("select a\n  from raw.flights", dialect="duckdb")
    (table,) = tree.find_all(exp.Table)
    assert (table.this.meta["line"], table.this.meta["col"]) == (2, 18)


def test_sqlglot_resolves_lambda_parameters():
    """They are no columns then."""
    tree = sqlglot.parse_one("list_transform(xs, lambda x: x + y)", dialect="duckdb")
    assert {column.name for column in tree.find_all(exp.Column)} == {"xs", "y"}


def test_libyaml_tells_offsets_in_characters():
    """Places within SQL are counted from them."""
    events = list(yaml.parse("é: ü\n", Loader=yaml.CSafeLoader))
    scalar = [event for event in events if isinstance(event, yaml.ScalarEvent)][1]
    assert (scalar.start_mark.index, scalar.start_mark.column) == (3, 3)


def test_libyaml_survives_any_depth_of_brackets():
    """Events come without recursion, here on a small stack; the depth is ours to bound."""
    before = threading.stack_size(256 * 1024)
    try:
        with ThreadPoolExecutor(1) as thread, pytest.raises(yaml.YAMLError):
            thread.submit(list, yaml.parse("[" * 20_000, Loader=yaml.CSafeLoader)).result()
    finally:
        threading.stack_size(before)
