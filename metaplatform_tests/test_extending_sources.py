"""Kinds of sources from outside the package: rows of a database, and files of a format that the platform lacks."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from metaplatform_tests.extended import Project

ROOT = Path(__file__).parent.parent
INSTALLED = Path(__file__).parent / "extending_sources"
BOOK = """\
spec_version: 2
sources:
  orders:
    kind: acme_sqlite
    database: shop.db
    table: orders
    ask_every: 1 second
    columns: {id: bigint, customer: varchar, amount: "decimal(8, 2)", ordered_at: timestamptz}
    key: [id]
    event_timestamp: ordered_at
    partitions: {every: day, start: 2024-03-01}
    quarantine_share: 0.3
  requests:
    kind: key_value
    path: logs/*.log
    names: [at, customer, path]
    columns: {at: timestamptz, customer: varchar, path: varchar}
    event_timestamp: at
    partitions: {every: day, start: 2024-03-01}
tables:
  visits:
    sql: >
      SELECT o.id, o.ordered_at, count(r.at) AS requests
      FROM raw.orders o LEFT JOIN raw.requests r ON r.customer = o.customer AND r.at <= o.ordered_at
      GROUP BY ALL
    key: [id]
    event_timestamp: ordered_at
    partitioned_by: raw.orders
    look_back: 2 days
outputs:
  visits_file: {kind: csv, table: tables.visits}
"""
ORDERS = [
    (1, "ann", 10.5, "2024-03-01 10:00:00"),
    (2, "bob", 20, "2024-03-01 11:00:00"),
    (3, "ann", "7.25", "2024-03-02 09:00:00"),
    (4, "bob", "much", "2024-03-02 09:30:00"),
    (5, "cid", None, "2024-03-02 12:00:00"),
    (6, "cid", 1, "2024-03-02 13:00:00"),
]
LOGS = {
    "first": "at=2024-03-01T09:00:00Z customer=ann path=/\nat=2024-03-01T10:30:00Z customer=ann path=/cart\n",
    "second": "at=2024-03-02T08:00:00Z customer=ann\nwhat is this\n"
    + "".join(f"at=2024-03-02T{hour:02}:00:00Z customer=cid path=/{hour}\n" for hour in range(3, 13)),
}
REQUESTS_BEFORE = {1: 1, 2: 0, 3: 3, 5: 10, 6: 10}
"""What is counted by hand: order → the requests of its customer up to its moment."""
LIVE = """
import json, sqlite3
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from metaplatform_tests.small_project import SmallProject

project = SmallProject(Path("live"), Path("metadata/book.yaml").read_text())
Path("logs").rename("live/logs")
Path("shop.db").rename("live/shop.db")
told = []
with project.at_work() as at_work:
    told.append(at_work.play(datetime.now(UTC)))
    sleep(1.1)
    told.append(at_work.play(datetime.now(UTC)))
    with sqlite3.connect("live/shop.db") as database:
        database.execute("UPDATE orders SET amount = 99 WHERE id = 3")
    sleep(1.1)
    told.append(at_work.play(datetime.now(UTC)))
print(json.dumps([told, sorted(map(str, project.rows("raw.orders", "id")["amount"]))]))
"""


def project_in(folder: Path, book: str = BOOK) -> Project:
    project = Project(folder, (INSTALLED,))
    project.edit(book)
    (folder / "logs").mkdir()
    for name, text in LOGS.items():
        (folder / "logs" / f"{name}.log").write_text(text, encoding="utf-8")
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        database.execute("CREATE TABLE orders (id INTEGER, customer TEXT, amount, ordered_at TEXT)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ORDERS)
        database.commit()
    return project


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = project_in(tmp_path_factory.mktemp("sources"))
    project.platform("replay")
    return project


def test_rows_are_those_worked_out_by_hand(replayed: Project) -> None:
    orders = replayed.stored("raw", "orders").sort("id")
    assert orders["id"].to_list() == [1, 2, 3, 5, 6]
    assert orders["amount"].to_list() == [Decimal("10.50"), Decimal("20.00"), Decimal("7.25"), None, Decimal("1.00")]
    assert replayed.stored("raw", "requests").height == 13
    assert replayed.stored("raw", "requests")["path"].null_count() == 1
    visits = replayed.stored("tables", "visits")
    assert dict(zip(visits["id"], visits["requests"], strict=True)) == REQUESTS_BEFORE
    assert len(list((replayed.folder / ".metaplatform" / "exports" / "visits_file").glob("*.csv"))) == 2


def test_what_does_not_fit_is_kept_aside_with_its_reason(replayed: Project) -> None:
    [order] = replayed.stored("raw", "orders__quarantine").to_dicts()
    assert (order["id"], order["amount"]) == ("4", "much")
    assert order["_reason"] == "amount: 'much' is not a valid decimal(8, 2)"
    assert order["_source_file"] == "table orders of shop.db"
    [line] = replayed.stored("raw", "requests__quarantine_lines").to_dicts()
    reason = "a word of it is not key=value"
    assert line == {
        "file": "logs/second.log",
        "line": 2,
        "reason": reason,
        "text": "what is this",
        "_partition": line["_partition"],
    }


def test_a_look_at_the_data_says_what_will_be_turned_away_and_a_plan_finds_nothing_stale(replayed: Project) -> None:
    told = replayed.platform("validate", "--with-data")
    assert "1 of the 6 rows looked at would go to quarantine: amount: 'much' is not a valid decimal(8, 2)" in told
    assert json.loads(replayed.platform("plan", "--json"))["changes"] == []


def test_the_schema_explains_their_fields(replayed: Project) -> None:
    definitions = json.loads(replayed.platform("schema"))["$defs"]
    table, lines = (definitions[f"acme_sources.{name}"]["properties"] for name in ("SqliteSource", "KeyValueSource"))
    assert table["database"]["description"].startswith("Rows of one `table`")
    assert "path" not in table
    assert {"path", "hive_columns", "names"} <= lines.keys()


def test_the_book_as_tables_holds_them_and_gives_them_back(replayed: Project) -> None:
    url = f"sqlite:///{replayed.folder / 'book.db'}"
    replayed.platform("book", "push", "--to", url)
    with closing(sqlite3.connect(replayed.folder / "book.db")) as database:
        [settings] = database.execute("SELECT settings FROM Data_Sources WHERE kind = 'acme_sqlite'").fetchone()
    assert json.loads(settings) == {"database": "shop.db", "table": "orders", "ask_every": "1 second"}
    before = replayed.platform("plan", "--json")
    replayed.platform("book", "pull", "--to", url, "--book", "pulled")
    assert replayed.platform("plan", "--json", "--book", "pulled") == before


def test_a_changed_database_arrives_and_an_unchanged_one_is_only_asked(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    (first, second, third), amounts = json.loads(project.run(LIVE).splitlines()[-1])
    asked = "raw.orders: it is asked for rows that are new or have changed"
    assert asked in first
    assert any("new data" in reason for reason in first)
    assert second == [asked]
    assert third[0] == asked
    assert [reason for reason in third[1:] if "2024-03-02" in reason]
    assert not [reason for reason in third[1:] if "2024-03-01" in reason], "that day is as it was"
    assert "99.00" in amounts


@pytest.mark.parametrize(
    ("damage", "culprit"),
    [
        (lambda file: file.unlink(), "there is no file 'shop.db'"),
        (lambda file: file.write_bytes(b"no database at all" * 100), "file is not a database"),
    ],
)
def test_a_database_that_cannot_be_read_is_told_at_its_place_and_ends_the_run(
    tmp_path: Path, damage: Callable[[Path], object], culprit: str
) -> None:
    project = project_in(tmp_path)
    damage(tmp_path / "shop.db")
    told = project.platform("validate", "--with-data", fails=True)
    assert f"error: raw.orders: {culprit} [unreadable-source]" in told
    assert "book.yaml:6:" in told
    assert culprit in project.platform("replay", fails=True)


@pytest.mark.parametrize(
    ("old", "new", "culprit"),
    [
        ("table: orders", "table: sales", "no such table: sales"),
        ("database: shop.db", "database: ../shop.db", "'../shop.db' leads out of the folders that sources may read"),
        ('amount: "decimal(8, 2)"', "price: double", "there is no column 'price' in table orders of shop.db"),
        ("names: [at, customer, path]", "names: [at, customer]", "there is no column 'path' in logs/first.log"),
    ],
)
def test_what_the_book_says_of_them_is_held_against_the_data(tmp_path: Path, old: str, new: str, culprit: str) -> None:
    assert culprit in project_in(tmp_path, BOOK.replace(old, new)).platform("validate", "--with-data", fails=True)


def test_what_is_not_text_is_told_by_the_name_of_its_file(tmp_path: Path) -> None:
    project = project_in(tmp_path)
    (tmp_path / "logs" / "second.log").write_bytes(b"at=2024-03-02T08:00:00Z customer=\xff\n")
    assert "logs/second.log: line 1 is not UTF-8" in project.platform("validate", "--with-data", fails=True)


def test_an_entry_is_not_proposed_where_files_do_not_tell_all(tmp_path: Path) -> None:
    told = project_in(tmp_path).platform("new", "source", "logs/first.log", fails=True)
    assert "sources of kind 'key_value' need `names`, which files do not tell" in told
