"""Tables replaced whole or by partition, through real Delta tables in a temporary folder."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.errors import DataError, StorageError
from metaplatform.resources.storage.warehouse import Warehouse

ROWS = pa.table(
    {
        "id": [1, 2, 3],
        "at": pa.array([datetime(2013, 1, day, tzinfo=UTC) for day in (1, 2, 3)], pa.timestamp("us", "UTC")),
        "name": ["a", None, "c"],
    }
)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(root=str(tmp_path))


def rows_of(warehouse: Warehouse, ref: str) -> list[dict[str, object]]:
    with warehouse.session() as session:
        table = session.table(ref)
        return session.stream(table.order_by(table.columns[0])).read_all().to_pylist()


def broken_after(batches: int) -> pa.RecordBatchReader:
    def generate() -> Iterator[pa.RecordBatch]:
        yield from ROWS.to_batches() * batches
        raise DataError(owner="tables.t", culprit="a row", fix="correct it")

    return pa.RecordBatchReader.from_batches(ROWS.schema, generate())


class TestAWholeTable:
    def test_comes_back_as_it_was_written(self, warehouse: Warehouse):
        written = warehouse.replace("raw.t", ROWS, partition=None, metadata={})
        assert rows_of(warehouse, "raw.t") == ROWS.to_pylist()
        assert (written.version, written.rows) == (0, 3)
        assert written.bytes == sum(file.stat().st_size for file in warehouse.path("raw.t").glob("*.parquet"))

    def test_is_unknown_before_its_first_write(self, warehouse: Warehouse):
        assert not warehouse.exists("raw.t")
        assert warehouse.version("raw.t") is None
        assert warehouse.row_count("raw.t") is None
        assert warehouse.partitions("raw.t") == {}
        with pytest.raises(StorageError, match=r"materialize raw\.t first"):
            warehouse.schema("raw.t")

    def test_takes_a_stream_and_may_change_all_its_columns(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition=None, metadata={})
        other = pa.table({"id": ["x"], "more": [1.5]})
        warehouse.replace("raw.t", other.to_reader(), partition=None, metadata={})
        assert rows_of(warehouse, "raw.t") == other.to_pylist()
        assert warehouse.row_count("raw.t") == 1

    def test_may_be_empty_and_keeps_its_columns(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition=None, metadata={})
        written = warehouse.replace("raw.t", ROWS.slice(0, 0), partition=None, metadata={})
        assert written.rows == 0
        assert rows_of(warehouse, "raw.t") == []
        assert warehouse.schema("raw.t").names == ROWS.schema.names
        assert warehouse.partitions("raw.t")[""].rows == 0

    def test_keeps_older_versions_readable(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition=None, metadata={})
        warehouse.replace("raw.t", ROWS.slice(0, 1), partition=None, metadata={})
        with warehouse.session() as session:
            assert session.stream(session.table("raw.t", version=0)).read_all().num_rows == 3

    def test_says_in_its_history_who_wrote_it(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition=None, metadata={"dagster_run_id": "r1", "spec_hash": "abc"})
        newest = DeltaTable(warehouse.path("raw.t")).history(1)[0]
        assert (newest["dagster_run_id"], newest["spec_hash"]) == ("r1", "abc")

    def test_stays_as_it_was_when_a_row_fails_in_the_middle(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition=None, metadata={})
        with pytest.raises(DataError, match="correct it"):
            warehouse.replace("raw.t", broken_after(3), partition=None, metadata={})
        assert rows_of(warehouse, "raw.t") == ROWS.to_pylist()
        assert warehouse.version("raw.t") == 0
        assert len(list(warehouse.path("raw.t").glob("*.parquet"))) == 1, "no half-written file is left"

    def test_spans_as_many_files_as_its_size_asks_for(self, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("metaplatform.resources.delta.delta_files._FILE_BYTES", 1)
        monkeypatch.setattr("metaplatform.resources.delta.delta_files._ROW_GROUP_ROWS", 2)
        many = pa.table({"id": range(10)})
        batches = many.to_batches(max_chunksize=1)
        warehouse.replace("raw.t", pa.RecordBatchReader.from_batches(many.schema, batches), partition=None, metadata={})
        assert warehouse.partitions("raw.t")[""].files == 5
        assert rows_of(warehouse, "raw.t") == many.to_pylist()

    def test_can_be_cleared_and_then_takes_any_columns(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition="2013-01", metadata={})
        warehouse.clear("raw.t", metadata={"reason": "types"})
        assert warehouse.partitions("raw.t") == {}
        assert rows_of(warehouse, "raw.t") == []
        warehouse.replace("raw.t", pa.table({"id": ["text"]}), partition="2013-01", metadata={})
        assert rows_of(warehouse, "raw.t") == [{"id": "text", "_partition": "2013-01"}]

    def test_is_maintained_without_a_change_of_its_rows(self, warehouse: Warehouse):
        for name in ("a", "b", "c"):
            warehouse.append_new("monitoring.t", pa.table({"id": [name]}), key="id", metadata={})
        warehouse.maintain("monitoring.t", retention_hours=168)
        assert sorted(row["id"] for row in rows_of(warehouse, "monitoring.t")) == ["a", "b", "c"]
        assert not str(warehouse.maintain("raw.unknown", retention_hours=168))


class TestAPartition:
    def test_is_replaced_alone(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS.slice(0, 1), partition="2013-01", metadata={})
        warehouse.replace("raw.t", ROWS.slice(1, 1), partition="2013-02", metadata={})
        warehouse.replace("raw.t", ROWS.slice(2, 1), partition="2013-01", metadata={})
        assert [(row["id"], row["_partition"]) for row in rows_of(warehouse, "raw.t")] == [
            (2, "2013-02"),
            (3, "2013-01"),
        ]
        assert {key: state.rows for key, state in warehouse.partitions("raw.t").items()} == {"2013-01": 1, "2013-02": 1}

    def test_without_rows_still_replaces_those_there_were_and_counts_as_made(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition="2013-01", metadata={})
        warehouse.replace("raw.t", ROWS, partition="2013-02", metadata={})
        written = warehouse.replace("raw.t", ROWS.slice(0, 0), partition="2013-02", metadata={})
        assert written.rows == 0
        assert {row["_partition"] for row in rows_of(warehouse, "raw.t")} == {"2013-01"}
        assert warehouse.partitions("raw.t")["2013-02"].rows == 0

    def test_may_come_first_without_rows(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS.slice(0, 0), partition="2013-02", metadata={})
        warehouse.replace("raw.t", ROWS, partition="2013-01", metadata={})
        assert warehouse.row_count("raw.t") == 3
        assert warehouse.schema("raw.t").field("_partition").type == pa.string()

    def test_leaves_out_a_partition_column_of_the_rows_themselves(self, warehouse: Warehouse):
        """So that ``select *`` from a partitioned table can be stored as it is."""
        warehouse.replace("raw.t", ROWS, partition="2013-01", metadata={})
        with warehouse.session() as session:
            warehouse.replace("tables.u", session.stream(session.table("raw.t")), partition="2014-01", metadata={})
            warehouse.replace("tables.v", session.stream(session.table("raw.t")), partition=None, metadata={})
        assert {row["_partition"] for row in rows_of(warehouse, "tables.u")} == {"2014-01"}
        assert warehouse.schema("tables.v").names == ROWS.schema.names

    def test_may_bring_a_new_column_which_others_have_as_null(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition="2013-01", metadata={})
        warehouse.replace("raw.t", pa.table({"id": [9], "new": [1.5]}), partition="2013-02", metadata={})
        rows = rows_of(warehouse, "raw.t")
        assert [row["new"] for row in rows] == [None, None, None, 1.5]
        assert rows[-1]["name"] is None, "a column the new rows lack stays, with nulls"

    def test_may_bring_a_timestamp_without_time_zone(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition="2013-01", metadata={})
        local = ROWS.append_column("local", pa.array([datetime(2013, 1, 1)] * 3, pa.timestamp("us")))  # noqa: DTZ001
        warehouse.replace("raw.t", local, partition="2013-02", metadata={})
        assert [row["local"] for row in rows_of(warehouse, "raw.t")].count(None) == 3

    def test_of_another_type_is_refused_not_truncated(self, warehouse: Warehouse):
        warehouse.replace("raw.t", pa.table({"a": [1]}), partition="2013-01", metadata={})
        with pytest.raises(DataError, match="column 'a' is int64 in the table and double in the new rows"):
            warehouse.replace("raw.t", pa.table({"a": [1.7]}), partition="2013-02", metadata={})
        assert rows_of(warehouse, "raw.t") == [{"a": 1, "_partition": "2013-01"}]

    def test_that_is_the_only_one_may_change_its_types(self, warehouse: Warehouse):
        warehouse.replace("raw.t", pa.table({"a": [1]}), partition="2013-01", metadata={})
        warehouse.replace("raw.t", pa.table({"a": [1.7]}), partition="2013-01", metadata={})
        assert rows_of(warehouse, "raw.t") == [{"a": 1.7, "_partition": "2013-01"}]

    def test_of_a_table_without_partitions_replaces_all_of_it(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition=None, metadata={})
        warehouse.replace("raw.t", ROWS.slice(0, 1), partition="2013-01", metadata={})
        assert list(warehouse.partitions("raw.t")) == ["2013-01"]
        warehouse.replace("raw.t", ROWS, partition=None, metadata={})
        assert list(warehouse.partitions("raw.t")) == [""]

    @pytest.mark.parametrize("key", ["2013-04", "2013-04-05", "2013-04-05T07"])
    def test_may_be_an_hour_a_day_or_a_month(self, warehouse: Warehouse, key: str):
        warehouse.replace("raw.t", ROWS, partition=key, metadata={})
        assert list(warehouse.partitions("raw.t")) == [key]
        assert warehouse.row_count("raw.t") == 3

    @pytest.mark.parametrize("key", ["", "../x", "a/b", "a'b", "a=b", ".", "a b", "é", "a%20", "x" * 200])
    def test_with_an_unsafe_key_is_refused(self, warehouse: Warehouse, key: str):
        with pytest.raises(StorageError, match="is not a partition key"):
            warehouse.replace("raw.t", ROWS, partition=key, metadata={})


class TestAHistory:
    PARTITION_BY = ("_partition", "model_version")

    def write(self, warehouse: Warehouse, *, partition: str, version: int, rows: int) -> None:
        data = pa.table({"id": range(rows), "model_version": pa.array([version] * rows, pa.int64())})
        values = {"model_version": version, "_partition": partition}
        warehouse.replace_where(
            "predictions.p__history", data, values=values, partition_by=self.PARTITION_BY, metadata={}
        )

    def test_keeps_each_version_of_each_partition_once(self, warehouse: Warehouse):
        for partition, version, rows in [("2013-01", 1, 3), ("2013-01", 2, 2), ("2013-02", 2, 4), ("2013-01", 1, 1)]:
            self.write(warehouse, partition=partition, version=version, rows=rows)
        states = warehouse.partitions("predictions.p__history")
        assert {key: state.rows for key, state in states.items()} == {"2013-01": 3, "2013-02": 4}
        assert (states["2013-01"].min_model_version, states["2013-01"].max_model_version) == (1, 2)
        assert warehouse.schema("predictions.p__history").field("model_version").type == pa.int64()

    def test_needs_no_time_partitions(self, warehouse: Warehouse):
        for version in (1, 2, 1):
            data = pa.table({"id": [version], "model_version": [version]})
            values = {"model_version": version}
            warehouse.replace_where("predictions.h", data, values=values, partition_by=("model_version",), metadata={})
        assert [row["model_version"] for row in rows_of(warehouse, "predictions.h")] == [1, 2]
        assert warehouse.partitions("predictions.h")[""].max_model_version == 2

    def test_refuses_rows_of_another_version(self, warehouse: Warehouse):
        data = pa.table({"model_version": [1, 2]})
        with pytest.raises(DataError, match="a row whose model_version is not 1"):
            warehouse.replace_where(
                "predictions.h", data, values={"model_version": 1}, partition_by=("model_version",), metadata={}
            )
        assert not warehouse.exists("predictions.h")

    def test_wants_a_value_for_each_partition_column(self, warehouse: Warehouse):
        with pytest.raises(StorageError, match="name the same"):
            warehouse.replace_where("predictions.h", ROWS, values={}, partition_by=("model_version",), metadata={})


class TestRowsInsertedOnce:
    def test_are_those_whose_key_is_new(self, warehouse: Warehouse):
        assert (
            warehouse.append_new("monitoring.o", pa.table({"id": ["a", "b"], "v": [1, 2]}), key="id", metadata={}) == 2
        )
        assert (
            warehouse.append_new("monitoring.o", pa.table({"id": ["a", "c"], "v": [9, 3]}), key="id", metadata={}) == 1
        )
        assert (
            warehouse.append_new("monitoring.o", pa.table({"id": ["a", "c"], "v": [9, 3]}), key="id", metadata={}) == 0
        )
        assert rows_of(warehouse, "monitoring.o") == [{"id": "a", "v": 1}, {"id": "b", "v": 2}, {"id": "c", "v": 3}]

    def test_may_have_a_new_column_but_no_new_type(self, warehouse: Warehouse):
        warehouse.append_new("monitoring.o", pa.table({"id": ["a"], "v": [1]}), key="id", metadata={})
        warehouse.append_new("monitoring.o", pa.table({"id": ["b"], "v": [2], "w": [0.5]}), key="id", metadata={})
        with pytest.raises(DataError, match="column 'v'"):
            warehouse.append_new("monitoring.o", pa.table({"id": ["c"], "v": [1.7]}), key="id", metadata={})
        assert rows_of(warehouse, "monitoring.o") == [{"id": "a", "v": 1, "w": None}, {"id": "b", "v": 2, "w": 0.5}]

    def test_are_refused_when_a_key_repeats_or_is_null(self, warehouse: Warehouse):
        for keys in (["a", "a"], ["a", None]):
            with pytest.raises(DataError, match="append each key once"):
                warehouse.append_new("monitoring.o", pa.table({"id": keys}), key="id", metadata={})

    def test_are_joined_into_few_files(self, warehouse: Warehouse):
        for number in range(50):
            warehouse.append_new("monitoring.o", pa.table({"id": [str(number)]}), key="id", metadata={})
        assert warehouse.partitions("monitoring.o")[""].files < 45
        assert warehouse.row_count("monitoring.o") == 50


class TestNamesAndPlaces:
    @pytest.mark.parametrize(
        "ref", ["", "flights", "raw.", "raw.a.b", "raw.../x", "raw/../x.y", "raw.a b", "other.t", "raw.é"]
    )
    def test_a_text_that_is_no_reference_names_no_table(self, warehouse: Warehouse, ref: str):
        with pytest.raises(StorageError, match="names no table"):
            warehouse.exists(ref)

    @given(st.text())
    def test_no_reference_leads_out_of_the_root(self, ref: str):
        warehouse = Warehouse(root="/some/root")
        try:
            path = warehouse.path(ref)
        except StorageError:
            return
        assert path.resolve().is_relative_to("/some/root/warehouse")

    @pytest.mark.parametrize("name", ["sp ace", "ha#sh", "ünïcode 日本", "quo'te", "se;mi", "que?ry"])
    def test_the_root_may_be_any_folder(self, tmp_path: Path, name: str):
        warehouse = Warehouse(root=str(tmp_path / name))
        warehouse.replace("raw.t", ROWS, partition="2013-01", metadata={})
        assert len(rows_of(warehouse, "raw.t")) == 3

    @pytest.mark.parametrize("root", ["", "  ", "/a/50%25"])
    def test_a_root_that_cannot_be_read_back_is_refused(self, root: str):
        with pytest.raises(StorageError, match="storage root"):
            Warehouse(root=root).exists("raw.t")

    @pytest.mark.parametrize(
        "name", ["a b", "a,b;c", "{a}(b)", "a=b", "a\tb", 'a"b', "a'b", "a.b", "a%20b", "a/b", "é", "SELECT"]
    )
    def test_a_column_may_have_any_name(self, warehouse: Warehouse, name: str):
        warehouse.replace("raw.t", pa.table({name: [1, 2]}), partition="2013-01", metadata={})
        assert rows_of(warehouse, "raw.t") == [{name: value, "_partition": "2013-01"} for value in (1, 2)]

    def test_columns_that_sql_cannot_tell_apart_are_refused(self, warehouse: Warehouse):
        with pytest.raises(DataError, match="cannot tell apart: 'a', 'A'"):
            warehouse.replace("raw.t", pa.table({"a": [1], "A": [2]}), partition=None, metadata={})
        with pytest.raises(DataError, match="without a name"):
            warehouse.replace("raw.t", pa.table({"": [1]}), partition=None, metadata={})

    def test_a_root_that_cannot_be_written_is_a_storage_error(self, tmp_path: Path):
        (tmp_path / "warehouse").write_text("a file where a folder should be")
        with pytest.raises(StorageError, match="storage root"):
            Warehouse(root=str(tmp_path)).replace("raw.t", ROWS, partition=None, metadata={})


class TestStatistics:
    VALUES = pa.table(
        {
            "n": pa.array([3, None, -1], pa.int16()),
            "at": pa.array([1_500_000, None, 2_000_001], pa.timestamp("us", "UTC")),
            "day": pa.array([date(2013, 1, 2), None, date(1, 1, 1)]),
            "far": pa.array([2**63 - 1, 0, None], pa.timestamp("us", "UTC")),
            "x": [1.0, float("nan"), None],
        }
    )

    def test_never_hide_a_row_from_a_filter(self, warehouse: Warehouse):
        warehouse.replace("raw.t", self.VALUES, partition=None, metadata={})
        with warehouse.session() as session:
            table = session.table("raw.t")
            for column in table.columns:
                for value in self.VALUES[column].drop_null().to_pylist() if column != "far" else []:
                    found = session.stream(table.filter(table[column] == value)).read_all()
                    assert found.num_rows == 1, (column, value)
            assert (
                session.stream(table.filter(table["far"] > datetime(9000, 1, 1, tzinfo=UTC))).read_all().num_rows == 1
            )

    def test_of_a_null_column_have_no_bounds(self, warehouse: Warehouse):
        empty = pa.table({"n": pa.array([None, None], pa.int64())})
        warehouse.replace("raw.t", empty, partition=None, metadata={})
        with warehouse.session() as session:
            table = session.table("raw.t")
            assert session.stream(table.filter(table["n"].isnull())).read_all().num_rows == 2

    @settings(max_examples=15)
    @given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=8))
    def test_bounds_of_any_integers_hold(self, tmp_path_factory: pytest.TempPathFactory, values: list[int | None]):
        warehouse = Warehouse(root=str(tmp_path_factory.mktemp("root")))
        warehouse.replace("raw.t", pa.table({"n": pa.array(values, pa.int64())}), partition=None, metadata={})
        with warehouse.session() as session:
            table = session.table("raw.t")
            for value in {value for value in values if value is not None}:
                assert session.stream(table.filter(table["n"] == value)).read_all().num_rows == values.count(value)


def test_threads_of_one_process_may_write_one_table(warehouse: Warehouse):
    def write(key: str) -> None:
        warehouse.replace("raw.t", ROWS, partition=key, metadata={})

    threads = [threading.Thread(target=write, args=(f"2013-0{month}",)) for month in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warehouse.row_count("raw.t") == 18


def test_a_warehouse_travels_to_other_processes_as_plain_settings(warehouse: Warehouse):
    assert Warehouse.model_validate(warehouse.model_dump()).root == warehouse.root


class TestALogThatHasLostItsEnd:
    @pytest.fixture
    def shortened(self, warehouse: Warehouse) -> Warehouse:
        """Return a warehouse where the second of two commits is gone: to every reader the first is all there was."""
        for _ in range(2):
            warehouse.replace("raw.t", ROWS, partition=None, metadata={})
        (warehouse.path("raw.t") / "_delta_log" / f"{1:020}.json").unlink()
        return warehouse

    def test_is_told_to_whoever_looks_reads_or_writes(self, shortened: Warehouse):
        told = r"raw\.t: commit 1 is gone from its log, which ends with commit 0.*restore .*_delta_log.*or remove"
        for look in (
            shortened.version,
            shortened.partitions,
            shortened.exists,
            lambda ref: rows_of(shortened, ref),
            lambda ref: shortened.replace(ref, ROWS, partition=None, metadata={}),
            lambda ref: shortened.append_new(ref, ROWS, key="id", metadata={}),
            lambda ref: shortened.maintain(ref, retention_hours=1),
        ):
            with pytest.raises(StorageError, match=told):
                look("raw.t")

    def test_goes_on_once_its_folder_or_the_word_of_the_lost_commit_is_removed(self, shortened: Warehouse):
        (shortened.path("raw.t") / "_commit.lock").unlink()
        assert shortened.version("raw.t") == 0
        assert shortened.replace("raw.t", ROWS, partition=None, metadata={}).version == 1

    def test_is_not_suspected_where_others_commit_too_or_nothing_is_known(self, shortened: Warehouse):
        folder = shortened.path("raw.u")
        write_deltalake(folder.as_uri(), ROWS)
        for _ in range(2):
            write_deltalake(folder.as_uri(), ROWS, mode="append")
        assert shortened.version("raw.u") == 2
        shortened.replace("raw.u", ROWS, partition=None, metadata={})
        write_deltalake(folder.as_uri(), ROWS, mode="append")
        assert shortened.version("raw.u") == 4
        (folder / "_commit.lock").write_bytes(b"")
        assert shortened.version("raw.u") == 4

    def test_is_not_suspected_while_another_commits(self, warehouse: Warehouse):
        warehouse.replace("raw.t", ROWS, partition=None, metadata={})
        ended = threading.Event()

        def write() -> None:
            for _ in range(30):
                warehouse.replace("raw.t", ROWS, partition=None, metadata={})
            ended.set()

        writer = threading.Thread(target=write)
        writer.start()
        seen = [0]
        while not ended.is_set():
            seen.append(warehouse.version("raw.t") or 0)
        writer.join()
        assert seen == sorted(seen)
        assert warehouse.version("raw.t") == 30
