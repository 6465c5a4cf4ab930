"""The columns of a query: their names and kinds are those of DuckDB, and names that it refuses are told."""

from collections.abc import Iterator

import duckdb
import pytest

from metaplatform.sql.columns import Column, Columns
from metaplatform.sql.expressions import parse_query
from metaplatform.sql.query_columns import QueryColumns, query_columns

TABLES: dict[str, dict[str, str]] = {
    "raw.a": {"id": "bigint", "name": "varchar", "made": "timestamp", "ok": "boolean"},
    "raw.b": {"id": "integer", "size": "double", "Größe": "decimal(9, 2)"},
}
KINDS = {"BIGINT": "number", "INTEGER": "number", "DOUBLE": "number", "HUGEINT": "number", "VARCHAR": "text",
         "TIMESTAMP": "moment", "DATE": "moment", "BOOLEAN": "boolean"}  # fmt: skip
OF_TYPES = {"bigint": "number", "integer": "number", "double": "number", "decimal(9, 2)": "number", "varchar": "text",
            "timestamp": "moment", "boolean": "boolean"}  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("create schema raw")
    for table, columns in TABLES.items():
        written = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        connection.execute(f"create table {table} ({written})")
    yield connection
    connection.close()


def columns_of(ref: str) -> Columns:
    found = TABLES.get(ref)
    return found and tuple(Column(name, OF_TYPES[kind]) for name, kind in found.items())  # type: ignore[arg-type,return-value]


def read(sql: str) -> QueryColumns:
    return query_columns(parse_query(sql), columns_of)


SOUND = """
select * from raw.a
select id, name, MADE as moment from raw.a
select a.*, size from raw.a as a join raw.b as b on a.id = b.id
select * from raw.a join raw.b using (id)
select * exclude (ok) from raw.a
select * replace (upper(name) as name) from raw.a
select name, count(*) as n, max(made) as last, avg(id) as mean from raw.a group by all
select id + 1 as next, next * 2 as twice from raw.a
with c as (select id as x, ok from raw.a) select x, not ok as wrong from c
with c(p, q) as (select id, name from raw.a) select q, p from c
select x from (select name as x from raw.a) as t
select t.x from (select "Größe" as x from raw.b) as t
select (select max(size) from raw.b where b.id = a.id) as m from raw.a as a
select id from raw.a union all select id from raw.b
select id, name from raw.a intersect select id, 'x' from raw.b
select id, size from raw.b union by name select id, name from raw.a
select id from raw.a where exists (select 1 from raw.b where b.id = a.id)
select name, row_number() over (partition by name order by made) as r from raw.a qualify r = 1
select list_transform([1, 2], lambda x: x + id) as l from raw.a
select case when ok then id else 0 end as c, ok::integer as i, made::date as d from raw.a
from raw.a select name
select v as w from (values (1), (2)) as t(v)
select id as i from raw.a order by i, name limit 3
select l.id as one, r.id as two from raw.a as l left join raw.a as r on l.id < r.id
select date_trunc('day', made) as day, made + interval 1 day as later from raw.a
"""
WRONG = """
select nme from raw.a
select a.size from raw.a as a
select id from raw.a join raw.b on a.id = b.id
select x from (select name as y from raw.a) as t
with c as (select id from raw.a) select name from c
select id from raw.a where nme = 'x'
select id from raw.a order by nme
select name, count(*) as n from raw.a group by nme
select id from raw.a where exists (select 1 from raw.b where b.nme = a.id)
select (select max(nme) from raw.b) as m from raw.a
select size from raw.a join raw.b using (name)
select sum(id) over (partition by nme) as s from raw.a
select name from raw.a union all select nme from raw.a
select a.id from raw.a as b
"""


@pytest.mark.parametrize("sql", SOUND.strip().splitlines())
def test_names_and_kinds_are_those_of_duckdb(engine: duckdb.DuckDBPyConnection, sql: str) -> None:
    found, real = read(sql), engine.sql(sql)
    assert found.faults == ()
    assert found.wrong_kinds == ()
    assert found.output is not None
    assert [column.name for column in found.output] == real.columns
    for column, written in zip(found.output, real.types, strict=True):
        assert column.kind in {None, KINDS.get(str(written).partition("(")[0], "number")}


def test_kinds_are_known_of_most_of_these() -> None:
    columns = [column for sql in SOUND.strip().splitlines() for column in read(sql).output or ()]
    assert sum(column.kind is not None for column in columns) > 0.8 * len(columns)


@pytest.mark.parametrize("sql", WRONG.strip().splitlines())
def test_what_duckdb_refuses_for_its_names_is_told(engine: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(duckdb.Error):
        engine.sql(sql)
    (fault,) = read(sql).faults
    assert fault.rule in {"unknown-column", "ambiguous-column"}
    line, column = fault.place
    assert line == 1
    assert sql[column - 1 :].startswith((fault.name, fault.name.split(".")[-1]))


@pytest.mark.parametrize(
    ("sql", "rule", "name"),
    [
        ("select id + 1 from raw.a", "unnamed-column", "id + 1"),
        ("select id, name as ID from raw.a", "name-clash", "ID"),
        ("select count(*) from raw.a", "unnamed-column", "COUNT(*)"),
    ],
)
def test_columns_without_a_name_of_their_own(sql: str, rule: str, name: str) -> None:
    (fault,) = read(sql).faults
    assert (fault.rule, fault.name) == (rule, name)


def test_of_a_table_that_is_not_known_nothing_is_said() -> None:
    found = read("select x, t.y as z, a.id from raw.zzz as t join raw.a as a on t.k = a.id where w")
    assert found.faults == ()
    assert found.output is not None
    assert [column.name for column in found.output] == ["x", "z", "id"]
    assert read("select * from raw.zzz").output is None


def test_the_partition_can_be_read_and_is_not_among_all_columns() -> None:
    assert read("select id from raw.a where _partition = 'x'").faults == ()
    assert [column.name for column in read("select *, _partition as p from raw.b").output or ()] == [
        *TABLES["raw.b"],
        "p",
    ]


def test_faults_are_told_in_order_with_the_nearest_name() -> None:
    faults = read("select nme, sze\nfrom raw.a join raw.b on aa.id = 1").faults
    assert [(fault.name, fault.nearest) for fault in faults[:2]] == [("nme", "name"), ("sze", "size")]
    assert [fault.place for fault in faults] == sorted(fault.place for fault in faults)


def test_conditions_come_with_their_kinds() -> None:
    found = read("select id from raw.a join raw.b on size where name and ok")
    assert sorted(str(kind) for _, kind in found.conditions) == ["boolean", "number"]
