"""What `metaplatform new source` proposes for a table is what a person would, and its rows are read as proposed."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metaplatform.errors import DataError
from metaplatform.naming import staged_ref
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.entities.csv_source import CsvSource
from metaplatform.specs.loading import read_book
from metaplatform.work.staging import read_source
from metaplatform_tests.scaffolding.asking import ask
from metaplatform_tests.scaffolding.varied_tables import TABLES


@pytest.mark.parametrize("name", TABLES)
def test_a_table_gets_the_key_and_the_role_that_a_person_gives_it_and_no_row_is_turned_away(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metadata").mkdir()
    known = TABLES[name]
    rows = known.make(np.random.default_rng(7))
    rows.to_csv(tmp_path / f"{name}.csv", index=False)
    ask("source", f"{name}.csv")
    manifest, issues = read_book(Path("metadata"))
    assert [str(issue) for issue in issues if issue.rule != "unused"] == []
    assert manifest is not None
    source = manifest.sources[name]
    assert isinstance(source, CsvSource)
    text = (tmp_path / "metadata" / f"{name}.yaml").read_text(encoding="utf-8")
    grain = source.partitions.every if source.partitions else None
    found = (source.key, source.event_timestamp, grain, set(source.null_values) - {""})
    assert found == (known.key, known.at, known.every, set(known.nulls)), text
    warehouse = Warehouse(root=str(tmp_path / "storage"))
    with warehouse.session() as session:
        contents = read_source(session, manifest, source, warehouse, arrived=datetime.now(UTC))
    assert (contents.stored, contents.quarantined, contents.rejected) == (len(rows), 0, 0)


def rows_of(folder: Path, name: str) -> list[dict[str, object]]:
    """Add a file as a source; return its rows as the platform reads them, none turned away."""
    ask("source", name, "--book", str(folder / "metadata"))
    manifest, issues = read_book(folder / "metadata")
    assert [str(issue) for issue in issues if issue.rule != "unused"] == []
    assert manifest is not None
    (source,) = manifest.sources.values()
    warehouse = Warehouse(root=str(folder / "storage"))
    with warehouse.session() as session:
        contents = read_source(session, manifest, source, warehouse, arrived=datetime.now(UTC))
        rows = session.stream(session.table(staged_ref(f"raw.{source.name}"))).read_all().to_pylist()
    assert (contents.quarantined, contents.rejected) == (0, 0)
    return sorted(rows, key=lambda row: str(row["id"]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metadata").mkdir()
    return tmp_path


@pytest.mark.parametrize("mark", ["\\N", "NA", "-", "n/a", "NULL", "?", "(null)", "#DIV/0!", ".."])
def test_usual_marks_for_nothing_are_null_among_values_of_any_type(folder: Path, mark: str) -> None:
    forms = ["1{n}", "1.{n}5", "true", "2024-01-0{n}", "1{n},5"]
    lines = [";".join([f"k{n}", *(mark if n == 2 else form.format(n=n) for form in forms)]) for n in range(1, 7)]
    (folder / "a.csv").write_text("\n".join(["id;whole;part;flag;day;comma", *lines]), encoding="utf-8")
    names = ["whole", "part", "flag", "day", "comma_number"]
    rows = [[row[name] for name in names] for row in rows_of(folder, "a.csv")]
    assert rows[1:3] == [[None] * 5, [13, 1.35, True, date(2024, 1, 3), 13.5]]


def test_a_dash_or_a_code_that_is_a_category_stays_one_beside_numbers_that_it_is_missing_from(folder: Path) -> None:
    grades, lands = ["A", "B", "C", "-"], ["NA", "DE", "ZA"]
    lines = [
        f"{n:03},{grades[n % 4]},{lands[n % 3]},{'-' if n % 9 == 0 else n / 8},{'NA' if n % 5 == 0 else n}"
        for n in range(60)
    ]
    (folder / "a.csv").write_text("\n".join(["id,grade,land,price,pieces", *lines]))
    rows = rows_of(folder, "a.csv")
    assert {row["grade"] for row in rows} == {*grades}
    assert {row["land"] for row in rows} == {*lands}
    assert [(row["price_value"], row["pieces_value"]) for row in rows[8:11]] == [(1.0, 8), (None, 9), (1.25, None)]


def test_a_mark_of_the_whole_file_is_null_in_its_words_too(folder: Path) -> None:
    towns = ["Ulm", "Bonn", "Jena", "Hamburg", "Kiel"]
    lines = [f"{n:03},{'-' if n % 19 == 0 else towns[n % 5]},{'-' if n % 9 == 0 else n}" for n in range(60)]
    (folder / "a.csv").write_text("\n".join(["id,town,pieces", *lines]))
    rows = rows_of(folder, "a.csv")
    assert {row["town"] for row in rows} == {*towns, None}
    assert rows[9]["pieces"] is None


@pytest.mark.parametrize("ending", ["json", "parquet"])
def test_marks_in_files_that_have_types_are_null_in_a_derived_column(folder: Path, ending: str) -> None:
    frame = pd.DataFrame({"id": [f"k{n}" for n in range(9)], "v": ["NA" if n == 2 else f"{n}.5" for n in range(9)]})
    if ending == "json":
        frame.to_json(folder / "a.json", orient="records")
    else:
        frame.to_parquet(folder / "a.parquet")
    assert [row["v_value"] for row in rows_of(folder, f"a.{ending}")[1:4]] == [1.5, None, 3.5]


def test_commas_between_thousands_are_told_from_decimal_commas(folder: Path) -> None:
    lines = [f"k{n};{n * 777:,};{n * 777.5:,.2f};{n},{n * 7:03}" for n in range(1, 10)]
    (folder / "a.csv").write_text("\n".join(["id;whole;part;share", *lines]))
    rows = rows_of(folder, "a.csv")
    found = [(row["whole_number"], row["part_number"], row["share_number"]) for row in rows]
    assert found[:3] == [(777, 777.5, 1.007), (1554, 1555, 2.014), (2331, 2332.5, 3.021)]


def test_a_line_above_the_header_is_told_as_such(folder: Path) -> None:
    (folder / "a.csv").write_text("Sales of May;;\nid;at;x\n1;2024-01-01;3\n")
    with pytest.raises(DataError, match="no header line: '' is not a name") as refused:
        ask("source", "a.csv")
    assert "names its 3 columns, and nothing above it" in refused.value.fix
