"""Readers that are not ours find in our tables what a look at all rows finds, whatever they skip by statistics."""

import json
import operator
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf, nan
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, create_table_with_add_actions
from typer.testing import CliRunner

from metaplatform.cli.commands import app
from metaplatform.resources.engine.duckdb_connections import load_delta
from metaplatform.resources.storage.warehouse import Warehouse

UTC_MOMENT, LOCAL_MOMENT = pa.timestamp("us", "UTC"), pa.timestamp("us")
EARLY = datetime(1950, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
LATE = datetime(2024, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
LONG = "a" * 40
KINDS: dict[str, tuple[pa.DataType, list[list[Any]]]] = {
    "tinyint": (pa.int8(), [[-128, 0], [1, 127, None]]),
    "bigint": (pa.int64(), [[-(2**63), -1], [0, 2**63 - 1, None], [2**53, 2**53 + 1]]),
    "real": (pa.float32(), [[-0.1, 0.1], [1e38, None]]),
    "double": (pa.float64(), [[-1.5, 0.1], [0.3, 1e300, None], [5e-324, 1 / 3]]),
    "zeros": (pa.float64(), [[0.0, -0.0], [-0.0, 1.0], [None, 0.0]]),
    "nan": (pa.float64(), [[1.0, nan], [2.0, None], [nan, nan], [inf, -1.0], [-inf, nan]]),
    "nan, real": (pa.float32(), [[1.0, nan], [2.0, None]]),
    "boolean": (pa.bool_(), [[True, True], [False, None], [True, False]]),
    "text": (pa.string(), [["", "a"], ["failed", "é", None], ["\U0010ffff", "z"]]),
    "long text": (pa.string(), [[LONG, LONG + "b"], [LONG[:32], "a" * 31 + "b"], ["\U0010ffff" * 40, "\ud7ff" * 40]]),
    "binary": (pa.binary(), [[b"", b"a"], [b"\xff" * 40, None]]),
    "decimal": (pa.decimal128(18, 2), [[Decimal("-1234567.89"), Decimal("1.50")], [Decimal("9999.99"), None]]),
    "long decimal": (pa.decimal128(38, 2), [[Decimal("9" * 36), Decimal("-" + "9" * 36)], [Decimal(10**17 + 1), None]]),
    "small decimal": (pa.decimal128(20, 18), [[Decimal("1E-18"), Decimal("3E-10")], [Decimal("0.5"), None]]),
    "date": (pa.date32(), [[date(1, 1, 1), date(1950, 1, 1)], [date(2024, 2, 29), None], [date(9999, 12, 31)] * 2]),
    "instant": (UTC_MOMENT, [[EARLY, EARLY], [LATE, None]]),
    "moment": (LOCAL_MOMENT, [[EARLY.replace(tzinfo=None)] * 2, [LATE.replace(tzinfo=None), None]]),
    "nothing": (pa.string(), [[None, None], ["a", None], [None, None]]),
}
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A table a kind, a partition a file; its ``id`` tells the rows."""
    warehouse = Warehouse(root=str(tmp_path_factory.mktemp("root")))
    for number, (kind, files) in enumerate(KINDS.values()):
        for part, values in enumerate(files):
            ids = [part * 10 + index for index in range(len(values))]
            rows = pa.table({"id": ids, "x": pa.array(values, kind)})
            warehouse.replace(f"raw.t{number}", rows, partition=f"p{part}", metadata={})
    return warehouse


@pytest.fixture(params=list(KINDS))
def table(request: pytest.FixtureRequest, warehouse: Warehouse) -> DeltaTable:
    return DeltaTable(warehouse.path(f"raw.t{list(KINDS).index(request.param)}").as_uri())


def values_of(rows: pa.Table) -> "list[pa.Scalar[Any]]":
    """Return what the column holds; not NaN, with which Arrow finds more than there is where a file has bounds."""
    return [value for value in rows["x"].unique() if value.is_valid and value.as_py() == value.as_py()]


def conditions(field: Any, values: "list[pa.Scalar[Any]]") -> Iterator[tuple[str, pc.Expression]]:
    for value in values:
        for name, compare in OPERATORS.items():
            yield f"{name} {value}", compare(field, value)
        yield f"in {value}", field.isin(pa.array([value.as_py()], value.type))
    yield "is null", field.is_null()
    yield "is not null", field.is_valid()


def found_in(rows: Any, values: "list[pa.Scalar[Any]]") -> dict[str, list[int]]:
    return {
        name: sorted(rows.to_table(filter=condition)["id"].to_pylist())
        for name, condition in conditions(pads.field("x"), values)
    }


def test_delta_rs_and_pyarrow_find_every_row(table: DeltaTable):
    whole = pa.table(table.to_pyarrow_table())
    expected = found_in(pads.dataset(whole), values_of(whole))
    assert found_in(table.to_pyarrow_dataset(), values_of(whole)) == expected
    assert found_in(pads.dataset(table.file_uris(), schema=whole.schema), values_of(whole)) == expected


def test_filters_of_delta_rs_find_every_row(table: DeltaTable):
    whole = pa.table(table.to_pyarrow_table())
    for value in values_of(whole):
        for name, compare in OPERATORS.items():
            found = pa.table(table.to_pyarrow_table(filters=[("x", name, value.as_py())]))
            expected = whole.filter(compare(pads.field("x"), value))["id"].to_pylist()
            assert sorted(found["id"].to_pylist()) == sorted(expected), (name, value)


def test_duckdb_finds_every_row(table: DeltaTable):
    with duckdb.connect() as connection:
        load_delta(connection)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("create table whole as from delta_scan(?)", [table.table_uri])
        connection.execute("create table valued as select distinct x from whole where x is not null")
        literals = [text for (text,) in connection.execute("select x::varchar from valued order by x").fetchall()]
        kind = connection.execute("select typeof(x) from whole").fetchall()[0][0]
        where = [f"x {name} '{text}'::{kind}" for text in literals for name in (*OPERATORS, "in")]
        where = [text.replace(" in ", " in (") + ")" if " in " in text else text for text in where]
        for condition in (*where, "x is null", "x is not null"):
            found = [
                connection.execute(f"select id from {rows} where {condition} order by id").fetchall()  # noqa: S608
                for rows in (f"delta_scan('{table.table_uri}')", "whole")
            ]
            assert found[0] == found[1], condition


def test_polars_finds_every_row(table: DeltaTable):
    lazy, whole = pl.scan_delta(table.table_uri), pl.scan_delta(table.table_uri).collect()
    column = pl.col("x")
    wanted = {"is null": column.is_null(), "is not null": column.is_not_null()}
    for value in whole["x"].drop_nulls().unique():
        literal = pl.lit(value, dtype=whole["x"].dtype)
        wanted |= {f"{name} {value}": compare(column, literal) for name, compare in OPERATORS.items()}
        wanted[f"in {value}"] = column.is_in([value])
    for name, condition in wanted.items():
        found = lazy.filter(condition).collect()["id"].sort().to_list()
        assert found == whole.filter(condition)["id"].sort().to_list(), name


class TestStatistics:
    @pytest.mark.parametrize("kind", ["tinyint", "bigint", "double", "boolean", "text", "decimal", "date"])
    def test_let_readers_skip_files(self, warehouse: Warehouse, kind: str):
        table = DeltaTable(warehouse.path(f"raw.t{list(KINDS).index(kind)}").as_uri())
        least = pa.table(table.get_add_actions(flatten=True))["min.x"]
        assert least.null_count == 0

    def test_of_a_file_with_one_column_that_has_no_bounds_have_none_at_all(self, tmp_path: Path):
        warehouse = Warehouse(root=str(tmp_path))
        rows = {"id": [1, 2], "x": [1.0, nan], "s": ["a", None], "l": [[1], None], "n": pa.array([None, None])}
        warehouse.replace("raw.t", pa.table(rows), partition=None, metadata={})
        assert statistics(warehouse, "raw.t") == [{"numRecords": 2, "nullCount": {"id": 0, "x": 0, "s": 1, "n": 2}}]

    def test_of_very_wide_files_are_their_rows_alone(self, tmp_path: Path):
        warehouse = Warehouse(root=str(tmp_path))
        rows = pa.table({f"c{number}": [1] for number in range(300)})
        warehouse.replace("raw.t", rows, partition=None, metadata={})
        assert statistics(warehouse, "raw.t") == [{"numRecords": 1, "nullCount": {}}]
        assert DeltaTable(warehouse.path("raw.t").as_uri()).to_pandas(filters=[("c299", "=", 1)]).shape == (1, 300)


class TestColumnsThatSomeFilesHave:
    """What a file has not is null in its rows, for every reader, whichever of the files came first."""

    @pytest.fixture(params=["partition", "append", "many"])
    def table(self, request: pytest.FixtureRequest, tmp_path: Path) -> DeltaTable:
        warehouse = Warehouse(root=str(tmp_path))
        old, new = pa.table({"id": ["a", "b"], "gone": [1, 2]}), pa.table({"id": ["c"], "x": ["text"]})
        if request.param == "partition":
            for key, rows in (("2024-01-01T05:00+02", old), ("k2", new), ("k3", old.slice(1))):
                warehouse.replace("raw.t", rows, partition=key, metadata={})
        else:
            many = [pa.table({"id": [str(number)]}) for number in range(50 if request.param == "many" else 0)]
            for rows in (old, new, *many):
                warehouse.append_new("raw.t", rows, key="id", metadata={})
        return DeltaTable(warehouse.path("raw.t").as_uri())

    def test_are_found_by_every_reader(self, table: DeltaTable):
        whole = pa.table(table.to_pyarrow_table())
        for field, value in ((pads.field("x"), "text"), (pads.field("gone"), 1)):
            for condition in (field.is_null(), field.is_valid(), field == value, field != value):
                found = table.to_pyarrow_dataset().to_table(filter=condition)
                assert sorted(found["id"].to_pylist()) == sorted(whole.filter(condition)["id"].to_pylist())
        lazy = pl.scan_delta(table.table_uri)
        for condition in (pl.col("x").is_null(), pl.col("x") == "text", pl.col("gone").is_null(), pl.col("gone") > 1):
            found = lazy.filter(condition).collect()["id"].sort().to_list()
            assert found == lazy.collect().filter(condition)["id"].sort().to_list()
        with duckdb.connect() as connection:
            load_delta(connection)
            connection.execute("create table whole as from delta_scan(?)", [table.table_uri])
            for condition in ("x is null", "x = 'text'", "gone is null", "gone > 1"):
                found, expected = (
                    connection.execute(f"select id from {rows} where {condition} order by id").fetchall()  # noqa: S608
                    for rows in (f"delta_scan('{table.table_uri}')", "whole")
                )
                assert found == expected, condition

    def test_leave_files_as_many_as_there_were(self, table: DeltaTable):
        paths = pa.table(table.get_add_actions())["path"].to_pylist()
        assert len(paths) == len(set(paths)) <= 40


class TestTablesOfBefore:
    """Files whose log has bounds of numbers and times only, as ours once had: readers skip them by the others."""

    @pytest.fixture
    def warehouse(self, tmp_path: Path) -> Warehouse:
        warehouse = Warehouse(root=str(tmp_path))
        rows = pa.table({"n": [1, 2], "status": ["failed", None], "p": [0.7, 0.2]})
        half = {"numRecords": 2, "nullCount": {"n": 0}, "minValues": {"n": 1}, "maxValues": {"n": 2}}
        folder = warehouse.path("raw.t")
        (folder / "_partition=2024-01-01T05:00+02").mkdir(parents=True)
        actions = []
        for key in ("k1", "2024-01-01T05:00+02"):
            path = f"_partition={key}/part.parquet"
            (folder / path).parent.mkdir(exist_ok=True)
            pq.write_table(rows, folder / path)
            size = (folder / path).stat().st_size
            actions.append(AddAction(path, size, {"_partition": key}, 1_700_000_000_000, True, json.dumps(half)))
        schema = Schema.from_arrow(rows.schema.append(pa.field("_partition", pa.string())))
        create_table_with_add_actions(folder.as_uri(), schema, actions, mode="error", partition_by=["_partition"])
        return warehouse

    def test_are_set_right_and_say_so(self, warehouse: Warehouse):
        def found() -> int:
            table = DeltaTable(warehouse.path("raw.t").as_uri())
            return len(table.to_pandas(filters=[("status", "=", "failed")]))

        before = warehouse.partitions("raw.t")
        assert found() == 0
        done = warehouse.maintain("raw.t", retention_hours=24)
        assert str(done) == "statistics of 2 files set right, 2 small files joined"
        assert found() == 2
        after = warehouse.partitions("raw.t")
        assert {key: (state.rows, state.content) for key, state in after.items()} == {
            key: (state.rows, state.content) for key, state in before.items()
        }
        assert not str(warehouse.maintain("raw.t", retention_hours=24))

    def test_are_set_right_by_the_command_which_says_so(self, warehouse: Warehouse):
        done = "statistics of 2 files set right, 2 small files joined"
        for told in (f"raw.t: {done}\n1 of 1 tables needed it\n", "no table needed it\n"):
            done = CliRunner().invoke(app, ["maintain", "--root", warehouse.root])
            assert (done.exit_code, done.output) == (0, told)

    def test_are_right_once_written_again(self, warehouse: Warehouse):
        warehouse.replace("raw.t", pa.table({"n": [1], "status": ["failed"], "p": [nan]}), partition="k1", metadata={})
        warehouse.maintain("raw.t", retention_hours=24)
        table = DeltaTable(warehouse.path("raw.t").as_uri())
        assert len(table.to_pandas(filters=[("status", "=", "failed")])) == 2


def test_the_newest_moment_is_known_of_files_without_bounds(tmp_path: Path):
    warehouse = Warehouse(root=str(tmp_path))
    for key, value, moment in (("k1", nan, LATE), ("k2", 1.0, EARLY)):
        rows = pa.table({"x": [value], "at": pa.array([moment], UTC_MOMENT)})
        warehouse.replace("raw.t", rows, partition=key, metadata={})
    assert warehouse.newest("raw.t", "at") == LATE


def test_a_model_version_is_known_of_files_without_bounds(tmp_path: Path):
    warehouse = Warehouse(root=str(tmp_path))
    rows = pa.table({"score": [nan, 0.5], "model_version": [3, 3]})
    warehouse.replace("predictions.t", rows, partition="k1", metadata={})
    assert "minValues" not in statistics(warehouse, "predictions.t")[0]
    assert warehouse.partitions("predictions.t")["k1"].model_version == 3


def statistics(warehouse: Warehouse, ref: str) -> list[dict[str, Any]]:
    """Return the statistics in the log of a table, as they were written."""
    commits = sorted((warehouse.path(ref) / "_delta_log").glob("*.json"))
    lines = [json.loads(line) for commit in commits for line in commit.read_text().splitlines()]
    return [json.loads(line["add"]["stats"]) for line in lines if "add" in line]
