"""A history follows its columns to other types: every version's rows stay, in one commit."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from metaplatform.errors import ColumnTypeError
from metaplatform.resources.storage.warehouse import Warehouse

HISTORY = "predictions.scores__history"
COMMIT = {"run_id": "r"}


def rows(amount: pa.Array, **more: pa.Array) -> pa.Table:
    count = len(amount)
    moments = pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * count, pa.timestamp("us", "UTC"))
    return pa.table({"id": pa.array(range(count), pa.int64()), "at": moments, 'a "b"': amount, **more})


def write(warehouse: Warehouse, table: pa.Table, partition: str, version: int) -> None:
    values = {"_partition": partition, "model_version": version}
    warehouse.replace_where(HISTORY, table, values=values, partition_by=tuple(values), metadata=COMMIT)


def read(warehouse: Warehouse) -> list[tuple[object, ...]]:
    with warehouse.session() as session:
        table = session.stream(session.table(HISTORY)).read_all()
    names = ("_partition", "model_version", "id", 'a "b"')
    return sorted(tuple(row[name] for name in names) for row in table.to_pylist())


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    warehouse = Warehouse(root=str(tmp_path))
    write(warehouse, rows(pa.array([1.5, 2.5])), "2024-01", 1)
    write(warehouse, rows(pa.array([3.5])), "2024-01", 2)
    # A column that older files do not have.
    write(warehouse, rows(pa.array([4.5]), label=pa.array(["x"])), "2024-02", 2)
    return warehouse


def test_rows_of_all_partitions_are_cast_in_one_commit_and_new_ones_fit(warehouse: Warehouse) -> None:
    before = warehouse.version(HISTORY)
    with pytest.raises(ColumnTypeError):
        write(warehouse, rows(pa.array(["9"])), "2024-02", 3)
    types = {'a "b"': pa.string(), "model_version": pa.string(), "elsewhere": pa.int8()}
    warehouse.retype(HISTORY, types, metadata=COMMIT)
    assert warehouse.version(HISTORY) == before + 1
    write(warehouse, rows(pa.array(["9"])), "2024-02", 3)
    assert read(warehouse) == [
        ("2024-01", 1, 0, "1.5"),
        ("2024-01", 1, 1, "2.5"),
        ("2024-01", 2, 0, "3.5"),
        ("2024-02", 2, 0, "4.5"),
        ("2024-02", 3, 0, "9"),
    ]
    assert warehouse.schema(HISTORY).field("at").type == pa.timestamp("us", "UTC")


def test_a_value_without_a_like_in_the_new_type_becomes_null(warehouse: Warehouse) -> None:
    warehouse.retype(HISTORY, {'a "b"': pa.string()}, metadata=COMMIT)
    write(warehouse, rows(pa.array(["many"])), "2024-02", 2)
    warehouse.retype(HISTORY, {'a "b"': pa.float32()}, metadata=COMMIT)
    assert [row[3] for row in read(warehouse)] == [1.5, 2.5, 3.5, None]


def test_a_table_that_has_these_types_or_is_not_there_is_left_alone(warehouse: Warehouse) -> None:
    before = warehouse.version(HISTORY)
    warehouse.retype(HISTORY, {'a "b"': pa.float64()}, metadata=COMMIT)
    warehouse.retype("predictions.none__history", {"id": pa.int8()}, metadata=COMMIT)
    assert warehouse.version(HISTORY) == before
