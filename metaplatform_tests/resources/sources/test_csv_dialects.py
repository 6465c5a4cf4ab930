"""Delimited text as the world writes it: marks, heads, footers, encodings, and how numbers and dates are written."""

import csv
import gzip
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from metaplatform.compute.ingestion import REASON, conform
from metaplatform.errors import DataError
from metaplatform.naming import FILE
from metaplatform.resources.engine.duckdb_connections import memory_connection
from metaplatform.resources.sources.readers import READERS, read_rows
from metaplatform.resources.sources.source_reader import Place
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.entities.csv_source import CsvSource

DECLARED = {"id": "integer", "name": "varchar"}


def source(path: str = "a.csv", **fields: Any) -> CsvSource:
    return CsvSource.model_validate({"kind": "csv", "name": "people", "path": path, **fields})


def read(folder: Path, spec: CsvSource) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return rows and rejects."""
    with Warehouse(root=str(folder / "root")).session() as session:
        found = read_rows(session, spec, Place(str(folder)))
        assert found.rejects is not None
        rows = session.stream(found.rows.drop(FILE)).read_all().to_pylist()
        return rows, session.stream(found.rejects).read_all().to_pylist()


def conformed(folder: Path, spec: CsvSource) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows that are as declared, and why the others are not."""
    with Warehouse(root=str(folder / "root")).session() as session:
        found = conform(read_rows(session, spec, Place(str(folder))).rows, spec)
        reasons = session.stream(found.quarantined).read_all()[REASON].to_pylist()
        return session.stream(found.accepted).read_all().to_pylist(), sorted(map(str, reasons))


def put(folder: Path, text: str, *, name: str = "a.csv", encoding: str = "utf-8") -> None:
    (folder / name).write_bytes(text.encode(encoding))


class TestHeads:
    def test_lines_above_and_comments_are_passed_over_and_lines_keep_their_numbers(self, tmp_path: Path):
        put(tmp_path, 'Report of March\n\n# made by x\nid;name\n# first\n1;anna\n2;b;c\n3;"x\n# y" # end\n')
        rows, rejects = read(tmp_path, source(skip_lines=2, comment="#", columns=DECLARED))
        assert rows == [{"id": "1", "name": "anna"}, {"id": "3", "name": "x\n# y"}]
        assert [(each["line"], each["text"]) for each in rejects] == [(7, "2;b;c")]

    def test_blank_lines_above_a_header_count_for_nothing(self, tmp_path: Path):
        put(tmp_path, "\n\nid,name\n1,anna\n")
        assert read(tmp_path, source(columns=DECLARED))[0] == [{"id": "1", "name": "anna"}]

    def test_without_a_header_columns_are_named_by_the_book_or_numbered(self, tmp_path: Path):
        put(tmp_path, "1;anna\n2;bo\n")
        assert read(tmp_path, source(header_lines=0, columns=DECLARED))[0][0] == {"id": "1", "name": "anna"}
        assert read(tmp_path, source(header_lines=0))[0][1] == {"column_1": 2, "column_2": "bo"}

    def test_other_values_than_columns_are_an_error_that_counts_both(self, tmp_path: Path):
        put(tmp_path, "1,anna,x\n")
        with pytest.raises(DataError, match=r"raw\.people: a\.csv has 3 values in its first line, and 2 columns"):
            read(tmp_path, source(header_lines=0, columns=DECLARED))

    def test_names_in_several_lines_are_joined_as_merged_cells_mean_it(self, tmp_path: Path):
        put(tmp_path, ",price,,stock\nid,net,gross,\n1,2,3,4\n")
        (row,) = read(tmp_path, source(header_lines=2))[0]
        assert row == {"id": 1, "price_net": 2, "price_gross": 3, "stock": 4}

    @pytest.mark.parametrize("header", ["name,age", '"",name,age'])
    def test_a_column_of_row_names_that_the_header_leaves_out_gets_one(self, tmp_path: Path, header: str):
        put(tmp_path, f"{header}\nr1,anna,30\n")
        assert read(tmp_path, source(row_names="row"))[0] == [{"row": "r1", "name": "anna", "age": 30}]

    def test_a_file_that_ends_within_its_head_says_so(self, tmp_path: Path):
        put(tmp_path, "title\nid,name\n")
        with pytest.raises(DataError, match="ends before the header lines"):
            read(tmp_path, source(skip_lines=2))

    def test_a_header_alone_is_no_row(self, tmp_path: Path):
        put(tmp_path, "top\nid,name\n")
        assert read(tmp_path, source(skip_lines=1, columns=DECLARED)) == ([], [])


class TestFooters:
    def test_last_lines_are_no_rows_and_blank_ones_are_not_counted(self, tmp_path: Path):
        put(tmp_path, "id,name\n1,anna\n2,bo\ntotal,2\nend of report\n\n")
        rows, rejects = read(tmp_path, source(footer_lines=2, columns=DECLARED))
        assert ([row["id"] for row in rows], rejects) == (["1", "2"], [])

    def test_a_look_at_a_long_file_leaves_no_row_out_for_them(self, tmp_path: Path):
        put(tmp_path, "id,name\n" + "".join(f"{n},x\n" for n in range(1_000_000)) + "total,9\n")
        (tmp_path / "look").mkdir()
        with memory_connection(tmp_path / "look") as connection:
            spec = source(footer_lines=1)
            found = READERS.of("csv").sample(connection, spec, Place(str(tmp_path)), tmp_path / "look")
            rows = connection.table(found.table).fetchall()
        assert (len(rows), found.whole) == (20_000, False)


class TestMarks:
    @pytest.mark.parametrize(("quote", "escape"), [('"', None), ('"', "\\"), ("'", None), ("'", "\\"), ("", None)])
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^"])
    def test_what_python_writes_is_read(self, tmp_path: Path, quote: str, escape: str | None, delimiter: str):
        texts = ["a", f"b{delimiter}c", "d 'e' \"f\"", "g\nh", "ä€"] if quote else ["a", "b' c", 'd"e', "ä€"]
        rows = [[str(number), text] for number, text in enumerate(texts)]
        how: dict[str, Any] = {"quotechar": quote, "quoting": csv.QUOTE_ALL} if quote else {"quoting": csv.QUOTE_NONE}
        if escape:
            how |= {"escapechar": escape, "doublequote": False}
        if not quote:
            how |= {"quotechar": None}
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, **how).writerows([["id", "name"], *rows])
        put(tmp_path, out.getvalue())
        spec = source(delimiter=delimiter, quote=quote, escape=escape, columns=DECLARED)
        assert [list(row.values()) for row in read(tmp_path, spec)[0]] == rows

    def test_runs_of_blanks_are_one_delimiter_but_in_quotes(self, tmp_path: Path):
        put(tmp_path, '  id   name   city\n   1   anna   "New   York"\n  20 \t bo     x  \n')
        rows, rejects = read(tmp_path, source(delimiter=" "))
        told = [{"id": 1, "name": "anna", "city": "New   York"}, {"id": 20, "name": "bo", "city": "x"}]
        assert (rows, rejects) == (told, [])

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 10**6),
                st.text(st.characters(codec="cp1252", exclude_categories=["Cc", "Cs"]), min_size=1).map(str.strip),
            ),
            min_size=1,
            max_size=8,
        ).filter(lambda rows: all(text for _, text in rows)),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
        st.sampled_from([",", ";", "\t"]),
        st.integers(0, 3),
        st.integers(0, 2),
    )
    @settings(max_examples=60, deadline=None)
    def test_whatever_the_dialect_each_value_is_read(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        rows: list[tuple[int, str]],
        encoding: str,
        delimiter: str,
        above: int,
        below: int,
    ):
        folder, out = tmp_path_factory.mktemp("dialect"), io.StringIO()
        csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["id", "name"], *rows])
        text = "title\r\n" * above + out.getvalue() + "the end\r\n" * below
        put(folder, text, encoding=encoding)
        spec = source(delimiter=delimiter, encoding=encoding, skip_lines=above, footer_lines=below, columns=DECLARED)
        found, rejects = read(folder, spec)
        assert rejects == []
        assert sorted((int(row["id"]), row["name"]) for row in found) == sorted(rows)


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "shift_jis", "cp1251"])
    def test_of_any_name_are_read(self, tmp_path: Path, encoding: str):
        word = {"shift_jis": "東京", "cp1251": "Москва"}.get(encoding, "größe")
        put(tmp_path, f"id,name\n1,{word}\n", encoding=encoding)
        assert read(tmp_path, source(encoding=encoding, columns=DECLARED))[0] == [{"id": "1", "name": word}]

    def test_that_a_file_is_not_in_is_an_error_that_names_both(self, tmp_path: Path):
        (tmp_path / "a.csv").write_bytes(b"id,name\n1,\x81\n")
        with pytest.raises(DataError, match=r"a\.csv is not cp1252: .*correct `encoding`"):
            read(tmp_path, source(encoding="cp1252", columns=DECLARED))

    def test_that_is_not_declared_is_told_of(self, tmp_path: Path):
        put(tmp_path, "id,name\n1,größe\n", encoding="cp1252")
        with pytest.raises(DataError, match=r"is not UTF-8.*`encoding`, such as cp1252"):
            read(tmp_path, source(columns=DECLARED))

    @pytest.mark.parametrize("packed", ["gz", "zst"])
    def test_are_read_out_of_compressed_files(self, tmp_path: Path, packed: str):
        raw = "id,name\n1,größe\nend,x\n".encode("cp1252")
        path = tmp_path / f"a.csv.{packed}"
        if packed == "gz":
            path.write_bytes(gzip.compress(raw))
        else:
            with pa.output_stream(path, compression="zstd") as out:
                out.write(raw)
        spec = source(path.name, encoding="cp1252", footer_lines=1, columns=DECLARED)
        assert read(tmp_path, spec)[0] == [{"id": "1", "name": "größe"}]


class TestWritten:
    def test_numbers_with_decimal_commas_are_values_and_those_with_points_are_not(self, tmp_path: Path):
        put(tmp_path, "id;price\n1.234;1.250,50\n2;-0,5\n3;1.5\n4;1.25,0\n5;\n6;7\n")
        spec = source(decimal=",", thousands=".", columns={"id": "integer", "price": "decimal(10,2)"})
        rows, reasons = conformed(tmp_path, spec)
        prices = {row["id"]: row["price"] for row in rows}
        assert prices == {1234: Decimal("1250.50"), 2: Decimal("-0.50"), 5: None, 6: Decimal(7)}
        assert reasons == [
            "price: '1.25,0' is not a valid decimal(10,2) with ',' in front of decimals",
            "price: '1.5' is not a valid decimal(10,2) with ',' in front of decimals",
        ]

    def test_undeclared_numbers_are_told_by_them_and_dates_as_ever(self, tmp_path: Path):
        put(tmp_path, "a;b;c;d\n1 234,5;2024-01-02;007;1.5\n2\u202f345,25;2024-01-03;008;2.5\n")
        rows = read(tmp_path, source(decimal=",", thousands=" "))[0]
        assert rows[0] == {"a": 1234.5, "b": date(2024, 1, 2), "c": "007", "d": "1.5"}
        assert rows[1]["a"] == 2345.25

    def test_dates_are_read_by_the_format_of_their_column_and_no_other(self, tmp_path: Path):
        put(tmp_path, "day;at;zoned\n31.12.2024;12/31/24 11:30 PM;2024-12-31 +0200\n2024-12-31;x;y\n")
        columns = {"day": "date", "at": "timestamp", "zoned": "timestamptz"}
        formats = {"day": "%d.%m.%Y", "at": "%m/%d/%y %I:%M %p", "zoned": "%Y-%m-%d %z"}
        ((row,), reasons) = conformed(tmp_path, source(columns=columns, formats=formats))
        assert row["day"] == date(2024, 12, 31)
        assert row["at"] == datetime.fromisoformat("2024-12-31 23:30")
        assert row["zoned"] == datetime(2024, 12, 30, 22, tzinfo=UTC)
        assert reasons[0].startswith("day: '2024-12-31' is not a valid date as %d.%m.%Y; ")

    def test_a_date_with_a_clock_is_no_day(self, tmp_path: Path):
        put(tmp_path, "day\n31.12.2024 00:00\n31.12.2024 07:00\n")
        rows, reasons = conformed(tmp_path, source(columns={"day": "date"}, formats={"day": "%d.%m.%Y %H:%M"}))
        assert (len(rows), len(reasons)) == (1, 1)

    @given(
        st.lists(st.decimals(-(10**12), 10**12, places=3), min_size=1, max_size=20), st.sampled_from([".", " ", "'"])
    )
    @settings(max_examples=40, deadline=None)
    def test_numbers_come_back_digit_by_digit(
        self, tmp_path_factory: pytest.TempPathFactory, numbers: list[Decimal], thousands: str
    ):
        folder = tmp_path_factory.mktemp("numbers")
        marks = str.maketrans({",": thousands, ".": ","})
        put(folder, "n\n" + "".join(f"{number:,.3f}".translate(marks) + "\n" for number in numbers))
        spec = source(delimiter=";", decimal=",", thousands=thousands, columns={"n": "decimal(18,3)"})
        rows, reasons = conformed(folder, spec)
        assert reasons == []
        assert sorted(row["n"] for row in rows) == sorted(numbers)

    def test_a_million_rows_are_what_pandas_reads(self, tmp_path: Path):
        count = 1_000_000
        frame = pd.DataFrame({"id": range(count), "x": [n / 8 for n in range(count)]})
        frame["day"] = pd.to_datetime("2020-01-01") + pd.to_timedelta(frame["id"] % 2_000, unit="D")
        frame.to_csv(tmp_path / "a.csv", sep=";", decimal=",", date_format="%d.%m.%Y", index=False, encoding="cp1252")
        columns = {"id": "bigint", "x": "double", "day": "date"}
        spec = source(decimal=",", encoding="cp1252", columns=columns, formats={"day": "%d.%m.%Y"})
        with Warehouse(root=str(tmp_path / "root")).session() as session:
            found = conform(read_rows(session, spec, Place(str(tmp_path))).rows, spec)
            read_back = session.stream(found.accepted).read_all().to_pandas()
        read_back = read_back.sort_values("id").reset_index(drop=True)
        assert read_back["x"].equals(frame["x"])
        assert (pd.to_datetime(read_back["day"]) == frame["day"]).all()


class TestNames:
    def test_of_thousands_of_files_say_the_day_in_one_read(self, tmp_path: Path):
        for number in range(2_000):
            day = date.fromordinal(date(2020, 1, 1).toordinal() + number)
            put(tmp_path, f"id\n{number}\n", name=f"sales_{day:%Y%m%d}.csv")
        columns, formats = {"id": "integer", "day": "date"}, {"day": "%Y%m%d"}
        spec = source("sales_*.csv", name_columns={"day": r"sales_(\d{8})"}, columns=columns, formats=formats)
        rows, reasons = conformed(tmp_path, spec)
        assert reasons == []
        assert {row["id"]: row["day"].toordinal() - date(2020, 1, 1).toordinal() for row in rows} == {
            number: number for number in range(2_000)
        }

    def test_without_the_pattern_are_an_error_that_names_file_and_pattern(self, tmp_path: Path):
        put(tmp_path, "id\n1\n", name="sales_x.csv")
        with pytest.raises(DataError, match=r"sales_x\.csv says no 'day': .* is not in it.*`name_columns`"):
            read(tmp_path, source("sales_*.csv", name_columns={"day": r"sales_(\d{8})"}))

    def test_may_not_name_a_column_that_the_file_has(self, tmp_path: Path):
        put(tmp_path, "day\n1\n", name="sales_1.csv")
        with pytest.raises(DataError, match="has the column 'day' itself, which `name_columns` takes from its path"):
            read(tmp_path, source("sales_*.csv", name_columns={"day": r"sales_(\d)"}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"delimiter": ";", "comment": ";"}, "delimiter and comment are both ';'"),
        ({"decimal": ",", "thousands": ","}, "decimal and thousands are both ','"),
        ({"quote": "", "escape": "\\"}, "quote is empty"),
        ({"header_lines": 0, "row_names": "row"}, "there is none"),
        ({"encoding": "utf-9"}, "'utf-9' is not an encoding"),
        ({"encoding": "base64"}, "not an encoding of text"),
        ({"formats": {"day": "%d.%m.%Y"}}, "day must be among the declared columns"),
        ({"columns": {"day": "integer"}, "formats": {"day": "%d"}}, "declared as integer, not as a date or time"),
        ({"columns": {"day": "date"}, "formats": {"day": "%d.%Q"}}, "'%Q' is not a directive"),
        ({"columns": {"day": "date"}, "formats": {"day": "day"}}, "no directive of strptime"),
        ({"name_columns": {"day": "("}}, "is not a regular expression"),
        ({"name_columns": {"day": "(a)(b)"}}, "has 2 groups"),
    ],
)
def test_what_contradicts_itself_is_refused_in_the_book(fields: dict[str, Any], said: str):
    with pytest.raises(ValidationError) as refused:
        source(**fields)
    assert said in str(refused.value)
