"""SQL of the book: what parses, what is refused, what it reads, and when two texts mean the same."""

from typing import get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from metaplatform.specs.fields.spec_types import bare, hints_of, is_sql, models_of
from metaplatform.specs.structure import CHAPTER_TYPES
from metaplatform.sql.columns import Column
from metaplatform.sql.expressions import (
    NAMED_BY_THE_BOOK,
    SQL_FIELDS,
    canonical_fields,
    canonical_sql,
    canonical_type,
    column_uses,
    parse_expression,
    parse_query,
    referenced_columns,
    referenced_tables,
)
from metaplatform.sql.query_columns import query_columns
from metaplatform.sql.sql_safety import SqlError

SQL = """
select from where a b raw.orders ( ) , . + - * / 'x' "y z" 1 2.5 and not in is null case when then else end with
as x union all join on using group by order limit :: int [ ] { } : -> lambda interval day avg( count(*) over
partition exists like = <> filter unnest values lateral pivot for exclude columns( having qualify window
cast( struct map ? $1 # ; -- /* */ % || ^ rename asof natural tablesample any( collate at time zone
"""
WORDS = SQL.split()
texts = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=14).map(" ".join)


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("arr_delay > 30", ("arr_delay",)),
        ("year - plane_built + year", ("year", "plane_built")),
        ("isodow(make_date(year, month, day))", ("year", "month", "day")),
        ("place.city.name", ("place",)),
        ('"two words" + 1', ("two words",)),
        ("list_transform(xs, lambda x: x + y)", ("xs", "y")),
        ("[x + 1 for x in xs if x > y]", ("xs", "y")),
        ("count(*)", ()),
        ("avg(a) filter (where b)", ("a", "b")),
        ("case when load > 3 then 'order' end", ("load",)),
        ("date_trunc('hour', t) + interval 1 day", ("t",)),
        ("a -> 'b'", ("a",)),
    ],
)
def test_the_columns_of_an_expression_are_known_in_order_of_appearance(sql: str, columns: tuple[str, ...]):
    assert referenced_columns(sql) == columns


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select 1 as one", ()),
        ("from raw.flights", ("raw.flights",)),
        ("with f as (select * from raw.flights) select * from f join tables.x using (y)", ("raw.flights", "tables.x")),
        ("select (select max(a) from raw.b) as m from raw.a where exists (from raw.c)", ("raw.a", "raw.b", "raw.c")),
        ("with raw as (select 1 as one) select * from raw", ()),
        ("select * from range(3), raw.a asof join raw.b using (t)", ("raw.a", "raw.b")),
    ],
)
def test_the_references_of_a_query_are_its_tables_without_its_ctes(sql: str, tables: tuple[str, ...]):
    assert referenced_tables(sql) == tables


def test_a_cte_is_visible_in_its_own_query_only():
    with pytest.raises(SqlError, match="'f' is not a reference"):
        parse_query("select * from (with f as (select 1 as one) select * from f) join f on true")


@pytest.mark.parametrize(
    "sql",
    [
        "insert into raw.flights select 1", "delete from raw.flights", "update raw.flights set a = 1",
        "merge into raw.a using raw.b on true when matched then delete", "create table x as select 1",
        "drop table raw.flights", "alter table raw.a add column b int", "truncate raw.a", "copy raw.a to 'x.csv'",
        "copy (select 1) to 'x'", "export database 'x'", "import database 'x'", "attach 'x.db'", "detach x",
        "install httpfs", "load httpfs", "set memory_limit = '1GB'", "reset memory_limit", "pragma database_list",
        "call pragma_version()", "explain select 1", "describe raw.a", "summarize raw.a", "show tables", "use x",
        "vacuum", "checkpoint", "begin", "values (1)", "pivot raw.a on b using sum(c)", "select 1; select 2",
        "select 1;", "", "-- nothing", "select", "select 1 into raw.x", "select * from raw.a for update",
        "select * from (describe raw.a)", "with x as (delete from raw.a returning *) select * from x",
    ],
)  # fmt: skip
def test_only_one_select_is_a_query(sql: str):
    with pytest.raises(SqlError):
        parse_query(sql)


@pytest.mark.parametrize(
    "table",
    [
        "'a.parquet'", '"a.csv"', "read_csv('a')", "read_parquet('a')", "read_text('/etc/passwd')", "glob('*')",
        "delta_scan('a')", "sqlite_scan('a', 'b')", "query('select 1')", "query_table('x')", "duckdb_settings()",
        "duckdb_secrets()", "pragma_table_info('x')", "information_schema.tables", "pg_catalog.pg_tables", "x",
        "other.raw.flights", "raw.a at (version => 3)", "parquet_scan(['a'])", "st_read('x')",
    ],
)  # fmt: skip
def test_a_query_reads_references_only(table: str):
    with pytest.raises(SqlError):
        parse_query(f"select * from {table}")  # noqa: S608 — refused, that is the point


@pytest.mark.parametrize(
    "call",
    [
        "now()", "current_date", "current_timestamp", "today()", "get_current_timestamp()", "random()", "uuid()",
        "gen_random_uuid()", "setseed(1)", "getenv('A')", "current_setting('a')", "getvariable('a')", "nextval('s')",
        "read_text('a')", "current_user", "version()", "sleep_ms(1)", "write_log('a')", "json_serialize_sql('')",
        "$1", "?", ":x", "#1",
    ],
)  # fmt: skip
def test_neither_expressions_nor_queries_reach_outside_or_change_their_mind(call: str):
    with pytest.raises(SqlError):
        parse_expression(call)
    with pytest.raises(SqlError):
        parse_query(f"select {call} as a from raw.a")  # noqa: S608 — refused, that is the point


def test_a_fault_knows_its_line_and_column():
    with pytest.raises(SqlError) as caught:
        parse_query("select a\nfrom raw.x\nwhere (b > 3\n  order by c")
    assert (caught.value.line, caught.value.column, caught.value.culprit) == (4, 3, "order by")


@pytest.mark.parametrize("sql", ["(" * 400 + "a" + ")" * 400, "not " * 2000 + "a", "abs(" * 300])
def test_too_deep_nesting_is_refused_in_time(sql: str):
    with pytest.raises(SqlError):
        parse_expression(sql)


def test_a_long_chain_is_no_nesting():
    assert referenced_columns("a" + " and a" * 2_000) == ("a",)


def check_place(error: SqlError) -> None:
    assert (error.line, error.column) >= (1, 1)


@given(texts)
@settings(max_examples=300)
def test_any_text_parses_or_is_refused(text: str):
    for sql in (text, f"select {text}", f"select a from raw.orders {text}"):  # noqa: S608 — parsed only
        for parse in (parse_expression, parse_query):
            try:
                tree = parse(sql)
            except SqlError as error:
                check_place(error)
                continue
            column_uses(tree)
            assert canonical_sql(sql) == canonical_sql(canonical_sql(sql))
            if parse is parse_query:
                query_columns(parse_query(sql), lambda _: (Column("a"), Column("b")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a>1", "a  >\n 1 -- because"),
        ("AVG(a)", "avg( a ) /* mean */"),
        ("select a from raw.x", 'SELECT "a"\nFROM "raw"."x"'),
        ("a::int", "cast(a as INTEGER)"),
    ],
)
def test_texts_that_mean_the_same_have_one_canonical_form(one: str, other: str):
    assert canonical_sql(one) == canonical_sql(other)


@pytest.mark.parametrize(("one", "other"), [("a > 1", "a > 2"), ("a", "b"), ("a and b", "a or b"), ("'A'", "'a'")])
def test_texts_that_differ_in_meaning_differ_in_canonical_form(one: str, other: str):
    assert canonical_sql(one) != canonical_sql(other)


def test_order_is_kept_where_it_means_something():
    block = {"kind": "expression", "columns": {"b": "x", "c": "b + 1"}}
    turned = {"kind": "expression", "columns": {"c": "b + 1", "b": "x"}}
    assert canonical_fields(block) != canonical_fields(turned)
    assert canonical_fields({"key": ["a", "b"]}) != canonical_fields({"key": ["b", "a"]})
    assert canonical_fields({"after": ["raw.a", "raw.b"]}) == canonical_fields({"after": ["raw.b", "raw.a"]})
    free = {"kind": "expression", "columns": {"b": "x", "c": "y"}}
    assert canonical_fields(free) == canonical_fields({"columns": {"c": "y", "b": "x"}, "kind": "expression"})


@pytest.mark.parametrize(
    ("written", "canonical"),
    [("integer", "INT"), ("int4", "INT"), ("string", "TEXT"), ("decimal(10, 2)", "DECIMAL(10, 2)"), ("int[]", "INT[]")],
)
def test_types_have_one_canonical_form(written: str, canonical: str):
    assert canonical_type(written) == canonical


@pytest.mark.parametrize("written", ["", "foo", "int; drop table x", "int not null", "int default 3", "int 3"])
def test_what_is_no_type_is_refused(written: str):
    with pytest.raises(SqlError):
        canonical_type(written)


@pytest.mark.parametrize("key", ["where", "when", "exclude", "sql", "columns", "kind"])
@pytest.mark.parametrize("column", ["Calendar Day", "City", "Not SQL at all ("])
def test_a_column_of_any_name_is_joined_on_as_it_is_written(key: str, column: str):
    found = canonical_fields({"kind": "lookup", "on": {key: column, "a": "b"}})
    assert found == {"kind": "lookup", "on": {"a": "b", key: column}}
    assert found != canonical_fields({"kind": "lookup", "on": {key: column.lower(), "a": "b"}})


def every_spec() -> set[type[BaseModel]]:
    pending = [model for chapter in CHAPTER_TYPES.values() for model in models_of(chapter)]
    found: set[type[BaseModel]] = set()
    while pending:
        model = pending.pop()
        if model not in found:
            found.add(model)
            for hint in hints_of(model).values():
                inner = [hint, *get_args(bare(hint))]
                pending += [each for part in inner for each in models_of(part)]
    return found


def test_the_types_of_specs_say_what_is_sql_and_whose_keys_are_the_books_own():
    fields = [(key, hint) for model in every_spec() for key, hint in hints_of(model).items()]
    assert {key for key, hint in fields if is_sql(hint)} == SQL_FIELDS
    mappings = {key for key, hint in fields if get_origin(bare(hint)) is dict}
    assert mappings == NAMED_BY_THE_BOOK | {"columns", "derive"}
