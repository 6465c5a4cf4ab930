"""Sessions: snapshots of tables, streams of rows, book queries, and what is left behind (nothing)."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pytest
from sqlglot import exp, parse_one

from metaplatform.errors import DataError, StorageError
from metaplatform.resources.engine.queries import is_scan
from metaplatform.resources.engine.session import Session
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform_tests.resources.engine.long_plans import PLANS, ROWS

FLIGHTS = pa.table({"id": [1, 2, 3, 4], "carrier": ["UA", "AA", "UA", None], "delay": [10, -5, None, 30]})
CARRIERS = pa.table({"carrier": ["UA", "AA"], "name": ["United", "American"]})
LONG_PLANS = Path(__file__).with_name("long_plans.py")


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    warehouse = Warehouse(root=str(tmp_path))
    warehouse.replace("raw.flights", FLIGHTS, partition=None, metadata={})
    warehouse.replace("raw.carriers", CARRIERS, partition=None, metadata={})
    return warehouse


def sql(text: str) -> exp.Query:
    parsed = parse_one(text, dialect="duckdb")
    assert isinstance(parsed, exp.Query)
    return parsed


def answer(session: Session, text: str, *, owner: str = "tables.t") -> list[tuple[object, ...]]:
    tables = {ref: session.table(ref) for ref in ("raw.flights", "raw.carriers")}
    rows = session.stream(session.query(sql(text), tables, owner=owner), owner=owner).read_all()
    return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))


class TestTables:
    def test_are_read_at_one_version_throughout_the_session(self, warehouse: Warehouse):
        with warehouse.session() as session:
            table = session.table("raw.flights")
            warehouse.replace("raw.flights", FLIGHTS.slice(0, 1), partition=None, metadata={})
            assert session.stream(table).read_all().num_rows == 4
            assert session.stream(session.table("raw.flights")).read_all().num_rows == 4
            assert session.stream(session.table("raw.flights", version=1)).read_all().num_rows == 1
        with warehouse.session() as session:
            assert session.stream(session.table("raw.flights")).read_all().num_rows == 1

    def test_that_are_not_there_are_an_error_with_the_way_out(self, warehouse: Warehouse):
        with warehouse.session() as session:
            with pytest.raises(StorageError, match=r"raw\.nothing.*materialize raw\.nothing first"):
                session.table("raw.nothing")
            with pytest.raises(StorageError, match="version 7 cannot be read"):
                session.table("raw.flights", version=7)

    def test_with_all_kinds_of_types_come_back_through_the_engine(self, warehouse: Warehouse):
        with warehouse.session() as session:
            kinds = session.backend.sql("""
                select sum(1) as huge, 'x'::enum('x') as category, uuid() as id, 1::utinyint as small, null as nothing,
                    time '01:02' as clock, timestamptz '2013-01-01 00:00:00+02' as moment, [1, 2] as list,
                    1.5::decimal(9, 2) as price, '{"a": 1}'::json as document
            """)
            warehouse.replace("tables.kinds", session.stream(kinds), partition=None, metadata={})
            row = session.stream(session.table("tables.kinds").drop("id")).read_all().to_pylist()[0]
        moment = datetime(2012, 12, 31, 22, tzinfo=UTC)
        assert list(row.values()) == [1, "x", 1, None, "01:02:00.000000", moment, [1, 2], Decimal("1.50"), '{"a": 1}']

    def test_have_in_each_session_the_columns_that_duckdb_tells(self, warehouse: Warehouse):
        """What is known of one table's columns is used for those of others that have the same, and for no other."""
        columns = {
            "price": pa.array([Decimal("1.50"), None]),
            "at": pa.array([datetime(2024, 1, 1, tzinfo=UTC), None]),
            "tags": pa.array([["a"], None]),
            "place": pa.array([{"x": 1.5}, None]),
        }
        warehouse.replace("raw.first", pa.table(columns), partition=None, metadata={})
        warehouse.replace("raw.second", pa.table(columns), partition=None, metadata={})
        warehouse.replace("raw.other", pa.table(columns).drop(["price"]), partition=None, metadata={})
        for ref in ("raw.first", "raw.second", "raw.other", "raw.first"):
            with warehouse.session() as session:
                table = session.table(ref)
                assert table.schema() == session.backend.table(table.get_name()).schema()
                assert session.stream(table).read_all().num_rows == 2

    def test_an_interval_is_refused_by_name(self, warehouse: Warehouse):
        with warehouse.session() as session:
            rows = session.stream(session.backend.sql("select interval 1 day as gap"))
            with pytest.raises(DataError, match=r"tables\.t: column 'gap'.*epoch"):
                warehouse.replace("tables.t", rows, partition=None, metadata={})


class TestStreams:
    def test_stay_whole_while_other_queries_run(self, warehouse: Warehouse):
        with warehouse.session() as session:
            many = session.backend.sql("select range as n from range(500000)")
            first, second = session.stream(many, chunk=1000), session.stream(many, chunk=1000)
            total = 0
            for ours, theirs in zip(first, second, strict=True):
                assert session.stream(session.table("raw.flights").count().as_table()).read_all().num_rows == 1
                total += ours.num_rows + theirs.num_rows
                if total > 20_000:
                    break
            assert first.read_all().num_rows + second.read_all().num_rows + total == 1_000_000

    def test_come_in_chunks_of_the_size_asked_for(self, warehouse: Warehouse):
        with warehouse.session() as session:
            sizes = [batch.num_rows for batch in session.stream(session.table("raw.flights"), chunk=3)]
        assert sum(sizes) == 4
        assert max(sizes) <= 3

    def test_hold_sums_of_integers_as_bigint(self, warehouse: Warehouse):
        with warehouse.session() as session:
            table = session.table("raw.flights")
            summed = session.stream(table.aggregate(total=table["delay"].sum())).read_all()
        assert summed.schema.field("total").type == pa.int64()
        assert summed["total"].to_pylist() == [35]

    def test_may_join_values_of_python(self, warehouse: Warehouse):
        with warehouse.session() as session:
            wanted = ibis.memtable(pa.table({"id": [1, 3]}))
            joined = session.table("raw.flights").semi_join(wanted, "id")
            assert session.stream(joined.order_by("id")).read_all()["id"].to_pylist() == [1, 3]
            queried = session.query(sql("select count(*) as n from raw.flights"), {"raw.flights": joined})
            assert session.stream(queried).read_all()["n"].to_pylist() == [2]

    def test_fail_as_data_errors_that_name_their_owner(self, warehouse: Warehouse):
        with warehouse.session() as session:
            bad = session.backend.sql(
                "select case when i < 400000 then '1' else 'x' end::int as n from range(500000) t(i)"
            )
            with pytest.raises(DataError, match=r"tables\.t: Conversion Error: Could not convert string 'x'"):
                warehouse.replace("tables.t", session.stream(bad, owner="tables.t"), partition=None, metadata={})
        assert not warehouse.exists("tables.t")
        assert list(warehouse.path("tables.t").glob("*.parquet")) == []

    def test_out_of_memory_are_storage_errors(self, tmp_path: Path):
        with Warehouse(root=str(tmp_path), memory_limit="20MB", threads=1).session() as session:
            session.backend.raw_sql("SET GLOBAL max_temp_directory_size = '0MB'")
            huge = session.backend.sql("select list(range) as l from range(30000000)")
            with pytest.raises(StorageError, match="memory_limit"):
                session.stream(huge).read_all()


class TestPlans:
    """Each kind of plan comes to its end, with more rows than DuckDB holds back of a result that is streamed."""

    def test_of_any_kind_come_to_their_end(self, warehouse: Warehouse):
        command = [sys.executable, str(LONG_PLANS), warehouse.root]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=90, check=True, text=True)
        counts = {name: int(rows) - ROWS for name, rows in (line.split(":") for line in done.stdout.splitlines())}
        assert counts == {**dict.fromkeys(PLANS, 0), "full": 10, "ranked": -1}

    def test_spill_to_the_folder_of_the_session(self, tmp_path: Path):
        with Warehouse(root=str(tmp_path), memory_limit="100MB", threads=1).session() as session:
            wide = session.backend.sql("select range as n, 'some text ' || range as s from range(4000000)")
            session.stream(wide)
            assert sum(file.stat().st_size for file in session.folder.rglob("*")) > 10_000_000
            assert sum(batch.num_rows for batch in session.stream(session.keep(wide))) == 4_000_000

    def test_leave_nothing_behind_once_they_are_read(self, warehouse: Warehouse):
        with warehouse.session() as session:
            before = session.backend.con.execute("select count(*) from duckdb_tables()").fetchall()
            session.stream(session.backend.sql("select 1 as n union all select 2")).read_all()
            assert session.backend.con.execute("select count(*) from duckdb_tables()").fetchall() == before

    def test_keep_the_order_asked_for(self, warehouse: Warehouse):
        with warehouse.session() as session:
            rows = session.stream(
                session.backend.sql("select range as n from range(500000) order by n desc")
            ).read_all()
        assert rows["n"].to_pylist() == list(range(499_999, -1, -1))

    @pytest.mark.parametrize(
        ("change", "scan"),
        [
            (lambda t: t, True),
            (lambda t: t.filter(t["delay"] > 0).select("id", late=t["delay"] > 10), True),
            (lambda t: t.order_by("id").drop("carrier"), True),
            (lambda t: t.limit(2), False),
            (lambda t: t.union(t), False),
            (lambda t: t.distinct(), False),
            (lambda t: t.aggregate(n=t.count()), False),
            (lambda t: t.mutate(rank=ibis.row_number().over(order_by=t["id"])), False),
            (lambda t: t.filter(t["id"] == t["id"].max()), False),
            (lambda t: t.filter(t["id"].isin(t.filter(t["delay"] > 0)["id"])), False),
            (lambda t: t.inner_join(t.view(), "id"), False),
            (lambda t: t.semi_join(ibis.memtable(pa.table({"id": [1]})), "id"), False),
        ],
    )
    def test_that_are_streamed_scan_one_table(
        self, warehouse: Warehouse, change: Callable[[ibis.Table], ibis.Table], *, scan: bool
    ):
        with warehouse.session() as session:
            for table in (session.table("raw.flights"), session.keep(session.table("raw.flights"))):
                assert is_scan(change(table), {table.op().name}) is scan
                assert not is_scan(change(table), set())

    def test_that_hold_sql_of_the_book_are_not_streamed(self, warehouse: Warehouse):
        with warehouse.session() as session:
            table = session.table("raw.flights")
            query = session.query(sql("select * from raw.flights"), {"raw.flights": table})
            assert not is_scan(query, {table.op().name})


class TestQueries:
    def test_read_the_tables_given_in_place_of_references(self, warehouse: Warehouse):
        with warehouse.session() as session:
            rows = answer(
                session,
                "select f.id, c.name from raw.flights as f left join raw.carriers as c using (carrier) order by 1",
            )
        assert rows == [(1, "United"), (2, "American"), (3, "United"), (4, None)]

    @pytest.mark.parametrize(
        "text",
        [
            "select id from raw.flights where flights.carrier = 'AA'",
            "select raw.flights.id from raw.flights where raw.flights.carrier = 'AA'",
            "select id from RAW.Flights where carrier = 'AA'",
            "with flights as (select * from raw.flights where carrier = 'AA') select id from flights",
            "select id from (from raw.flights) where carrier in (select carrier from raw.carriers where name[1] = 'A')",
            "from raw.flights select id where carrier = 'AA' union all select 1 where false",
            "with recursive up as (select 1 as id union all select id + 1 from up where id < 2) select max(id) from up",
            "select a.id from raw.flights a join raw.flights b on a.id = b.id and b.carrier = 'AA'",
            'select id from "raw"."flights" where "carrier" = \'AA\'',
        ],
    )
    def test_may_name_tables_in_any_way_of_sql(self, warehouse: Warehouse, text: str):
        with warehouse.session() as session:
            assert answer(session, text) == [(2,)]

    @pytest.mark.parametrize("word", ["at", "end", "left", "desc", "check", "full", "binary"])
    def test_may_name_columns_by_words_of_sql(self, warehouse: Warehouse, word: str):
        ordered = "select WORD from (select id as WORD from raw.flights) as t order by t.WORD limit 1"
        ranked = "select id as WORD from raw.flights qualify row_number() over (order by WORD desc) = 4"
        with warehouse.session() as session:
            assert answer(session, ordered.replace("WORD", word)) == [(1,)]
            assert answer(session, ranked.replace("WORD", word)) == [(1,)]

    def test_see_only_what_they_are_given(self, warehouse: Warehouse):
        with warehouse.session() as session:
            table = session.table("raw.flights")
            query = session.query(sql("select count(*) as n from raw.flights"), {"raw.flights": table.limit(1)})
            assert session.stream(query).read_all()["n"].to_pylist() == [1]
            with pytest.raises(DataError, match=r"reads 'raw\.secrets', but was given raw\.carriers, raw\.flights"):
                answer(session, "select * from raw.secrets")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("select departure from raw.flights", 'Referenced column "departure" not found'),
            ("select id + carrier::date from raw.flights", "could not|Conversion|Binder"),
            ("select nonsense(id) from raw.flights", "nonsense"),
        ],
    )
    def test_that_do_not_fit_the_columns_name_their_owner(self, warehouse: Warehouse, text: str, message: str):
        with warehouse.session() as session, pytest.raises(DataError, match=rf"tables\.late: [\s\S]*({message})"):
            answer(session, text, owner="tables.late")

    def test_leave_the_session_usable_when_they_fail(self, warehouse: Warehouse):
        with warehouse.session() as session:
            with pytest.raises(DataError):
                answer(session, "select carrier::int from raw.flights")
            assert len(answer(session, "select * from raw.flights")) == 4

    def test_are_not_changed_themselves(self, warehouse: Warehouse):
        query = sql("select * from raw.flights")
        with warehouse.session() as session:
            session.query(query, {"raw.flights": session.table("raw.flights")})
        assert query == sql("select * from raw.flights")


class TestComputedOnce:
    def test_a_temporary_table_holds_the_rows(self, warehouse: Warehouse):
        with warehouse.session() as session:
            random = session.keep(session.backend.sql("select random() as x, null as nothing from range(3)"))
            assert session.stream(random).read_all() == session.stream(random).read_all()

    def test_a_failing_row_is_a_data_error(self, warehouse: Warehouse):
        with warehouse.session() as session, pytest.raises(DataError, match=r"features\.f: Conversion Error"):
            session.keep(session.backend.sql("select ('x' || range)::int as n from range(3)"), owner="features.f")


class TestASession:
    def test_has_a_database_of_its_own(self, warehouse: Warehouse):
        with warehouse.session() as one, warehouse.session() as other:
            one.backend.raw_sql("create table t as select 1 as x")
            assert "t" not in other.backend.list_tables()

    def test_is_in_utc_on_every_cursor(self, warehouse: Warehouse):
        with warehouse.session() as session:
            zone = session.stream(session.backend.sql("select current_setting('TimeZone') as zone")).read_all()
        assert zone["zone"].to_pylist() == ["UTC"]

    def test_takes_the_limits_it_is_given(self, tmp_path: Path):
        with Warehouse(root=str(tmp_path), memory_limit="300MB", threads=1).session() as session:
            found = session.backend.con.execute(
                "select current_setting('threads'), current_setting('memory_limit'), current_setting('temp_directory')"
            ).fetchone()
            assert found == (1, "286.1 MiB", str(session.folder))
            assert session.folder.is_relative_to(tmp_path)

    def test_with_limits_nobody_understands_is_refused(self, tmp_path: Path):
        with pytest.raises(StorageError, match="4GB"), Warehouse(root=str(tmp_path), memory_limit="much").session():
            pass

    def test_below_a_root_that_cannot_be_written_is_refused(self, tmp_path: Path):
        (tmp_path / "file").write_text("no folder")
        with pytest.raises(StorageError, match="space and rights"), Warehouse(root=str(tmp_path / "file")).session():
            pass

    def test_neither_installs_nor_loads_extensions_by_itself(self, warehouse: Warehouse):
        with warehouse.session() as session:
            settings = session.backend.con.execute(
                "select current_setting('autoinstall_known_extensions'), current_setting('autoload_known_extensions')"
            ).fetchone()
        assert settings == (False, False)

    def test_is_closed_and_leaves_no_files_when_something_is_raised(self, warehouse: Warehouse):
        opened: list[Session] = []

        def fail() -> None:
            with warehouse.session() as session:
                session.stream(session.table("raw.flights"))
                opened.append(session)
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert not opened[0].folder.exists()
        with pytest.raises(duckdb.ConnectionException):
            opened[0].backend.con.execute("select 1")
