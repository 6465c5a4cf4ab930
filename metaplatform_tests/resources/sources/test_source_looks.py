"""`validate --with-data`: what source files hold is held against the book, at the source's place in it."""

import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaplatform.compute.ingestion import misfits
from metaplatform.errors import Issue
from metaplatform.resources.sources.source_looks import look_at_sources
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_looks import Looks
from metaplatform.specs.loading import read_book

ORDERS = """\
sources:
  orders:
    kind: csv
    path: data/*.csv
    columns:
      order_id: bigint
      amount: double
      ordered_at: timestamp
    key: [order_id]
    event_timestamp: ordered_at
outputs:
  file: {kind: csv, table: raw.orders}
"""
GOOD = "order_id,amount,ordered_at\n1,2.5,2024-01-01 10:00\n2,,2024-01-02\n"


def look(manifest: Manifest) -> Looks:
    return look_at_sources(manifest, judge=misfits)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "metadata").mkdir()
    return tmp_path


def issues_of(project: Path, book: str, **files: str) -> list[Issue]:
    (project / "metadata" / "book.yaml").write_text(book, encoding="utf-8")
    for name, text in files.items():
        (project / "data" / f"{name}.csv").write_text(text, encoding="utf-8")
    issues = read_book(project / "metadata", look=look)[1]
    return [issue for issue in issues if issue.rule not in {"unused", "no-version"}]


def found(issues: list[Issue]) -> list[tuple[int, str, str, str]]:
    return [
        (issue.location.line if issue.location else 0, issue.rule, issue.culprit, issue.severity) for issue in issues
    ]


def test_files_that_are_as_declared_are_sound(project: Path):
    assert issues_of(project, ORDERS, a=GOOD, b=GOOD.replace("\n1,", "\n11,")) != []  # key 2 is in both
    assert issues_of(project, ORDERS, a=GOOD, b="ordered_at,order_id,amount\n2024-01-03,3,1\n") == []


def test_without_it_no_data_is_touched(project: Path):
    (project / "metadata" / "book.yaml").write_text("spec_version: 2\n" + ORDERS)
    assert read_book(project / "metadata")[1] == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("order_id,amuont,ordered_at\n1,2,2024-01-01\n",
         [(5, "undeclared-column", "amuont", "error"), (7, "missing-column", "amount", "error")]),
        (GOOD.replace("amount", "amount,note", 1).replace("2.5", "2.5,x").replace("2,,", "2,,,"),
         [(5, "undeclared-column", "note", "error")]),
        ("order_id,amount,amount,ordered_at\n1,2,2,2024-01-01\n", [(4, "repeated-column", "amount", "error")]),
        ("order_id,amount,ordered_at\n1,cheap,2024-01-01\n", [(7, "misfit", "amount", "warning")]),
        ("order_id,amount,ordered_at\n1.5,1,2024-01-01\n", [(6, "misfit", "order_id", "warning")]),
        ("order_id,amount,ordered_at\n1,1,\n", [(10, "misfit", "ordered_at", "warning")]),
        ("order_id,amount,ordered_at\n,1,2024-01-01\n", [(9, "misfit", "order_id", "warning")]),
        (GOOD + "1,3,2024-01-03\n", [(9, "misfit", "order_id", "warning")]),
        ("", [(4, "unreadable-source", "data/*.csv", "error")]),
    ],
)  # fmt: skip
def test_each_way_in_which_files_differ_from_the_book_is_told_at_its_line(
    project: Path, text: str, expected: list[tuple[int, str, str, str]]
):
    assert found(issues_of(project, ORDERS, a=text)) == expected


def test_the_nearest_name_in_the_files_is_named(project: Path):
    issues = issues_of(project, ORDERS, a="order_id,amuont,ordered_at\n1,2,2024-01-01\n")
    assert [issue.nearest for issue in issues if issue.rule == "missing-column"] == ["amuont"]
    assert "data/a.csv" in issues[0].message


def test_a_new_column_is_welcome_where_the_contract_says_so(project: Path):
    book = ORDERS.replace("    key:", "    contract: evolve\n    key:")
    assert issues_of(project, book, a="order_id,amount,ordered_at,note\n1,2,2024-01-01,x\n") == []


def test_a_column_that_only_some_files_have_is_told_with_the_contract_that_lets_it_be(project: Path):
    files = {"a": "order_id,ordered_at\n1,2024-01-01\n", "b": "order_id,amount,ordered_at\n2,cheap,2024-01-01\n"}
    (issue,) = [issue for issue in issues_of(project, ORDERS, **files) if issue.severity == "error"]
    assert (issue.rule, issue.culprit) == ("missing-column", "amount")
    assert "contract: evolve" in issue.fix
    book = ORDERS.replace("    key:", "    contract: evolve\n    key:")
    assert found(issues_of(project, book, **files)) == [(7, "misfit", "amount", "warning")]
    gone = {"a": "order_id,ordered_at\n1,2024-01-01\n", "b": "order_id,ordered_at\n2,2024-01-01\n"}
    assert found(issues_of(project, book, **gone)) == [(7, "missing-column", "amount", "error")]


def test_rows_are_judged_though_the_files_looked_at_lack_a_column(project: Path):
    files = {f"f{n:02}": f"order_id,ordered_at\n{n},yesterday\n" for n in range(30)}
    files["f01"] = "order_id,amount,ordered_at\n1,5,2024-01-01\n"
    book = ORDERS.replace("    key:", "    contract: evolve\n    key:")
    assert (8, "misfit", "ordered_at", "warning") in found(issues_of(project, book, **files))


def test_an_empty_file_among_others_is_no_fault(project: Path):
    assert issues_of(project, ORDERS, a=GOOD, b="") == []


def test_a_broken_source_does_not_hide_the_others_nor_the_faults_of_the_book(project: Path):
    book = ORDERS + (
        "  nothing: {kind: csv, table: raw.oders}\nsources:\n"
        "  gone: {kind: csv, path: nowhere/*.csv}\n"
        "  torn: {kind: parquet, path: data/torn.parquet}\n"
        "  packed: {kind: csv, path: data/torn.zip}\n"
        "  odd: {kind: csv, package: no_such_package, path: x.csv}\n"
        "  text: {kind: json, path: data/torn.parquet}\n"
        "  latin: {kind: csv, path: data/latin.txt}\n"
    )
    for name in ("torn.parquet", "torn.zip"):
        (project / "data" / name).write_text("no such thing")
    (project / "data" / "latin.txt").write_bytes("größe\n1\n".encode("latin-1"))
    issues = issues_of(project, book, a=GOOD.replace("2.5", "x"))
    owners = [issue.owner for issue in issues if issue.rule == "unreadable-source"]
    assert owners == ["raw.gone", "raw.torn", "raw.packed", "raw.odd", "raw.text", "raw.latin"]
    assert {issue.rule for issue in issues} == {"unreadable-source", "unknown-reference", "misfit", "other-kind"}
    assert all(issue.location and issue.fix and issue.message for issue in issues)


FREE = """\
sources:
  visits: {kind: KIND, path: PATH, key: [visit], event_timestamp: at}
tables:
  pages: {sql: 'select page, sum(seconds) as s, max(secs) as m, avg(page) as a from raw.visits group by page'}
outputs:
  file: {kind: csv, table: tables.pages}
"""
ROWS = [{"visit": number, "at": f"2024-01-0{number} 10:00:00", "page": "a", "seconds": 1.5} for number in (1, 2)]


def write_visits(path: Path, kind: str) -> None:
    if kind == "csv":
        lines = [",".join(ROWS[0]), *(",".join(map(str, row.values())) for row in ROWS)]
        path.write_text("\n".join(lines) + "\n")
    elif kind == "json":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        table = pa.Table.from_pylist(ROWS)
        pq.write_table(table.set_column(1, "at", table["at"].cast(pa.timestamp("us"))), path)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_columns_and_kinds_of_files_are_known_where_the_book_declares_none(project: Path, kind: str):
    path = project / "data" / f"visits.{kind}"
    write_visits(path, kind)
    book = FREE.replace("KIND", kind).replace("PATH", f"data/visits.{kind}")
    assert found(issues_of(project, book)) == [
        (4, "unknown-column", "secs", "error"),
        (4, "wrong-kind", "AVG(page)", "error"),
    ]


def test_keys_and_moments_that_files_lack_or_that_are_no_moments_are_told(project: Path):
    book = FREE.replace("KIND", "csv").replace("PATH", "data/a.csv").replace("max(secs)", "1").replace("avg(page)", "1")
    assert found(issues_of(project, book, a="id,at,page,seconds\n1,soon,a,1\n")) == [
        (2, "unknown-column", "visit", "error"),
        (2, "wrong-type", "at", "error"),
    ]


def test_archives_are_looked_into_and_only_their_heads_are_unpacked(project: Path, tmp_path: Path):
    lines = [f"{number},1.5,2024-01-01\n" for number in range(400_000)]
    with zipfile.ZipFile(project / "data" / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep/a.csv", "order_id,amount,ordered_at\n" + "".join(lines) + "x,x,x\n")
        archive.writestr("notes.md", "no rows")
    assert issues_of(project, ORDERS.replace("*.csv", "a.zip")) == []
    book = ORDERS.replace("*.csv", "a.zip").replace("amount", "amuont")
    (missing, *_) = [issue for issue in issues_of(project, book) if issue.rule == "missing-column"]
    assert (missing.nearest, "data/a.zip/deep/a.csv" in missing.message) == ("amount", True)


def test_an_archive_without_such_a_file_is_a_fault_and_one_too_large_to_look_into_is_not(project: Path):
    with zipfile.ZipFile(project / "data" / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes.md", "no rows")
    assert found(issues_of(project, ORDERS.replace("*.csv", "a.zip"))) == [
        (4, "unreadable-source", "data/a.zip", "error")
    ]
    with zipfile.ZipFile(project / "data" / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.json", b"[" + b" " * 70_000_000 + b"]")
    book = ORDERS.replace("kind: csv\n    path: data/*.csv", "kind: json\n    path: data/a.zip")
    assert issues_of(project, book) == []


def test_looking_writes_nothing_where_the_files_are(project: Path):
    issues_of(project, ORDERS, a=GOOD)
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    read_book(project / "metadata", look=look)
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before
    assert sorted(path.name for path in project.iterdir()) == ["data", "metadata"]


def test_a_key_missing_from_some_json_rows_is_no_fault(project: Path):
    (project / "data" / "a.json").write_text('{"order_id": 1, "ordered_at": "2024-01-01"}\n')
    (project / "data" / "b.json").write_text('{"order_id": 2, "ordered_at": "2024-01-02", "amount": 1}\n')
    book = ORDERS.replace("kind: csv\n    path: data/*.csv", "kind: json\n    path: data/*.json")
    assert issues_of(project, book) == []
    assert [each[1:3] for each in found(issues_of(project, book.replace("amount", "amounts")))] == [
        ("undeclared-column", "amount"),
        ("missing-column", "amounts"),
    ]


def test_files_without_a_row_are_no_fault(project: Path):
    (project / "data" / "a.json").write_text("")
    book = ORDERS.replace("kind: csv\n    path: data/*.csv", "kind: json\n    path: data/*.json")
    assert issues_of(project, book) == []
    assert issues_of(project, ORDERS, a="order_id,amount,ordered_at\n") == []
