"""New entries of every chapter validate as they are written, whatever sound book they go into, and leak nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaplatform.errors import DataError
from metaplatform.scaffolding.feature_set_entry import feature_set_entry
from metaplatform.scaffolding.query_entries import STORED, report_entry, table_entry
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.feature_sets import FeatureSetSpec
from metaplatform.specs.entities.features import AsOfFeatures, JoinedFeatures, LookupFeatures, WindowFeatures
from metaplatform.specs.entities.ingestion import TimedTable
from metaplatform.specs.entities.outputs import FileOutput, ViewsOutput
from metaplatform.specs.loading import load_book, read_book
from metaplatform.specs.rules.sql_texts import facts_of
from metaplatform_tests.scaffolding.asking import ask
from metaplatform_tests.scenario import write_project

ROOT = Path(__file__).resolve().parents[2]
BOOKS = {
    "flights": ROOT / "metadata",
    "retail": ROOT / "examples" / "retail" / "metadata",
    "churn": ROOT / "examples" / "churn" / "metadata",
    "starter": ROOT / "metaplatform" / "scaffolding" / "templates" / "starter" / "metadata",
}
OTHER_NAMES = """\
spec_version: 2
sources:
  Sales:
    kind: csv
    path: data/sales.csv
    columns: {Nr: bigint, "sold at": timestamp, Kunde: varchar, "order": double, back: boolean, note "x": varchar}
    derive: {gone: "back", double_order: '"order" * 2'}
    key: [Nr]
    event_timestamp: sold at
    outcomes: {columns: [back], delay: 3 days}
  people:
    kind: csv
    path: data/people.csv
    columns: {kunde: varchar, born: date, "class": varchar, size: double, secret: boolean}
    key: [kunde]
  visits:
    kind: json
    path: data/visits.json
    columns: {kunde: varchar, seen: timestamptz, pages: integer, bought: boolean}
    key: [kunde, seen]
    event_timestamp: seen
    outcomes: {columns: [bought], delay: 3 months}
  opaque: {kind: csv, path: data/opaque.csv}
  places: {kind: csv, path: data/places.csv, columns: {city: varchar}}
tables:
  daily:
    sql: select date_trunc('day', "sold at") as day, count(*) as n from raw.sales group by all
    key: [day]
  spent:
    sql: select kunde, "sold at" as at, back, "order" as spent from raw.Sales
    key: [kunde, at]
    event_timestamp: at
    outcomes: {columns: [back], delay: 3 days}
"""


@pytest.fixture(params=[*BOOKS, "other names", "shop"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of a sound book; its data is not there, but that of the shop."""
    if request.param == "shop":
        book = write_project(tmp_path)
        (book / "book.yaml").write_text("spec_version: 2\n", encoding="utf-8")
        return book
    if request.param == "other names":
        (tmp_path / "metadata").mkdir()
        (tmp_path / "metadata" / "book.yaml").write_text(OTHER_NAMES.replace("raw.sales", "raw.Sales"))
    else:
        shutil.copytree(BOOKS[request.param], tmp_path / "metadata")
    return tmp_path / "metadata"


def timed(manifest: Manifest) -> list[str]:
    return [ref for ref, entity in manifest.entities.items() if isinstance(entity, TimedTable) and "opaque" not in ref]


def stored(manifest: Manifest) -> list[str]:
    files = {f"outputs.{name}" for name, each in manifest.outputs.items() if isinstance(each, FileOutput | ViewsOutput)}
    return [ref for ref in manifest.entities if ref.startswith(STORED) and ref not in files and "opaque" not in ref]


def entries(manifest: Manifest) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield an entry of each kind for everything that the book has it for."""
    for number, ref in enumerate(timed(manifest)):
        yield "feature_sets", feature_set_entry(manifest, f"new_features_{number}", spine=ref)
    for number, ref in enumerate(stored(manifest)):
        yield "tables", table_entry(manifest, f"new_table_{number}", source=ref)
        yield "outputs", report_entry(manifest, f"new_report_{number}", table=ref)


def with_entries(book: Path) -> Manifest:
    """Write all entries that a book can have into files of their own; return what is read then."""
    before = load_book(book)
    for number, (chapter, lines) in enumerate(entries(before)):
        (book / f"new_{number}.yaml").write_text("\n".join([f"{chapter}:", *lines]) + "\n", encoding="utf-8")
    manifest, issues = read_book(book)
    told = [str(issue) for issue in issues if issue.owner.split(".", 1)[1].startswith("new_")]
    assert [each for each in told if "[unused]" not in each] == []
    assert manifest is not None
    assert len(manifest.entities) > len(before.entities)
    return manifest


def test_whatever_is_added_is_sound_without_a_warning_and_reads_no_outcome_too_early(book: Path) -> None:
    """But for the warning that nothing uses it yet."""
    manifest = with_entries(book)
    for name, feature_set in manifest.feature_sets.items():
        if not name.startswith("new_"):
            continue
        for block in feature_set.features:
            outcomes = manifest.timed_table(getattr(block, "table", feature_set.spine)).outcomes
            read = {column for sql in block.columns.values() for column in facts_of(sql).columns}
            read &= set(outcomes.columns if outcomes else ())
            waits = isinstance(block, WindowFeatures) and outcomes is not None and block.delay == outcomes.delay
            assert not read or waits, (name, block)


def features_of(tmp_path: Path, text: str, spine: str) -> FeatureSetSpec:
    book = tmp_path / "metadata"
    book.mkdir()
    (book / "book.yaml").write_text(text, encoding="utf-8")
    lines = feature_set_entry(load_book(book), "made", spine=spine)
    (book / "made.yaml").write_text("\n".join(["feature_sets:", *lines]) + "\n", encoding="utf-8")
    return load_book(book).feature_sets["made"]


def joined(feature_set: FeatureSetSpec) -> dict[str, tuple[type, dict[str, str]]]:
    return {
        block.table: (type(block), dict(block.on))
        for block in feature_set.features
        if isinstance(block, JoinedFeatures)
    }


def test_tables_that_share_a_key_are_joined_by_what_they_are(tmp_path: Path) -> None:
    made = features_of(tmp_path, OTHER_NAMES.replace("raw.sales", "raw.Sales"), "raw.Sales")
    assert joined(made) == {
        "raw.Sales": (WindowFeatures, {"Kunde": "Kunde"}),
        "raw.people": (LookupFeatures, {"Kunde": "kunde"}),
        "raw.visits": (AsOfFeatures, {"Kunde": "kunde"}),
        "tables.spent": (AsOfFeatures, {"Kunde": "kunde"}),
    }
    own, past = made.features[0], made.features[1]
    assert set(own.columns) == {"weekday", "kunde", "order", "note_x", "double_order"}
    assert isinstance(past, WindowFeatures)
    assert str(past.delay) == "3 days"
    assert past.columns["Sales_back_30d".lower()] == "avg(back::integer)"


def test_a_spine_without_time_is_joined_with_facts_alone(tmp_path: Path) -> None:
    made = features_of(tmp_path, OTHER_NAMES.replace("raw.sales", "raw.Sales"), "raw.people")
    assert joined(made) == {}
    assert set(made.features[0].columns) == {"class_feature", "size", "secret"}


def test_of_very_many_tables_a_dozen_are_joined_and_the_rest_counted(tmp_path: Path) -> None:
    sources = "".join(
        f"  s{number}: {{kind: csv, path: s.csv, columns: {{kunde: varchar, size: double}}, key: [kunde]}}\n"
        for number in range(30)
    )
    made = features_of(tmp_path, f"spec_version: 2\nsources:\n{sources}", "raw.s0")
    assert len(joined(made)) == 12
    assert "# 17 more tables share a column with it: raw.s13" in (tmp_path / "metadata" / "made.yaml").read_text()


def test_the_commands_add_to_the_book_or_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = load_book(Path("metadata"))
    prediction = next(iter(before.predictions))
    lines = [
        ("feature-set", "fs", "--spine", "raw.orders"),
        ("table", "tb", "--from", "raw.orders"),
        ("report", "re", "--table", f"predictions.{prediction}"),
    ]
    for line in lines:
        printed = ask(*line, "--print")
        ask(*line)
        written = (tmp_path / "metadata" / f"{line[1]}.yaml").read_text(encoding="utf-8")
        assert printed == written
        assert "#" in written
    added = set(load_book(Path("metadata")).entities) - set(before.entities)
    assert added == {"features.fs", "tables.tb", "outputs.re"}
    with pytest.raises(DataError, match=r"already in the book: tables\.tb"):
        ask("table", "TB", "--from", "raw.orders")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("feature-set", "x", "--spine", "raw.order"), "did you mean 'raw.orders'"),
        (("feature-set", "x", "--spine", "orders"), "did you mean 'raw.orders'"),
        (("feature-set", "x", "--spine", "predictions.order_returns"), "the book has no"),
        (("table", "x", "--from", "monitoring.a"), "the book has no"),
        (("report", "x", "--table", "predictions.nothing_like"), "the book has no"),
    ],
)
def test_what_is_not_in_the_book_is_told_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...], said: str
) -> None:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=said):
        ask(*line)


def test_a_new_file_names_the_schema_of_the_others_and_a_new_book_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "a.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ask("source", "a.csv")
    first = tmp_path / "metadata" / "a.yaml"
    assert first.read_text(encoding="utf-8").startswith("spec_version: 2\nsources:\n")
    first.write_text("# yaml-language-server: $schema=../book.schema.json\n" + first.read_text(encoding="utf-8"))
    ask("source", "a.csv", "--name", "deep", "--into", "metadata/more/deep.yaml")
    text = (tmp_path / "metadata" / "more" / "deep.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=../../book.schema.json\nsources:\n")
