"""What storage relies on in DuckDB, delta-rs, PyArrow and Ibis: each with what would break without it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from dagster_duckdb import DuckDBResource
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions

from metaplatform.resources.engine.duckdb_connections import load_delta

STREAMED_FOR_EVER = """
import duckdb
connection = duckdb.connect()
connection.execute("create table t as select range as k from range(2000000)")
connection.execute("create table o as select 5 as k")
query = "select k from t anti join o using (k) union all select max(k) from t semi join o using (k)"
connection.execute("create table computed as " + query)
print("computed", flush=True)
print(connection.sql(query).to_arrow_reader().read_all().num_rows, flush=True)
"""


def add(folder: Path, name: str, rows: pa.Table, **partition: str) -> AddAction:
    pq.write_table(rows, folder / name)
    return AddAction(name, (folder / name).stat().st_size, partition, 0, True, '{"numRecords": %d}' % rows.num_rows)  # noqa: UP031


def create(folder: Path, rows: pa.Table, key: str, *, mode: Any = "error") -> None:
    schema = Schema.from_arrow(rows.schema.append(pa.field("_partition", pa.string())))
    folder.mkdir(exist_ok=True)
    file = add(folder, f"{mode}-{key}.parquet", rows, _partition=key)
    create_table_with_add_actions(folder.as_uri(), schema, [file], mode=mode, partition_by=["_partition"])


def scan(folder: Path, select: str = "*", where: str = "true") -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        load_delta(connection)
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(f"SELECT {select} FROM delta_scan(?) WHERE {where}", [folder.as_uri()]).fetchall()  # noqa: S608


class TestDeltaScan:
    def test_reads_a_partition_column_as_text(self, tmp_path: Path):
        """So that '2013-04' is never a date and '01' never a number."""
        create(tmp_path / "t", pa.table({"a": [1]}), "01")
        assert scan(tmp_path / "t", "_partition, typeof(_partition)") == [("01", "VARCHAR")]

    def test_reads_only_the_files_of_the_partition_asked_for(self, tmp_path: Path):
        create(tmp_path / "t", pa.table({"a": [1]}), "2013-01")
        table = DeltaTable((tmp_path / "t").as_uri())
        file = add(tmp_path / "t", "gone.parquet", pa.table({"a": [2]}), _partition="2013-02")
        table.create_write_transaction([file], "append", table.schema(), ["_partition"])
        (tmp_path / "t" / "gone.parquet").unlink()
        assert scan(tmp_path / "t", where="_partition = '2013-01'") == [(1, "2013-01")]
        with pytest.raises(duckdb.IOException):
            scan(tmp_path / "t")

    def test_gives_utc_timestamps_as_instants_and_others_as_local(self, tmp_path: Path):
        moment = datetime(2013, 1, 1, tzinfo=UTC)
        rows = pa.table(
            {"at": pa.array([moment], pa.timestamp("us", "UTC")), "local": pa.array([0], pa.timestamp("us"))}
        )
        write_deltalake((tmp_path / "t").as_uri(), rows)
        kinds = scan(tmp_path / "t", '"at", typeof("at"), typeof(local)')
        assert kinds == [(moment, "TIMESTAMP WITH TIME ZONE", "TIMESTAMP")]

    def test_does_not_see_deleted_rows(self, tmp_path: Path):
        write_deltalake((tmp_path / "t").as_uri(), pa.table({"a": [1, 2]}))
        DeltaTable((tmp_path / "t").as_uri()).delete("a = 1")
        assert scan(tmp_path / "t") == [(2,)]

    def test_reads_any_version(self, tmp_path: Path):
        for value in (1, 2):
            write_deltalake((tmp_path / "t").as_uri(), pa.table({"a": [value]}), mode="overwrite")
        with duckdb.connect() as connection:
            load_delta(connection)
            query = f"SELECT a FROM delta_scan('{(tmp_path / 't').as_uri()}', version := 0)"  # noqa: S608
            assert connection.execute(query).fetchall() == [(1,)]

    @pytest.mark.parametrize("name", ["a b", "a,b;c", "{a}(b)", "a=b", "a\tb", "a.b", 'a"b'])
    def test_reads_column_names_that_delta_once_refused(self, tmp_path: Path, name: str):
        write_deltalake((tmp_path / "t").as_uri(), pa.table({name: [1]}))
        with duckdb.connect() as connection:
            load_delta(connection)
            assert connection.execute("FROM delta_scan(?)", [(tmp_path / "t").as_uri()]).description[0][0] == name

    def test_wants_uris_where_paths_are_not_plain(self, tmp_path: Path):
        """The reason for ``as_uri`` everywhere; once paths work, it may go."""
        folder = tmp_path / "ü"
        write_deltalake(folder.as_uri(), pa.table({"a": [1]}))
        assert scan(folder) == [(1,)]
        with duckdb.connect() as connection:
            load_delta(connection)
            with pytest.raises(duckdb.IOException):
                connection.execute("FROM delta_scan(?)", [str(folder)]).fetchall()

    def test_understands_a_percent_sign_otherwise_than_delta_rs(self, tmp_path: Path):
        """The reason why a storage root has none."""
        with pytest.raises(DeltaError):
            write_deltalake((tmp_path / "a%20b").as_uri(), pa.table({"a": [1]}))


class TestDeltaCommits:
    def test_replacing_one_partition_keeps_the_others_and_adds_columns(self, tmp_path: Path):
        create(tmp_path / "t", pa.table({"a": [1]}), "k1")
        rows = pa.table({"a": [2], "b": [3]})
        schema = rows.schema.append(pa.field("_partition", pa.string()))
        for number in range(2):
            DeltaTable((tmp_path / "t").as_uri()).create_write_transaction(
                [add(tmp_path / "t", f"{number}.parquet", rows, _partition="k2")],
                *("overwrite", Schema.from_arrow(schema), ["_partition"], [("_partition", "=", "k2")]),
                commit_properties=CommitProperties(custom_metadata={"run": "r1"}),
            )
        assert sorted(scan(tmp_path / "t", "_partition, a, b")) == [("k1", 1, None), ("k2", 2, 3)]
        assert DeltaTable((tmp_path / "t").as_uri()).history(1)[0]["run"] == "r1"

    def test_replacing_all_may_change_columns_and_partitions_in_one_commit(self, tmp_path: Path):
        create(tmp_path / "t", pa.table({"a": [1]}), "k1")
        create(tmp_path / "t", pa.table({"z": ["x"]}), "k2", mode="overwrite")
        assert scan(tmp_path / "t") == [("x", "k2")]
        assert DeltaTable((tmp_path / "t").as_uri()).version() == 1

    def test_a_file_without_rows_counts_as_a_partition(self, tmp_path: Path):
        create(tmp_path / "t", pa.table({"a": pa.array([], pa.int64())}), "k1")
        actions = pa.table(DeltaTable((tmp_path / "t").as_uri()).get_add_actions(flatten=True))
        assert actions.select(["partition._partition", "num_records"]).to_pylist() == [
            {"partition._partition": "k1", "num_records": 0}
        ]
        assert scan(tmp_path / "t") == []

    def test_two_replacements_of_the_same_rows_conflict(self, tmp_path: Path):
        """Found by what they both remove; where nothing is removed, only our own lock keeps them apart."""
        rows = pa.table({"a": [1]})
        create(tmp_path / "t", rows, "k1")
        tables = [DeltaTable((tmp_path / "t").as_uri()) for _ in range(2)]
        files = [add(tmp_path / "t", f"{number}.parquet", rows, _partition="k1") for number in range(2)]
        for key, conflicts in (("k1", True), ("k2", False)):
            tables = [DeltaTable((tmp_path / "t").as_uri()) for _ in range(2)]
            files = [add(tmp_path / "t", f"{key}-{number}.parquet", rows, _partition=key) for number in range(2)]
            arguments = ("overwrite", tables[0].schema(), ["_partition"], [("_partition", "=", key)])
            tables[0].create_write_transaction([files[0]], *arguments)
            if conflicts:
                with pytest.raises(CommitFailedError):
                    tables[1].create_write_transaction([files[1]], *arguments)
            else:
                tables[1].create_write_transaction([files[1]], *arguments)
                assert len(scan(tmp_path / "t", where="_partition = 'k2'")) == 2

    def test_a_schema_merging_append_truncates_in_silence(self, tmp_path: Path):
        """The reason why schemas are compared before each commit."""
        write_deltalake((tmp_path / "t").as_uri(), pa.table({"a": [1]}))
        write_deltalake((tmp_path / "t").as_uri(), pa.table({"a": [1.7]}), mode="append", schema_mode="merge")
        assert scan(tmp_path / "t") == [(1,), (1,)]

    def test_a_conflict_after_a_stream_could_not_be_tried_again(self):
        """The reason why files are written before the commit: a reader gives its rows once."""
        reader = pa.table({"a": [1]}).to_reader()
        assert reader.read_all().num_rows == 1
        assert reader.read_all().num_rows == 0

    def test_a_local_timestamp_needs_a_feature_that_tables_do_not_have_by_themselves(self, tmp_path: Path):
        create(tmp_path / "t", pa.table({"a": [1]}), "k1")
        rows = pa.table({"b": pa.array([1], pa.timestamp("us"))})
        schema = Schema.from_arrow(rows.schema.append(pa.field("_partition", pa.string())))
        file = add(tmp_path / "t", "n.parquet", rows, _partition="k2")
        with pytest.raises(DeltaError, match="timestampNtz"):
            DeltaTable((tmp_path / "t").as_uri()).create_write_transaction(
                [file], "overwrite", schema, ["_partition"], [("_partition", "=", "k2")]
            )

    def test_an_appending_commit_adds_no_columns_by_itself(self, tmp_path: Path):
        """The reason why the ledger adds them first."""
        create(tmp_path / "t", pa.table({"a": [1]}), "k1")
        rows = pa.table({"a": [2], "b": [3]})
        schema = Schema.from_arrow(rows.schema.append(pa.field("_partition", pa.string())))
        file = add(tmp_path / "t", "n.parquet", rows, _partition="k2")
        DeltaTable((tmp_path / "t").as_uri()).create_write_transaction([file], "append", schema, ["_partition"])
        assert [field.name for field in DeltaTable((tmp_path / "t").as_uri()).schema().fields] == ["a", "_partition"]


class TestStatistics:
    """The reasons why we write statistics of our own, and for all of a file's columns or for none."""

    def test_of_delta_rs_leave_nan_out_of_bounds(self, tmp_path: Path):
        """To DuckDB, Spark and Polars NaN is the greatest number of all."""
        assert bounds_written(tmp_path, pa.table({"x": [1.0, float("nan")]})) == (1.0, 1.0)

    def test_of_delta_rs_are_wrong_for_long_decimals(self, tmp_path: Path):
        least, greatest = bounds_written(tmp_path, pa.table({"x": pa.array([Decimal(10) ** 30], pa.decimal128(38, 0))}))
        assert (least, greatest) == (2**63 - 1, 2**63 - 1)

    def test_of_delta_rs_cut_instants_to_milliseconds(self, tmp_path: Path):
        moment = datetime(2024, 1, 1, 0, 0, 0, 999, tzinfo=UTC)
        rows = pa.table({"x": pa.array([moment], pa.timestamp("us", "UTC"))})
        assert bounds_written(tmp_path, rows) == ("2024-01-01T00:00:00.000Z",) * 2

    def test_that_lack_one_column_make_delta_rs_skip_the_file(self, tmp_path: Path):
        rows = pa.table({"n": [1], "s": ["failed"]})
        for name, statistics in (
            ("half", {"numRecords": 1, "nullCount": {"n": 0}, "minValues": {"n": 1}, "maxValues": {"n": 1}}),
            ("none", {"numRecords": 1, "nullCount": {"n": 0, "s": 0}}),
        ):
            folder = tmp_path / name
            folder.mkdir()
            pq.write_table(rows, folder / "f.parquet")
            size = (folder / "f.parquet").stat().st_size
            file = AddAction("f.parquet", size, {}, 0, True, json.dumps(statistics))
            create_table_with_add_actions(folder.as_uri(), Schema.from_arrow(rows.schema), [file], mode="error")
        found = {
            name: len(DeltaTable((tmp_path / name).as_uri()).to_pandas(filters=[("s", "=", "failed")]))
            for name in ("half", "none")
        }
        assert found == {"half": 0, "none": 1}

    def test_of_tables_that_grew_a_column_make_delta_rs_skip_rows_of_before(self, tmp_path: Path):
        write_deltalake(tmp_path.as_uri(), pa.table({"a": [1]}))
        write_deltalake(tmp_path.as_uri(), pa.table({"a": [2], "b": ["x"]}), mode="append", schema_mode="merge")
        dataset = DeltaTable(tmp_path.as_uri()).to_pyarrow_dataset()
        assert dataset.to_table(filter=pads.field("b").is_null()).num_rows == 0

    def test_said_again_replace_those_of_before(self, tmp_path: Path):
        write_deltalake(tmp_path.as_uri(), pa.table({"a": [1]}))
        table = DeltaTable(tmp_path.as_uri())
        (file,) = pa.table(table.get_add_actions()).to_pylist()
        again = AddAction(file["path"], file["size_bytes"], {}, 0, False, '{"numRecords": 1}')
        table.create_write_transaction([again], "append", table.schema(), [])
        (said,) = pa.table(DeltaTable(tmp_path.as_uri()).get_add_actions()).to_pylist()
        assert (said["path"], said["num_records"], said["min"]) == (file["path"], 1, None)

    def test_escaped_are_misread_by_delta_rs(self, tmp_path: Path):
        rows = pa.table({"s": ["\U0010ffff"]})
        pq.write_table(rows, tmp_path / "f.parquet")
        ends = {"s": "\U0010ffff"}
        statistics = json.dumps({"numRecords": 1, "nullCount": {"s": 0}, "minValues": ends, "maxValues": ends})
        file = AddAction("f.parquet", (tmp_path / "f.parquet").stat().st_size, {}, 0, True, statistics)
        create_table_with_add_actions(tmp_path.as_uri(), Schema.from_arrow(rows.schema), [file], mode="error")
        (logged,) = pa.table(DeltaTable(tmp_path.as_uri()).get_add_actions(flatten=True)).to_pylist()
        assert logged["max.s"] == "\U000fffff"


def bounds_written(folder: Path, rows: pa.Table) -> tuple[Any, Any]:
    """Return the bounds of column ``x`` that delta-rs writes into the log."""
    write_deltalake(folder.as_uri(), rows)
    entry = (folder / "_delta_log" / f"{0:020}.json").read_text().splitlines()
    (added,) = (json.loads(line)["add"] for line in entry if "add" in json.loads(line))
    statistics = json.loads(added["stats"])
    return statistics["minValues"]["x"], statistics["maxValues"]["x"]


class TestDuckDB:
    def test_the_resource_leaves_its_connection_open_after_an_error(self):
        """The reason why we close it ourselves."""
        opened = []

        def fail() -> None:
            with DuckDBResource(database=":memory:").get_connection() as connection:
                opened.append(connection)
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert opened[0].execute("select 1").fetchone() == (1,)
        opened[0].close()

    def test_each_memory_database_is_private(self):
        with duckdb.connect(":memory:") as one, duckdb.connect(":memory:") as other:
            one.execute("create table t as select 1")
            assert other.execute("select count(*) from duckdb_tables()").fetchone() == (0,)

    def test_views_and_global_settings_are_seen_by_cursors_but_registered_tables_are_not(self):
        with duckdb.connect() as connection, connection.cursor() as cursor:
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            connection.execute("create view v as select 1 as a")
            connection.register("r", pa.table({"a": [1]}))
            assert cursor.execute("select current_setting('TimeZone'), a from v").fetchall() == [("UTC", 1)]
            with pytest.raises(duckdb.CatalogException):
                cursor.execute("select * from r")

    def test_a_result_on_a_cursor_survives_the_next_query(self):
        with duckdb.connect() as connection, connection.cursor() as cursor:
            reader = cursor.sql("select range from range(300000)").to_arrow_reader(1000)
            reader.read_next_batch()
            connection.execute("select 1").fetchall()
            assert reader.read_all().num_rows == 299_000

    def test_a_union_over_an_anti_and_a_semi_join_is_never_streamed_to_its_end(self):
        """The reason why no arbitrary query is streamed; computed into a table it takes a tenth of a second."""
        with pytest.raises(subprocess.TimeoutExpired) as stopped:
            subprocess.run([sys.executable, "-c", STREAMED_FOR_EVER], capture_output=True, timeout=4, check=True)
        assert stopped.value.output.startswith(b"computed\n")

    def test_a_table_keeps_the_order_of_the_query_that_it_was_made_of(self):
        with duckdb.connect() as connection:
            connection.execute("create temp table t as select range as n from range(1000000) order by hash(range)")
            found = connection.sql("select n from t").to_arrow_reader().read_all()["n"]
            assert (
                found
                == connection.sql("select range as n from range(1000000) order by hash(range)").to_arrow_table()["n"]
            )

    def test_an_error_in_a_stream_comes_as_an_os_error_with_its_message(self):
        # Of several threads that fail, the one that is told may be one that was interrupted by the first.
        with duckdb.connect(config={"threads": 1}) as connection:
            rows = connection.sql("select case when i < 2000000 then '1' else 'x' end::int from range(3000000) t(i)")
            with pytest.raises((OSError, duckdb.ConversionException), match="Could not convert string 'x'"):
                rows.to_arrow_reader(1000).read_all()

    def test_floats_outside_the_bounds_of_a_file_are_not_found(self, tmp_path: Path):
        """NaN is outside them, and the greatest number of all to DuckDB: so files of ours have no such bounds."""
        rows = pa.table({"x": [1.0, float("nan")]})
        for name, statistics in (("with", True), ("without", False)):
            pq.write_table(rows, tmp_path / f"{name}.parquet", write_statistics=statistics)
        with duckdb.connect() as connection:
            found = [
                connection.execute(
                    "select count(*) from read_parquet(?) where x > 1", [str(tmp_path / f"{name}.parquet")]
                ).fetchall()[0][0]
                for name in ("with", "without")
            ]
        assert found == [0, 1]

    def test_the_extension_is_of_this_very_version(self):
        spec = find_spec("duckdb_extension_delta")
        assert spec is not None
        (folder,) = spec.submodule_search_locations or ()
        assert [path.name for path in (Path(folder) / "extensions").iterdir()] == [f"v{duckdb.__version__}"]

    def test_rejects_tell_file_line_and_reason(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n")
        with duckdb.connect() as connection:
            files: Any = [str(tmp_path / "a.csv")]
            connection.read_csv(
                files,
                columns={"a": "VARCHAR", "b": "VARCHAR"},
                auto_detect=False,
                header=True,
                store_rejects=True,
                rejects_table="e",
                rejects_scan="s",
            ).create("t")
            found = connection.execute(
                "select file_path, line, error_type::varchar, csv_line from e join s using (file_id)"
            )
            assert found.fetchall() == [(str(tmp_path / "a.csv"), 3, "MISSING COLUMNS", "3")]


class TestIbis:
    def test_takes_a_connection_and_leaves_it_in_utc(self):
        with duckdb.connect() as connection:
            backend = ibis.duckdb.from_connection(connection)
            assert backend.con is connection
            assert connection.execute("select current_setting('TimeZone')").fetchone() == ("UTC",)

    def test_calls_a_sum_of_integers_bigint_which_duckdb_makes_hugeint(self):
        """The reason why streams are cast."""
        with duckdb.connect() as connection:
            table = ibis.duckdb.from_connection(connection).sql("select 1::bigint as a")
            summed = table.aggregate(s=table["a"].sum())
            assert summed.schema()["s"].is_int64()
            rows = connection.sql(ibis.to_sql(summed, dialect="duckdb")).to_arrow_table()
            assert rows.schema.field("s").type == pa.decimal128(38, 0)
