"""What leaves the warehouse: files, views and pages, each there whole or not at all."""

from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaplatform.errors import DataError, StorageError
from metaplatform.resources.engine.duckdb_connections import load_delta
from metaplatform.resources.sinks.exports import Exports
from metaplatform.resources.storage.warehouse import Warehouse

ROWS = pa.table({"id": [1, 2], "name": ['a,"b"', None]})


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    warehouse = Warehouse(root=str(tmp_path))
    warehouse.replace("raw.t", ROWS, partition=None, metadata={})
    return warehouse


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    return Exports(root=str(tmp_path))


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class TestAFile:
    def test_of_parquet_holds_the_rows(self, warehouse: Warehouse, exports: Exports, tmp_path: Path):
        with warehouse.session() as session:
            table = session.table("raw.t")
            written = exports.write_file(session, table, output="late", partition="2013-01", kind="parquet")
        assert written.path == tmp_path / "exports" / "late" / "2013-01.parquet"
        assert pq.read_table(written.path).to_pylist() == ROWS.to_pylist()
        assert (written.rows, written.bytes) == (2, written.path.stat().st_size)

    def test_of_csv_has_a_header_and_quotes_what_needs_it(self, warehouse: Warehouse, exports: Exports):
        with warehouse.session() as session:
            ordered = session.table("raw.t").order_by("id")
            written = exports.write_file(session, ordered, output="late", partition=None, kind="csv")
        assert written.path.name == "all.csv"
        assert written.path.read_text() == 'id,name\n1,"a,""b"""\n2,\n'

    def test_without_rows_has_its_columns_still(self, warehouse: Warehouse, exports: Exports):
        with warehouse.session() as session:
            none = session.table("raw.t").filter(ibis.literal(False))
            for kind in ("csv", "parquet"):
                written = exports.write_file(session, none, output="late", partition=None, kind=kind)
                assert written.rows == 0
        assert pq.read_table(written.path).column_names == ["id", "name"]

    def test_stays_as_it_was_when_a_row_fails(self, warehouse: Warehouse, exports: Exports, tmp_path: Path):
        with warehouse.session() as session:
            table = session.table("raw.t")
            before = exports.write_file(session, table, output="late", partition=None, kind="csv").path.read_text()
            broken = table.mutate(number=table["name"].cast("int64"))
            with pytest.raises(DataError, match=r"outputs\.late: Conversion Error"):
                exports.write_file(session, broken, output="late", partition=None, kind="csv")
        assert (tmp_path / "exports" / "late" / "all.csv").read_text() == before
        assert files_below(tmp_path / "exports") == ["late/all.csv"], "nothing half-written is left"

    @pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b"])
    def test_cannot_be_placed_elsewhere(self, warehouse: Warehouse, exports: Exports, name: str):
        with warehouse.session() as session, pytest.raises(StorageError, match="is not a file name"):
            exports.write_file(session, session.table("raw.t"), output=name, partition=None, kind="csv")


class TestTheViews:
    def read(self, path: Path) -> list[tuple[object, ...]]:
        with duckdb.connect(str(path), read_only=True) as connection:
            load_delta(connection)
            return connection.sql("select id from raw.t order by id").fetchall()

    def test_show_the_tables_as_they_are_when_asked(self, warehouse: Warehouse, exports: Exports):
        path = exports.write_views({"raw.t": warehouse.path("raw.t")})
        assert path.name == "warehouse.duckdb"
        assert self.read(path) == [(1,), (2,)]
        warehouse.replace("raw.t", ROWS.slice(0, 1), partition=None, metadata={})
        assert self.read(path) == [(1,)]

    def test_are_made_anew_while_somebody_has_them_open(self, warehouse: Warehouse, exports: Exports):
        path = exports.write_views({"raw.t": warehouse.path("raw.t")})
        with duckdb.connect(str(path), read_only=True):
            warehouse.replace("tables.u", ROWS, partition=None, metadata={})
            exports.write_views({ref: warehouse.path(ref) for ref in ("raw.t", "tables.u")})
        with duckdb.connect(str(path), read_only=True) as connection:
            names = connection.sql("select schema_name || '.' || view_name from duckdb_views() where not internal")
            assert sorted(names.fetchall()) == [("raw.t",), ("tables.u",)]

    def test_of_a_table_that_is_not_there_leave_the_old_ones(
        self, warehouse: Warehouse, exports: Exports, tmp_path: Path
    ):
        path = exports.write_views({"raw.t": warehouse.path("raw.t")})
        with pytest.raises(StorageError, match="materialize the tables"):
            exports.write_views({"raw.none": warehouse.path("raw.none")})
        assert self.read(path) == [(1,), (2,)]
        assert [name for name in files_below(tmp_path) if "duckdb" in name] == ["warehouse.duckdb"]


class TestAReport:
    def test_is_a_page_with_a_link_where_pages_are_served(self, tmp_path: Path):
        exports = Exports(root=str(tmp_path), reports_url="http://localhost:3001/")
        page = exports.write_report("<p>Zürich</p>", name="late", partition="2013-01")
        assert page.path == tmp_path / "reports" / "late" / "2013-01.html"
        assert page.path.read_text(encoding="utf-8") == "<p>Zürich</p>"
        assert page.url == "http://localhost:3001/late/2013-01.html"

    def test_has_no_link_where_they_are_not(self, exports: Exports):
        assert exports.write_report("", name="late", partition=None).url == ""

    def test_that_cannot_be_written_is_a_storage_error(self, exports: Exports, tmp_path: Path):
        (tmp_path / "reports").write_text("a file where a folder should be")
        with pytest.raises(StorageError, match="space and rights"):
            exports.write_report("", name="late", partition=None)
