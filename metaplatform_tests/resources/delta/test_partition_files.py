"""Partitions that share files: whatever is replaced, joined or cut anew, each key has the rows it was given last."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.errors import DataError, StorageError
from metaplatform.resources.delta import delta_files, delta_maintenance, delta_rewriting
from metaplatform.resources.engine.duckdb_connections import load_delta
from metaplatform.resources.storage.warehouse import Warehouse, WriteResult

REF = "raw.t"
KEYS = tuple(f"2024-01-0{day}" for day in range(1, 9))
Rows = Mapping[str, list[int]]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(root=str(tmp_path))


@pytest.fixture(scope="class")
def small_files() -> Iterable[None]:
    """Let files be full, and small ones many, after a handful of rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delta_files, "_ROW_GROUP_ROWS", 3)
        for module in (delta_files, delta_rewriting):
            patch.setattr(module, "FILE_ROWS", 8)
        patch.setattr(delta_rewriting, "_SMALL_FILES", 3)
        patch.setattr(delta_maintenance, "_SMALL_FILES", 2)
        yield


def write(warehouse: Warehouse, rows: Rows, *, partitions: Collection[str] = (), chunk: int = 2) -> WriteResult:
    """Replace the partitions of ``rows``, and the others of ``partitions``, in one commit."""
    pairs = [(key, number) for key in sorted(rows) for number in rows[key]]
    table = pa.table(
        {"n": pa.array([number for _, number in pairs], pa.int64()), "_partition": [key for key, _ in pairs]},
        schema=pa.schema({"n": pa.int64(), "_partition": pa.string()}),
    )
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=chunk))
    return warehouse.replace_partitions(REF, reader, partitions=partitions or list(rows), metadata={})


def rows_of(warehouse: Warehouse, ref: str = REF) -> dict[str, list[int]]:
    with warehouse.session() as session:
        table = session.stream(session.table(ref)).read_all()
    found: dict[str, list[int]] = {}
    for key, number in zip(table["_partition"].to_pylist(), table["n"].to_pylist(), strict=True):
        found.setdefault(key, []).append(number)
    return found


def contents(warehouse: Warehouse) -> dict[str, str]:
    return {key: state.content for key, state in warehouse.partitions(REF).items()}


def files_of(warehouse: Warehouse) -> int:
    return len(DeltaTable(warehouse.path(REF)).file_uris())


REPLACEMENTS = st.dictionaries(st.sampled_from(KEYS), st.lists(st.integers(0, 99), max_size=6), min_size=1, max_size=6)


class TestAnySequenceOfReplacements:
    @settings(max_examples=25)
    @given(st.lists(st.tuples(REPLACEMENTS, st.integers(1, 7), st.booleans()), min_size=1, max_size=8))
    def test_leaves_what_a_dictionary_would_hold(
        self,
        small_files: None,  # noqa: ARG002
        tmp_path_factory: pytest.TempPathFactory,
        replacements: list[tuple[dict[str, list[int]], int, bool]],
    ) -> None:
        warehouse, model = Warehouse(root=str(tmp_path_factory.mktemp("root"))), dict[str, list[int]]()
        for rows, chunk, maintained in replacements:
            before = contents(warehouse)
            if len(rows) == 1:
                ((key, numbers),) = rows.items()
                table = pa.table({"n": pa.array(numbers, pa.int64())})
                written = warehouse.replace(REF, table, partition=key, metadata={})
            else:
                written = write(warehouse, rows, chunk=chunk)
            assert written.by_partition == {key: len(numbers) for key, numbers in rows.items()}
            model |= rows
            after = contents(warehouse)
            assert {key for key in model if after[key] != before.get(key)} == rows.keys()
            if maintained:
                warehouse.maintain(REF, retention_hours=1)
                assert contents(warehouse) == after
            assert {key: state.rows for key, state in warehouse.partitions(REF).items()} == {
                key: len(numbers) for key, numbers in sorted(model.items())
            }
            held = {key: numbers for key, numbers in sorted(model.items()) if numbers}
            by_polars = pl.scan_delta(str(warehouse.path(REF))).sort("_partition", maintain_order=True).collect()
            assert {
                key: rows["n"].to_list() for (key,), rows in by_polars.group_by("_partition", maintain_order=True)
            } == held
        assert rows_of(warehouse) == held
        for key in KEYS:
            found = pl.scan_delta(str(warehouse.path(REF))).filter(pl.col("_partition") == key).collect()
            assert found["n"].to_list() == model.get(key, [])

    def test_puts_a_large_partition_into_a_file_of_its_own(
        self,
        small_files: None,  # noqa: ARG002
        warehouse: Warehouse,
    ) -> None:
        write(warehouse, {KEYS[0]: list(range(20)), KEYS[1]: [1], KEYS[2]: list(range(20))}, chunk=50)
        files = pa.table(DeltaTable(warehouse.path(REF)).get_add_actions(flatten=True)).to_pylist()
        held = sorted((file["min._partition"], file["max._partition"], file["num_records"]) for file in files)
        assert held == [(KEYS[0], KEYS[0], 20), (KEYS[1], KEYS[2], 21)]

    def test_written_one_by_one_is_kept_in_few_files(self, small_files: None, warehouse: Warehouse) -> None:  # noqa: ARG002
        for number in range(40):
            warehouse.replace(REF, pa.table({"n": [number]}), partition=f"k{number:02}", metadata={})
        assert files_of(warehouse) <= 12
        assert rows_of(warehouse) == {f"k{number:02}": [number] for number in range(40)}


class TestManyInOneCommit:
    def test_share_files_and_are_told_apart(self, warehouse: Warehouse) -> None:
        written = write(warehouse, {"k1": [1], "k3": [3, 3]}, partitions=["k1", "k2", "k3"])
        assert (written.version, written.rows, written.by_partition) == (0, 3, {"k1": 1, "k2": 0, "k3": 2})
        assert files_of(warehouse) == 1
        states = warehouse.partitions(REF)
        assert {key: state.rows for key, state in states.items()} == {"k1": 1, "k2": 0, "k3": 2}
        assert sum(state.bytes for state in states.values()) == pytest.approx(written.bytes, abs=2)

    def test_replace_also_those_without_rows(self, warehouse: Warehouse) -> None:
        write(warehouse, {"k1": [1], "k2": [2], "k3": [3]})
        write(warehouse, {"k2": [9]}, partitions=["k1", "k2"])
        assert rows_of(warehouse) == {"k2": [9], "k3": [3]}
        assert warehouse.partitions(REF)["k1"].rows == 0

    def test_may_all_have_no_rows(self, warehouse: Warehouse) -> None:
        write(warehouse, {}, partitions=["k2", "k1"])
        assert {key: state.rows for key, state in warehouse.partitions(REF).items()} == {"k1": 0, "k2": 0}
        assert warehouse.row_count(REF) == 0

    @pytest.mark.parametrize(
        ("keys", "told"),
        [
            (["k1", "k3"], "a row whose _partition is k3"),
            (["k2", "k1"], "a row of partition k1 after rows of k2"),
            (["k1", None], "a row whose _partition is None"),
        ],
    )
    def test_refuse_rows_of_others_or_out_of_order(self, warehouse: Warehouse, keys: list[str], told: str) -> None:
        reader = pa.table({"n": range(2), "_partition": keys}).to_reader()
        with pytest.raises(DataError, match=told):
            warehouse.replace_partitions(REF, reader, partitions=["k1", "k2"], metadata={})
        assert not warehouse.exists(REF)

    def test_need_keys_and_a_column_that_names_them(self, warehouse: Warehouse) -> None:
        with pytest.raises(StorageError, match="no partition to replace"):
            write(warehouse, {})
        with pytest.raises(DataError, match="rows without _partition"):
            warehouse.replace_partitions(REF, pa.table({"n": [1]}).to_reader(), partitions=["k1"], metadata={})
        with pytest.raises(StorageError, match="is not a partition key"):
            write(warehouse, {}, partitions=["a/b"])

    def test_may_bring_a_column_and_no_other_type(self, warehouse: Warehouse) -> None:
        write(warehouse, {"k1": [1], "k2": [2], "k3": [3]})
        rows = pa.table({"n": [9], "x": [float("nan")], "at": pa.array([0], pa.timestamp("us"))})
        warehouse.replace(REF, rows, partition="k2", metadata={})
        with pytest.raises(DataError, match="column 'n' is int64 in the table and double in the new rows"):
            warehouse.replace(REF, pa.table({"n": [1.5]}), partition="k2", metadata={})
        assert rows_of(warehouse) == {"k1": [1], "k2": [9], "k3": [3]}
        table = DeltaTable(warehouse.path(REF)).to_pyarrow_dataset()
        assert table.to_table(filter=pads.field("x").is_null(nan_is_null=False)).num_rows == 2

    def test_have_keys_longer_than_the_log_keeps_of_a_text(self, warehouse: Warehouse) -> None:
        keys = ["k" * 40 + end for end in "abc"]
        for key in keys:
            warehouse.replace(REF, pa.table({"n": [1]}), partition=key, metadata={})
        assert list(warehouse.partitions(REF)) == keys
        write(warehouse, {keys[1]: [2, 2]})
        assert rows_of(warehouse) == {keys[0]: [1], keys[1]: [2, 2], keys[2]: [1]}


class TestVersionsOfPredictions:
    def test_are_told_by_partition_where_files_are_shared(self, warehouse: Warehouse) -> None:
        for version, keys in ((1, ("k1", "k2")), (2, ("k2", "k3"))):
            rows = pa.table({"model_version": [version] * 2, "_partition": keys}).to_reader()
            warehouse.replace_partitions("predictions.p", rows, partitions=keys, metadata={})
        found = {key: state.model_version for key, state in warehouse.partitions("predictions.p").items()}
        assert found == {"k1": 1, "k2": 2, "k3": 2}

    def test_of_a_history_are_folders_whose_files_hold_several_partitions(self, warehouse: Warehouse) -> None:
        ref = "predictions.p__history"
        for version, key in [(1, f"k{number:02}") for number in range(70)] + [(2, "k01"), (1, "k02")]:
            rows = pa.table({"n": [version], "model_version": [version]})
            values = {"_partition": key, "model_version": version}
            warehouse.replace_where(ref, rows, values=values, partition_by=tuple(values), metadata={})
        states = warehouse.partitions(ref)
        assert {key: state.rows for key, state in states.items()} == {
            f"k{number:02}": 2 if number == 1 else 1 for number in range(70)
        }
        assert (states["k01"].min_model_version, states["k01"].max_model_version) == (1, 2)
        assert (states["k02"].min_model_version, states["k02"].max_model_version) == (1, 1)
        table = DeltaTable(warehouse.path(ref))
        assert table.metadata().partition_columns == ["model_version"]
        assert len(table.file_uris()) < 70


class TestReadersFromOutside:
    def test_find_a_partition_by_its_column_and_open_no_file_without_it(self, warehouse: Warehouse) -> None:
        for number in range(3):
            write(warehouse, {f"k{number}a": [number], f"k{number}b": [number, 9]})
        path = warehouse.path(REF)
        for file in pa.table(DeltaTable(path).get_add_actions(flatten=True)).to_pylist():
            if file["min._partition"] != "k1a":
                (path / file["path"]).unlink()
        with duckdb.connect(config={"allow_unsigned_extensions": True}) as connection:
            load_delta(connection)
            query = "select n from delta_scan(?) where _partition = 'k1b'"
            found = connection.execute(query, [path.as_uri()]).fetchall()
        assert [number for (number,) in found] == [1, 9]
        chosen = pl.scan_delta(str(path)).filter(pl.col("_partition") == "k1b").collect()
        assert chosen["n"].to_list() == [1, 9]
        dataset = DeltaTable(path).to_pyarrow_dataset()
        assert dataset.to_table(filter=pads.field("_partition") == "k1b")["n"].to_pylist() == [1, 9]

    def test_may_write_too_and_what_they_wrote_is_counted_by_its_rows(self, warehouse: Warehouse) -> None:
        write(warehouse, {"k1": [1], "k2": [2]})
        added = pa.table({"n": [3, 4, 5], "_partition": ["k3", "k2", "k3"]})
        write_deltalake(warehouse.path(REF).as_uri(), added, mode="append")
        assert {key: state.rows for key, state in warehouse.partitions(REF).items()} == {"k1": 1, "k2": 2, "k3": 2}
        write(warehouse, {"k2": [9]})
        assert rows_of(warehouse) == {"k1": [1], "k2": [9], "k3": [3, 5]}

    def test_see_joining_as_no_change_of_data(self, warehouse: Warehouse) -> None:
        for number in range(8):
            write(warehouse, {f"k{number}": [number]})
        before, held = contents(warehouse), rows_of(warehouse)
        assert str(warehouse.maintain(REF, retention_hours=24)) == "8 small files joined"
        assert not str(warehouse.maintain(REF, retention_hours=24))
        assert (contents(warehouse), rows_of(warehouse), files_of(warehouse)) == (before, held, 1)
        entry = (warehouse.path(REF) / "_delta_log" / f"{8:020}.json").read_text()
        assert '"dataChange":false' in entry
        assert '"dataChange":true' not in entry


def test_a_file_is_sorted_by_partition_and_has_its_bounds(warehouse: Warehouse, small_files: None) -> None:
    write(warehouse, {key: [1, 2, 3] for key in KEYS})
    write(warehouse, {KEYS[3]: [4]})
    for file in pa.table(DeltaTable(warehouse.path(REF)).get_add_actions(flatten=True)).to_pylist():
        keys = pq.read_table(warehouse.path(REF) / file["path"])["_partition"].to_pylist()
        assert keys == sorted(keys)
        assert (file["min._partition"], file["max._partition"]) == (keys[0], keys[-1])
