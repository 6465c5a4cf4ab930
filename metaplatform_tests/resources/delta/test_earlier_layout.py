"""Tables of earlier releases, Delta-partitioned by ``_partition``: read as they are, and taken over when written."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema
from deltalake.transaction import create_table_with_add_actions

from metaplatform.errors import DataError
from metaplatform.resources.delta.delta_files import StagedFiles
from metaplatform.resources.storage.warehouse import Warehouse

REF, HISTORY = "raw.t", "predictions.p__history"


def as_before(folder: Path, rows: pa.Table, values: Mapping[str, str | int]) -> None:
    """Replace a partition as earlier releases did: files in a folder for each value, named by the log alone."""
    kinds = [pa.field(name, pa.int64() if isinstance(value, int) else pa.string()) for name, value in values.items()]
    with StagedFiles(folder, rows.schema, values) as staged:
        staged.write(rows.to_batches())
        if not DeltaTable.is_deltatable(folder.as_uri()):
            schema = Schema.from_arrow(pa.schema([*rows.schema, *kinds]))
            create_table_with_add_actions(folder.as_uri(), schema, staged.actions, partition_by=list(values))
        else:
            table = DeltaTable(folder.as_uri())
            filters = [(name, "=", str(value)) for name, value in values.items()]
            table.create_write_transaction(list(staged.actions), "overwrite", table.schema(), list(values), filters)
        staged.keep()


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """A table of three partitions, one without rows, whose keys are quoted in paths; and a history of two versions."""
    warehouse = Warehouse(root=str(tmp_path))
    for key, numbers in (("2024-01-01T05:00+02", [1, 2]), ("k2", [3]), ("k3", []), ("k2", [4, 5])):
        as_before(warehouse.path(REF), pa.table({"n": pa.array(numbers, pa.int64())}), {"_partition": key})
    for key, version in (("k1", 1), ("k1", 2), ("k2", 2)):
        values = {"_partition": key, "model_version": version}
        as_before(warehouse.path(HISTORY), pa.table({"n": [version]}), values)
    return warehouse


def rows_of(warehouse: Warehouse, ref: str = REF, version: int | None = None) -> list[tuple[object, ...]]:
    with warehouse.session() as session:
        table = session.table(ref, version=version)
        return sorted(tuple(row.values()) for row in session.stream(table).read_all().to_pylist())


def of_earlier_layout(warehouse: Warehouse, ref: str = REF) -> bool:
    return "_partition" in DeltaTable(warehouse.path(ref)).metadata().partition_columns


HELD = [(1, "2024-01-01T05:00+02"), (2, "2024-01-01T05:00+02"), (4, "k2"), (5, "k2")]


def test_are_read_and_counted_as_they_are(warehouse: Warehouse) -> None:
    assert rows_of(warehouse) == HELD
    assert {key: (state.rows, state.files) for key, state in warehouse.partitions(REF).items()} == {
        "2024-01-01T05:00+02": (2, 1),
        "k2": (2, 1),
        "k3": (0, 1),
    }
    assert of_earlier_layout(warehouse)


def test_are_taken_over_by_the_next_write_and_nothing_else_changes(warehouse: Warehouse) -> None:
    before, version = warehouse.partitions(REF), warehouse.version(REF)
    warehouse.replace(REF, pa.table({"n": [9], "more": ["x"]}), partition="k2", metadata={})
    assert not of_earlier_layout(warehouse)
    assert rows_of(warehouse) == [(1, HELD[0][1], None), (2, HELD[0][1], None), (9, "k2", "x")]
    after = warehouse.partitions(REF)
    assert {key: state.rows for key, state in after.items()} == {"2024-01-01T05:00+02": 2, "k2": 1, "k3": 0}
    assert {key for key in before if after[key].content != before[key].content} == {"k2"}
    assert rows_of(warehouse, version=version) == HELD, "older versions remain"
    found = pl.scan_delta(str(warehouse.path(REF))).filter(pl.col("_partition") == HELD[0][1]).collect()
    assert found["n"].to_list() == [1, 2]


def test_are_taken_over_by_the_nightly_maintenance(warehouse: Warehouse) -> None:
    before = warehouse.partitions(REF)
    assert str(warehouse.maintain(REF, retention_hours=24)) == "3 small files joined"
    assert not str(warehouse.maintain(REF, retention_hours=24))
    assert not of_earlier_layout(warehouse)
    assert rows_of(warehouse) == HELD
    assert {key: (state.rows, state.content) for key, state in warehouse.partitions(REF).items()} == {
        key: (state.rows, state.content) for key, state in before.items()
    }


def test_may_change_their_types_once_they_are_cleared_and_not_by_a_range_of_all_there_is(warehouse: Warehouse) -> None:
    rows, keys = pa.table({"n": ["text"], "_partition": ["k2"]}), list(warehouse.partitions(REF))
    with pytest.raises(DataError, match="column 'n' is int64 in the table and string"):
        warehouse.replace(REF, pa.table({"n": ["text"]}), partition="k2", metadata={})
    with pytest.raises(DataError, match="column 'n' is int64 in the table and string"):
        warehouse.replace_partitions(REF, rows.to_reader(), partitions=keys, metadata={})
    assert of_earlier_layout(warehouse)
    warehouse.clear(REF, metadata={})
    warehouse.replace_partitions(REF, rows.to_reader(), partitions=keys, metadata={})
    assert rows_of(warehouse) == [("text", "k2")]


def test_histories_keep_their_versions(warehouse: Warehouse) -> None:
    values = {"_partition": "k1", "model_version": 2}
    rows = pa.table({"n": [20, 21]})
    warehouse.replace_where(HISTORY, rows, values=values, partition_by=tuple(values), metadata={})
    assert DeltaTable(warehouse.path(HISTORY)).metadata().partition_columns == ["model_version"]
    assert rows_of(warehouse, HISTORY) == [(1, "k1", 1), (2, "k2", 2), (20, "k1", 2), (21, "k1", 2)]
    states = warehouse.partitions(HISTORY)
    assert (states["k1"].rows, states["k1"].min_model_version, states["k1"].max_model_version) == (3, 1, 2)


def test_histories_are_retyped_as_they_are(warehouse: Warehouse) -> None:
    warehouse.retype(HISTORY, {"n": pa.string()}, metadata={})
    assert rows_of(warehouse, HISTORY) == [("1", "k1", 1), ("2", "k1", 2), ("2", "k2", 2)]
    assert {key: state.rows for key, state in warehouse.partitions(HISTORY).items()} == {"k1": 2, "k2": 1}
