"""A query asked for each of many partitions at once gives what it gives for one after the other."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from sqlglot import exp, parse_one

from metaplatform.compute.chosen_rows import in_partition
from metaplatform.errors import DataError
from metaplatform.resources.engine.session import Session
from metaplatform.resources.storage.warehouse import Warehouse

KEYS = [f"2024-01-{day:02}" for day in range(1, 8)]
MOVES = pa.table(
    {
        "i": range(210),
        "g": [number * 7 % 5 for number in range(210)],
        "x": [number * 37 % 101 / 101 for number in range(210)],
        "_partition": [KEYS[number % 6] for number in range(210)],
    }
).sort_by("_partition")
"""Rows of all partitions but the last."""
NAMES = pa.table({"g": [0, 1, 2, 9], "name": ["a", "b", "c", "never"]})

QUERIES = {
    "rows": "select i, x * 2 as twice from raw.t where x > .5",
    "all columns": "select * from raw.t where g = 1",
    "groups": "select g, max(x) as most from raw.t group by g",
    "a row of nothing": "select count(*) as n, max(x) as most from raw.t",
    "windows": "select i, row_number() over (partition by g order by i) as r, lag(x) over (order by i) as b from raw.t",
    "first rows": "select i from raw.t order by x desc, i limit 3",
    "distinct": "select distinct g from raw.t",
    "distinct on": "select distinct on (g) g, i from raw.t order by g, i",
    "with": "with a as (select g, max(x) as m from raw.t group by g), b as (select g from a where m > .9) "
    "select a.g, m from a join b using (g)",
    "union": "select i from raw.t where g = 1 union all select i from raw.t where g = 2",
    "except": "select i from raw.t where g < 3 except select i from raw.t where g = 1",
    "join": "select i, name from raw.t join raw.n using (g)",
    "left join": "select t.i, n.name from raw.t left join raw.n as n on n.g = t.g",
    "right join": "select t.i, n.name from raw.t right join raw.n as n on n.g = t.g and t.x > .9",
    "itself": "select a.i, b.i as other from raw.t as a join raw.t as b on a.g = b.g and a.i < b.i and b.x > .8",
    "greatest": "select i from raw.t where x = (select max(x) from raw.t)",
    "greatest of its group": "select i from raw.t as a where x = (select max(x) from raw.t as b where b.g = a.g)",
    "exists": "select g from raw.n where exists (select 1 from raw.t where t.g = n.g and t.x > .7)",
    "qualify": "select i from raw.t qualify row_number() over (partition by g order by x, i) = 1",
    "lists": "select g, list(i order by i) as l from raw.t group by g",
    "having": "select g from raw.t group by g having count(*) > 7",
    "rollup": "select g, count(*) as c from raw.t group by rollup(g)",
    "unnest": "select g, unnest([1, 2]) as u from raw.t where i % 5 = 0",
    "only the other table": "select name from raw.n",
    "columns by words of SQL": 'select i as "end", g as "at" from raw.t where x > .9',
}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    warehouse = Warehouse(root=str(tmp_path))
    rows = pa.RecordBatchReader.from_batches(MOVES.schema, MOVES.to_batches())
    warehouse.replace_partitions("raw.t", rows, partitions=KEYS, metadata={})
    warehouse.replace("raw.n", NAMES, partition=None, metadata={})
    with warehouse.session() as session:
        yield session


def query(text: str) -> exp.Query:
    parsed = parse_one(text, dialect="duckdb")
    assert isinstance(parsed, exp.Query)
    return parsed


def told(table: pa.Table, **more: str) -> list[str]:
    return sorted(str(sorted({**row, **more}.items())) for row in table.to_pylist())


@pytest.mark.parametrize("name", QUERIES)
def test_each_partition_has_the_rows_that_it_has_alone(session: Session, name: str) -> None:
    tables = {ref: session.table(ref) for ref in ("raw.t", "raw.n")}
    asked = session.query_each(query(QUERIES[name]), tables, apart=["raw.t"], partitions=KEYS)
    wanted: list[str] = []
    for key in KEYS:
        alone = session.query(query(QUERIES[name]), {**tables, "raw.t": in_partition(tables["raw.t"], key)})
        wanted += told(session.stream(alone).read_all(), _partition=key)
    found = session.stream(asked).read_all()
    assert told(found) == sorted(wanted)
    assert found.column_names[-1] == "_partition"


def test_what_the_engine_cannot_answer_at_once_is_told(session: Session) -> None:
    """Whoever asked then asks for one partition after the other."""
    tables = {ref: session.table(ref) for ref in ("raw.t", "raw.n")}
    text = "select t.i, n.name from raw.t full join raw.n as n on n.g = t.g"
    with pytest.raises(DataError, match="join type"):
        session.stream(session.query_each(query(text), tables, apart=["raw.t"], partitions=KEYS))


def test_a_query_that_does_not_fit_is_told_as_ever(session: Session) -> None:
    tables = {"raw.t": session.table("raw.t")}
    with pytest.raises(DataError, match="nowhere"):
        session.query_each(query("select nowhere from raw.t"), tables, apart=["raw.t"], partitions=KEYS, owner="t")
