"""A new source's entry reads the file as it is, or the file is refused with a clear error."""

import gzip
import json
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from metaplatform.cli import commands
from metaplatform.errors import BookError, DataError
from metaplatform.naming import PARTITION, staged_ref
from metaplatform.resources.sources import file_sources
from metaplatform.resources.sources.sampling import sample_source
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.entities.csv_source import CsvSource
from metaplatform.specs.entities.ingestion import FileSource
from metaplatform.specs.loading import load_book
from metaplatform.work.staging import read_source
from metaplatform_tests.scenario import write_project

ORDERS = '"Bestell Nr";Größe;Betrag;Datum;leer;ok;PLZ\n' + "\n".join(
    f'{number};"{"klein; fein" if number % 2 else "groß"}";{"NA" if number == 3 else f"1.{number:03},50"};'
    f"{number:02}.01.2025;;{str(number % 3 == 0).lower()};{number:05}"
    for number in range(1, 29)
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(*arguments: str) -> Result:
    """Run the command; the project's own errors are raised."""
    result = CliRunner().invoke(commands.app, ["new", "source", *arguments])
    if isinstance(result.exception, DataError | BookError):
        raise result.exception
    return result


def write(path: str, text: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")
    return path


def added(path: str, *options: str) -> tuple[FileSource, list[dict[str, Any]]]:
    """Add a source; return its spec and the rows that the platform reads, once none is turned away."""
    known = set(load_book(Path("metadata")).sources)
    answer = ask(path, *options)
    assert answer.exit_code == 0, answer.output
    manifest = load_book(Path("metadata"))
    (name,) = set(manifest.sources) - known
    warehouse = Warehouse(root=str(Path("storage").absolute()))
    with warehouse.session() as session:
        contents = read_source(session, manifest, manifest.sources[name], warehouse, arrived=datetime.now(UTC))
        staged = session.table(staged_ref(f"raw.{name}")).drop(PARTITION)
        rows = session.stream(staged).read_all().to_pylist()
    assert contents.quarantined == 0
    return manifest.sources[name], rows


def test_quoted_headers_umlauts_semicolons_decimal_commas_and_written_dates_are_read(project: Path) -> None:
    source, rows = added(write("data/Bestellungen.csv", ORDERS))
    assert isinstance(source, CsvSource)
    assert (source.name, source.delimiter, source.null_values) == ("bestellungen", ";", ("", "NA"))
    types = {"Bestell Nr": "bigint", "Größe": "varchar", "ok": "boolean", "PLZ": "varchar", "leer": "varchar"}
    assert types.items() <= source.columns.items()
    assert source.key == ("Bestell Nr",)
    first = next(row for row in rows if row["Bestell Nr"] == 1)
    assert (first["Betrag"], first["PLZ"], first["Größe"], first["leer"]) == (
        1001.5,
        "00001",
        "klein; fein",
        None,
    )
    assert (source.decimal, source.thousands, source.formats) == (",", ".", {"Datum": "%d.%m.%Y"})
    assert first["Datum"] == datetime(2025, 1, 1, tzinfo=UTC)
    assert [row["Betrag"] for row in rows if row["Bestell Nr"] == 3] == [None]
    assert source.event_timestamp == "Datum"
    assert source.partitions is not None
    assert (source.partitions.every, source.partitions.start) == ("day", "2025-01-01")


def test_what_was_inferred_and_how_sure_is_said_beside_each_line(project: Path) -> None:
    text = ask(write("data/orders_de.csv", ORDERS), "--print").stdout
    assert "# Inferred from all 28 rows of 1 file" in text
    assert "Bestell Nr: bigint  # all 28 values are whole numbers" in text
    assert "Betrag: double  # numbers with a decimal comma; 1 of 28 missing" in text
    assert "no value to infer from: check; 28 of 28 missing" in text
    assert "unique and never null in the sample" in text
    assert list((project / "metadata").iterdir()) == [project / "metadata" / "shop.yaml"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024-03-05", "date"),
        ("2024-03-05 06:07:08", "timestamp"),
        ("2024-03-05T06:07:08Z", "timestamptz"),
        ("2024-03-05 06:07:08+02:00", "timestamptz"),
        ("25.03.2024", "%d.%m.%Y"),
        ("25/03/2024 14:30", "%d/%m/%Y %H:%M"),
        ("03/25/2024", "%m/%d/%Y"),
        ("2024/03/25", "%Y/%m/%d"),
    ],
)
def test_dates_in_several_formats_become_moments(project: Path, written: str, expected: str) -> None:
    source, rows = added(write("data/dates.csv", f"n,at\n1,{written}\n2,{written}\n"))
    assert source.event_timestamp is not None
    assert isinstance(source, CsvSource)
    assert expected in {source.columns["at"], source.formats.get("at")}
    moments = {row[source.event_timestamp] for row in rows}
    assert {(moment.year, moment.month) for moment in moments} == {(2024, 3)}


def test_day_and_month_that_may_be_swapped_are_to_be_checked(project: Path) -> None:
    text = ask(write("data/dates.csv", "n,at\n1,03/04/2024\n2,05/06/2024\n"), "--print").stdout
    assert "%d/%m/%Y (or %m/%d/%Y: check)" in text


def test_one_row_is_an_entry_that_is_to_be_checked(project: Path) -> None:
    source, rows = added(write("data/one.csv", "a,b\n1,x\n"))
    assert (source.columns, rows) == ({"a": "bigint", "b": "varchar"}, [{"a": 1, "b": "x"}])
    assert "few rows: check" in (project / "metadata" / "one.yaml").read_text(encoding="utf-8")


def test_columns_without_a_value_are_text(project: Path) -> None:
    source, rows = added(write("data/nulls.csv", "a,b\n1,\n2,\n"))
    assert source.columns["b"] == "varchar"
    assert [row["b"] for row in rows] == [None, None]


def test_a_key_of_several_columns_is_found(project: Path) -> None:
    lines = [f"{shop},{day},{7 * shop}" for shop in range(5) for day in range(5)]
    source, _ = added(write("data/days.csv", "\n".join(["shop,day,size", *lines])))
    assert set(source.key) == {"shop", "day"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "has no header line"),
        ("header.csv", b"a,b\n", "has no rows"),
        ("numbers.csv", b"1,2\n3,4\n", "'1' is not a name of a column"),
        ("dates.csv", b"2024-01-01,x\n2024-01-02,y\n", "has no header line"),
        ("twice.csv", b"a,a\n1,2\n", "columns twice: 'a'"),
        ("latin.csv", "größe\n1\n".encode("latin-1"), "not UTF-8"),
        ("hidden.csv", b"_a,b\n1,2\n", "no names of columns: '_a'"),
        ("nothing.json", b"[]", "holds no objects"),
        ("numbers.json", b"[1, 2]", "holds no objects"),
        ("broken.parquet", b"PAR1", "broken.parquet"),
        ("sheet.xlsx", b"PK", "does not end like"),
        ("sheet.csv", b"PK\x03\x04\xff\xfe\xfa", "is a workbook or an archive"),
        ("old_sheet.csv", b"\xd0\xcf\x11\xe0\xff\xfe", "is a workbook or an archive"),
        ("utf16.csv", "a,b\n1,2\n".encode("utf-16"), "is not UTF-8: it is UTF-16"),
        ("headline.csv", b"# made today\na,b\n1,2\n", "no rows: 2 lines are not rows, the first of them line 2: Exp"),
        ("endless.csv", b"a,b\n1," + b"x" * 3_000_000, "Maximum line size of 2000000 bytes"),
    ],
)
def test_files_that_are_no_table_are_refused_and_nothing_is_written(
    project: Path, name: str, content: bytes, said: str
) -> None:
    (project / "data" / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as refused:
        ask(f"data/{name}")
    assert refused.value.fix
    assert list((project / "metadata").iterdir()) == [project / "metadata" / "shop.yaml"]


def test_names_of_columns_may_hold_quotes(project: Path) -> None:
    source, rows = added(write("data/quoted.csv", '"say ""hi""",n\nyes,1\nno,2\n'))
    assert list(source.columns) == ['say "hi"', "n"]
    assert [row['say "hi"'] for row in rows] == ["yes", "no"]
    checked = CliRunner().invoke(commands.app, ["validate", "--with-data", "--json"])
    assert {issue["rule"] for issue in json.loads(checked.stdout) if issue["owner"] == "raw.quoted"} <= {"unused"}


def test_a_word_that_python_takes_for_a_number_is_a_name(project: Path) -> None:
    source, _ = added(write("data/words.csv", "inf,nan,2024\n1,2,3\n"))
    assert list(source.columns) == ["inf", "nan", "2024"]


def test_lines_that_are_no_rows_are_counted_beside_the_entry(project: Path) -> None:
    ask(write("data/ragged.csv", "a,b\n1,2\n1,2,3\n4\n5,6\n"))
    text = (project / "metadata" / "ragged.yaml").read_text(encoding="utf-8")
    assert "# Left out: 2 lines are not rows, the first of them line 3: Expected Number of Columns: 2" in text


def test_a_file_that_is_not_there_is_told(project: Path) -> None:
    with pytest.raises(DataError, match="no file matches"):
        ask("data/none.csv")
    with pytest.raises(DataError, match="is a folder"):
        ask("data")


def test_compressed_files_are_read_through(project: Path) -> None:
    (project / "data" / "zipped.csv.gz").write_bytes(gzip.compress(b"a,b\n1,x\n2,y\n"))
    assert [row["a"] for row in added("data/zipped.csv.gz")[1]] == [1, 2]
    with zipfile.ZipFile(project / "data" / "packed.zip", "w") as archive:
        archive.writestr("inner.csv", "c\n5\n6\n")
    with pytest.raises(DataError, match="does not end like"):
        ask("data/packed.zip")
    (project / "data" / "packed.zip").rename(project / "data" / "packed.csv.zip")
    assert [row["c"] for row in added("data/packed.csv.zip")[1]] == [5, 6]


def test_parquet_keeps_its_types_nested_ones_too(project: Path) -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    table = pa.table(
        {
            "id": [1, 2],
            "at": pa.array([moment, moment + timedelta(days=1)], pa.timestamp("us", "UTC")),
            "tags": [["a", "b"], []],
            "place": [{"x": 1, "y": "p"}, {"x": 2, "y": "q"}],
            "price": pa.array([1.5, None]),
        }
    )
    pq.write_table(table, project / "data" / "nested.parquet")
    source, rows = added("data/nested.parquet")
    assert (source.columns["id"], source.columns["at"]) == ("bigint", "timestamptz")
    assert rows[0]["tags"] == ["a", "b"]
    assert rows[0]["place"] == {"x": 1, "y": "p"}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_parquet_are_the_moment_of_a_row_whatever_their_unit(project: Path, unit: str) -> None:
    at = pa.array([datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)]).cast(pa.timestamp(unit))
    pq.write_table(pa.table({"id": [1, 2], "at": at}), project / "data" / "moved.parquet")
    source, rows = added("data/moved.parquet")
    assert source.event_timestamp == "at"
    assert sorted(row["at"] for row in rows) == [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2)]


def test_columns_that_a_file_lacks_are_declared_and_the_contract_lets_them_come_and_go(project: Path) -> None:
    pq.write_table(pa.table({"id": [1], "old": [1]}), project / "data" / "parts_1.parquet")
    pq.write_table(pa.table({"id": [2], "new": [2.5]}), project / "data" / "parts_2.parquet")
    source, rows = added("data/parts_*.parquet", "--name", "parts")
    assert (source.contract, list(source.columns)) == ("evolve", ["id", "old", "new"])
    assert {(row["id"], row["old"], row["new"]) for row in rows} == {(1, 1, None), (2, None, 2.5)}


def test_json_that_is_null_all_through_one_file_has_the_type_of_the_other(project: Path) -> None:
    write("data/winds/1.json", '[{"id": 1, "gusts": null, "never": null}]')
    write("data/winds/2.json", '[{"id": 2, "gusts": 7.5, "never": null}]')
    source, rows = added("data/winds/*.json")
    assert source.columns == {"id": "bigint", "gusts": "double", "never": "varchar"}
    assert "nested" not in (project / "metadata" / "winds.yaml").read_text(encoding="utf-8")
    assert {(row["id"], row["gusts"]) for row in rows} == {(1, None), (2, 7.5)}


def test_an_empty_file_among_others_is_passed_over(project: Path) -> None:
    write("data/days/1.csv", "id\n1\n")
    write("data/days/2.csv", "")
    assert "all 1 values are whole numbers" in ask("data/days/*.csv", "--print").stdout


def test_moments_of_json_keep_their_offset_from_utc(project: Path) -> None:
    lines = [json.dumps({"id": n, "at": f"2024-10-27T02:30:00+0{n}:00"}) for n in (1, 2)]
    _, rows = added(write("data/hours.ndjson", "\n".join(lines)))
    assert {row["id"]: row["at"].astimezone(UTC).hour for row in rows} == {1: 1, 2: 0}


def test_nested_json_is_kept_as_text(project: Path) -> None:
    lines = [json.dumps({"id": n, "at": f"2024-01-0{n}T00:00:00", "place": {"x": n}}) for n in (1, 2)]
    source, rows = added(write("data/events.ndjson", "\n".join(lines)))
    assert source.columns == {"id": "bigint", "at": "timestamptz", "place": "varchar"}
    assert json.loads(rows[0]["place"]) == {"x": 1}


def test_many_files_make_one_source_with_their_own_grain(project: Path) -> None:
    for month in ("2024-01", "2024-02", "2024-03"):
        write(f"data/visits/{month}.csv", f"id,at\n{month[-1]},{month}-01 10:00:00\n{month[-1]}0,{month}-20 10:00:00\n")
    source, rows = added("data/visits/*.csv")
    assert (source.name, source.path, len(rows)) == ("visits", "data/visits/*.csv", 6)
    assert source.partitions is not None
    assert (source.partitions.every, source.partitions.start) == ("month", "2024-01")


def test_a_name_that_is_taken_is_refused_whatever_its_case(project: Path) -> None:
    write("data/more.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"already in the book: raw\.orders"):
        ask("data/more.csv", "--name", "Orders")


@pytest.mark.parametrize("name", ["1st", "a b", "class", "../x", "a__b", ""])
def test_a_name_that_is_none_is_refused(project: Path, name: str) -> None:
    write("data/more.csv", "a\n1\n")
    if name:
        with pytest.raises(DataError, match="--name"):
            ask("data/more.csv", "--name", name)
    assert not list(project.glob("metadata/more*"))


def test_a_broken_book_is_mended_first(project: Path) -> None:
    write("metadata/broken.yaml", "models:\n  x: {kind: nothing}\n")
    write("data/more.csv", "a\n1\n")
    with pytest.raises(BookError):
        ask("data/more.csv")


def test_an_entry_goes_behind_the_others_of_its_chapter_and_all_else_stays(project: Path) -> None:
    before = (
        "# mine\nsources:\n    one:   # odd indent\n        kind: csv\n        path: 'data/x.csv'\n\n"
        "    # said of one\n\n# below\ntables:\n    two: {sql: select 1 as a}\n# end"
    )
    write("metadata/more.yaml", before)
    write("data/more.csv", "a\n1\n")
    assert ask("data/more.csv", "--into", "metadata/more.yaml").exit_code == 0
    after = (project / "metadata" / "more.yaml").read_text(encoding="utf-8")
    kept = iter(after.splitlines())
    assert all(line in kept for line in before.splitlines())
    assert {"one", "more"} <= set(load_book(project / "metadata").sources)


def test_a_chapter_in_brackets_is_left_alone(project: Path) -> None:
    write("metadata/more.yaml", "sources: {one: {kind: csv, path: data/x.csv}}\n")
    write("data/more.csv", "a\n1\n")
    with pytest.raises(DataError, match="--into"):
        ask("data/more.csv", "--into", "metadata/more.yaml")
    with pytest.raises(DataError, match="not a YAML file below"):
        ask("data/more.csv", "--into", "elsewhere.yaml")


CELLS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False).map(str),
    st.sampled_from(
        ["", "NA", "true", "1,5", "01.02.2024", "2024-01-02", "2024-01-02 03:04:05", "00123", "x", "ü;'\""]
    ),
)


@settings(max_examples=25)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6))
def test_whatever_the_cells_no_row_is_turned_away(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    book = write_project(folder)
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    (folder / "data" / "any.csv").write_text("\n".join(["one,two", *lines]) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        added("data/any.csv", "--book", str(book))


WIDE_FILE = """
import resource
import sys
from pathlib import Path

resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from metaplatform.scaffolding.source_entry import source_entry

done = []
folder = Path(sys.argv[1])
entry = source_entry("wide.csv", folder=folder, project=folder, name=None, step=lambda *step: done.append(step))
print("\\n".join([str(done), *entry.lines]))
"""


def test_a_file_of_thousands_of_columns_is_looked_at_within_a_minute_with_progress(tmp_path: Path) -> None:
    """Binding expressions for each column took 50 ms a column."""
    values = {"id": "{n}", "count": "{n}", "share": "0.{n}", "word": "w{n}", "day": "2024-01-{n}", "gone": "NULL"}
    kinds = ("bigint", "bigint", "double", "varchar", "date", "varchar")
    names = [name if at < len(values) else f"{name}_{at}" for at, name in enumerate([*values] * 500)]
    rows = [",".join(value.format(n=number) for value in values.values()) for number in range(11, 31)]
    (tmp_path / "wide.csv").write_text("\n".join([",".join(names), *(",".join([row] * 500) for row in rows)]))
    done = subprocess.run([sys.executable, "-c", WIDE_FILE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told, *lines = done.stdout.splitlines()
    assert told == "[(1000, 3000), (2000, 3000), (3000, 3000)]"
    read = dict(line.split("  #")[0].strip().split(": ") for line in lines if line.startswith("      "))
    assert read == {name: kinds[at % len(kinds)] for at, name in enumerate(names)}


def test_of_a_wide_file_fewer_rows_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_sources, "_CELLS", 30_000)
    header = ",".join(f"c{at}" for at in range(20))
    (tmp_path / "wide.csv").write_text("\n".join([header, *[",".join("1" * 20)] * 3_000]))
    spec = CsvSource(name="wide", kind="csv", path="wide.csv")
    sample = sample_source(spec, str(tmp_path))
    assert (sample.rows, sample.whole) == (1_500, False)
