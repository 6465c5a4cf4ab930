"""Files of the book: what is read, from where, and how a fault in a file is told."""

import os
from pathlib import Path

import pytest

from metaplatform.errors import BookError, Issue, Location
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.csv_source import CsvSource
from metaplatform.specs.loading import load_book, read_book
from metaplatform.specs.rules import check_book

PLANES = """\
sources:
  planes:
    kind: csv
    path: planes.csv
    columns: {tailnum: varchar, year: integer}
    key: [tailnum]
outputs:
  views: {kind: views, tables: [raw.planes]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project" / "metadata"
    made.mkdir(parents=True)
    return made


def errors_of(folder: Path) -> list[Issue]:
    return [issue for issue in read_book(folder)[1] if issue.severity == "error"]


def only_error(folder: Path) -> Issue:
    (issue,) = errors_of(folder)
    return issue


def test_chapters_may_be_spread_over_files_and_folders(folder: Path):
    (folder / "a.yaml").write_text(PLANES)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "b.yml").write_text("sources:\n  cars: {kind: json, path: cars.json}\n")
    (folder / "empty.yaml").write_text("# nothing yet\n")
    (folder / "notes.txt").write_text("no: book")
    (folder / ".hidden.yaml").write_text("no book")
    manifest = load_book(folder)
    assert list(manifest.sources) == ["planes", "cars"]
    assert manifest.locations["raw.cars"] == Location("metadata/deep/er/b.yml", 2, 3)


def test_the_project_root_is_the_parent_of_the_books_folder(folder: Path):
    (folder / "a.yaml").write_text(PLANES)
    assert load_book(folder).root == str(folder.parent.resolve())


def test_all_issues_of_all_files_are_raised_at_once_in_file_order(folder: Path):
    (folder / "b.yaml").write_text("sources:\n  one: {kind: cvs, path: x}\n  two: {kind: csv}\n")
    (folder / "a.yaml").write_text("source: {}\nmodels: [\n")
    (folder / "c.yaml").write_text("tables:\n  three: {sql: select from}\n")
    with pytest.raises(BookError) as caught:
        load_book(folder)
    places = [(str(issue.location), issue.rule) for issue in caught.value.issues]
    assert places == [
        ("metadata/a.yaml:3:1", "yaml-syntax"),
        ("metadata/b.yaml:2:15", "unknown-kind"),
        ("metadata/b.yaml:3:3", "missing-key"),
        ("metadata/c.yaml:2:23", "sql-syntax"),
    ]
    assert "Did you mean 'csv'?" in str(caught.value)


def test_a_missing_folder_and_a_folder_without_files_are_told_apart(tmp_path: Path):
    assert "no folder" in only_error(tmp_path / "nowhere").message
    (tmp_path / "metadata").mkdir()
    assert "no YAML file" in only_error(tmp_path / "metadata").message


@pytest.mark.parametrize(
    ("data", "rule", "line"),
    [
        (b"sources:\n  a: {kind: csv, path: \xff}\n", "not-utf8", 2),
        (b"sources:\n\ta: 1\n", "yaml-syntax", 2),
        (b"sources: {}\n---\ntables: {}\n", "yaml-syntax", 2),
        (b"- sources\n", "wrong-type", 1),
        (b"sources:\n  ? [a]\n  : 1\n", "yaml-syntax", 2),
        (b"sources: *nowhere\n", "yaml-syntax", 1),
        (b"sources: &a {b: *a}\n", "yaml-syntax", 1),
        (b"a: " + b"[" * 100_000, "yaml-syntax", 1),
        (b"sources:\n  a: \x07\n", "yaml-syntax", 2),
        (b"#" * 5_000_001, "file-too-large", 1),
    ],
)
def test_a_file_that_is_no_book_is_one_issue_at_its_line(folder: Path, data: bytes, rule: str, line: int):
    (folder / "book.yaml").write_bytes(data)
    issue = only_error(folder)
    assert issue.rule == rule
    assert issue.location is not None
    assert (issue.location.file, issue.location.line) == ("metadata/book.yaml", line)


def test_aliases_that_swell_are_refused_before_they_do(folder: Path):
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    (folder / "bomb.yaml").write_text(f"a0: &a0 [x]\n{levels}")
    assert "aliases counted in full" in only_error(folder).message


def test_anchors_and_aliases_are_read(folder: Path):
    (folder / "a.yaml").write_text("sources:\n  a: &a {kind: csv, path: x}\n  b: *a\n")
    assert list(load_book(folder).sources) == ["a", "b"]


def test_a_byte_order_mark_is_no_part_of_the_book(folder: Path):
    (folder / "a.yaml").write_text("\ufeff" + PLANES, encoding="utf-8")
    assert list(load_book(folder).sources) == ["planes"]


def test_a_link_is_followed_within_the_book_only(folder: Path):
    (folder / "..data").mkdir()
    (folder / "..data" / "real.yaml").write_text(PLANES)
    (folder / "linked.yaml").symlink_to("..data/real.yaml")
    assert load_book(folder).locations["raw.planes"].file == "metadata/linked.yaml"
    outside = folder.parent / "outside.yaml"
    outside.write_text("sources: {}\n")
    (folder / "leak.yaml").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    assert [issue.rule for issue in errors_of(folder)] == ["link-not-followed"] * 2


def test_what_is_no_regular_file_is_not_waited_for(folder: Path):
    os.mkfifo(folder / "pipe.yaml")
    assert only_error(folder).rule == "unreadable-file"


def test_a_dangling_link_is_an_issue(folder: Path):
    (folder / "gone.yaml").symlink_to("nowhere.yaml")
    assert only_error(folder).rule == "unreadable-file"


def test_words_are_read_by_yaml_1_2(folder: Path):
    text = 'sources:\n  on: {kind: csv, path: "yes", null_values: [no, 2013-01, 12:30, 1_000, "7"], key: [y]}\n'
    (folder / "a.yaml").write_text(text)
    source = load_book(folder).sources["on"]
    assert isinstance(source, CsvSource)
    assert (source.path, source.null_values) == ("yes", ("no", "2013-01", "12:30", "1_000", "7"))


@pytest.mark.parametrize(
    ("sql", "line", "column"),
    [
        ("select yaer from raw.planes", 3, 17),
        ("'select yaer from raw.planes'", 3, 18),
        ('"select yaer from raw.planes"', 3, 18),
        ("|\n      select\n        yaer\n      from raw.planes", 5, 9),
        ("|2\n      select\n        yaer\n      from raw.planes", 5, 9),
        (">-\n      select\n\n      tailnum, yaer\n      from raw.planes", 6, 16),
        ("select tailnum,\n      yaer\n      from raw.planes", 4, 7),
        ("\n      select yaer from raw.planes", 4, 14),
        ('"select \\"tailnum\\",\n      yaer from raw.planes"', 4, 7),
        ("'select ''a'' as a, yaer from raw.planes'", 3, 30),
    ],
)
def test_a_place_in_sql_is_a_place_in_the_file(folder: Path, sql: str, line: int, column: int):
    (folder / "a.yaml").write_text(PLANES)
    (folder / "b.yaml").write_text(f"tables:\n  t:\n    sql: {sql}\n")
    issue = only_error(folder)
    assert (issue.rule, issue.culprit, issue.nearest) == ("unknown-column", "yaer", "year")
    assert issue.location == Location("metadata/b.yaml", line, column)


def test_both_places_of_a_name_given_twice_are_told(folder: Path):
    (folder / "a.yaml").write_text(PLANES)
    (folder / "b.yaml").write_text("sources:\n  Planes: {kind: csv, path: x}\n")
    issue = only_error(folder)
    assert issue.location == Location("metadata/b.yaml", 2, 3)
    assert "metadata/a.yaml:2:3" in issue.message


def test_unused_entities_are_warnings_and_the_book_loads(folder: Path):
    (folder / "a.yaml").write_text("spec_version: 2\nsources:\n  a: {kind: csv, path: x}\n")
    manifest, issues = read_book(folder)
    assert manifest is not None
    assert [(issue.rule, issue.severity, issue.owner) for issue in issues] == [("unused", "warning", "raw.a")]


def test_a_manifest_that_is_no_text_can_be_checked_too():
    source = CsvSource(name="a", kind="csv", path="x", columns={"b": "bigint"}, key=("c",))
    issues = check_book(Manifest(root=".", sources={"a": source}))
    assert [(issue.rule, issue.culprit, issue.location) for issue in issues if issue.severity == "error"] == [
        ("unknown-column", "c", None)
    ]


def test_an_outcome_handed_on_undeclared_is_a_warning(folder: Path):
    (folder / "a.yaml").write_text(
        "spec_version: 2\n"
        "sources:\n"
        "  bills:\n"
        "    kind: csv\n"
        "    path: x\n"
        "    columns: {bill: bigint, at: timestamptz, paid: boolean}\n"
        "    event_timestamp: at\n"
        "    outcomes: {columns: [paid], delay: 30 days}\n"
        "tables:\n"
        "  copied: {sql: 'select * from raw.bills', event_timestamp: at}\n"
        "outputs:\n"
        "  file: {kind: csv, table: tables.copied}\n"
    )
    manifest, issues = read_book(folder)
    assert manifest is not None
    assert [(issue.rule, issue.culprit, issue.severity) for issue in issues] == [
        ("undeclared-outcome", "paid", "warning")
    ]
