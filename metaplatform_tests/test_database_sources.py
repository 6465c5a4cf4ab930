"""A project over a real database: planned, loaded, loaded again, broken off; and its password is written nowhere."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import psycopg2
import pytest

from metaplatform_tests.extended import Project
from metaplatform_tests.resources import databases

PLANTED = "pl@nted/s3cret"
BOOK = """\
spec_version: 2
sources:
  orders:
    kind: postgres
    url_env: SHOP_URL
    table: public.orders
    columns: {id: bigint, amount: "decimal(12, 2)", ordered_at: timestamptz, updated_at: timestamptz}
    key: [id]
    event_timestamp: ordered_at
    partitions: {every: day, start: 2024-03-01}
    watermark: updated_at
    quarantine_share: 0.5
  people:
    kind: postgres
    url_env: SHOP_URL
    query: SELECT id, name FROM people -- all of them
    key: [id]
tables:
  sales:
    sql: SELECT p.name, sum(o.amount) AS amount FROM raw.orders o JOIN raw.people p USING (id) GROUP BY ALL
"""
FORMS = (PLANTED, quote(PLANTED, safe=""), "s3cret")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with databases.postgresql(tmp_path / "server") as uri:
        ask(
            uri,
            "CREATE TABLE orders AS SELECT i AS id, (i * 1.25)::numeric(12, 2) AS amount,"
            " '2024-03-01'::timestamptz + (i % 4) * interval '1 day' AS ordered_at, now() AS updated_at"
            " FROM generate_series(1, 40) i",
            "UPDATE orders SET amount = 'NaN' WHERE id = 40",
            "CREATE TABLE people AS SELECT i AS id, 'p' || i AS name FROM generate_series(1, 40) i",
            f"CREATE USER reader PASSWORD '{PLANTED}'",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        )
        [[hba]] = ask(uri, "SELECT setting FROM pg_settings WHERE name = 'hba_file'")
        Path(hba).write_text("local all reader scram-sha-256\n" + Path(hba).read_text())
        ask(uri, "SELECT pg_reload_conf()")
        yield uri


def ask(uri: str, *statements: str) -> list[Any]:
    with closing(psycopg2.connect(uri)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def project_of(folder: Path, uri: str, password: str = PLANTED, book: str = BOOK) -> Project:
    url = f"postgresql://reader:{quote(password, safe='')}@/postgres?host={uri.partition('host=')[2]}"
    project = Project(folder, (), {"SHOP_URL": url})
    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    project.edit(book)
    return project


def written_with_secrets(folder: Path) -> list[str]:
    """Return the files below a folder that hold the password, however it is written."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [str(file) for file in files if any(form.encode() in file.read_bytes() for form in FORMS)]


def test_a_database_is_planned_loaded_and_asked_again(tmp_path: Path, server: str) -> None:
    project = project_of(tmp_path / "project", server)
    told = project.platform("validate", "--with-data")
    assert "1 of the 40 rows looked at would go to quarantine: amount: 'NaN' is not a valid decimal(12, 2)" in told
    told += project.platform("apply", "--yes")
    orders = project.stored("raw", "orders")
    assert (orders.height, str(orders["amount"].sum())) == (
        39,
        str(ask(server, "SELECT sum(id * 1.25) FROM orders WHERE id < 40")[0][0]),
    )
    assert orders["_partition"].n_unique() == 4
    [unfit] = project.stored("raw", "orders__quarantine").to_dicts()
    assert unfit["_source_file"] == "public.orders of SHOP_URL"
    assert json.loads(project.platform("plan", "--json"))["changes"] == []
    ask(server, "UPDATE orders SET amount = 1, updated_at = now() + interval '1 second' WHERE id = 1")
    assert "have changed since they were read" in project.platform("plan")
    assert not written_with_secrets(project.folder)
    assert not any(form in told for form in FORMS)


BROKEN = {
    "ALTER TABLE orders RENAME TO gone": 'relation "public.orders" does not exist',
    "ALTER TABLE gone RENAME TO orders; ALTER TABLE orders RENAME COLUMN amount TO price": "columns missing: 'amount'",
    "ALTER TABLE orders RENAME price TO amount; ALTER USER reader PASSWORD 'x'": "password authentication failed",
}


def test_what_breaks_is_told_without_the_password_and_leaves_all_as_it_was(tmp_path: Path, server: str) -> None:
    project = project_of(tmp_path / "project", server)
    project.platform("apply", "--yes")
    # Another contract: the rows are to be read again.
    project.edit(BOOK.replace("quarantine_share: 0.5", "quarantine_share: 0.5\n    max_ahead: 2 days"))
    for statement, culprit in BROKEN.items():
        ask(server, statement)
        told = project.platform("apply", "--yes", fails=True)
        assert culprit in told
        told += project.platform("validate", "--with-data", fails=True)
        assert project.stored("raw", "orders").height == 39
        assert not written_with_secrets(project.folder)
        assert not any(form in told for form in FORMS)


def test_a_load_whose_server_breaks_off_leaves_all_as_it_was_and_the_next_one_is_whole(
    tmp_path: Path, server: str
) -> None:
    project = project_of(tmp_path / "project", server)
    project.platform("apply", "--yes")
    ask(server, "INSERT INTO orders SELECT i, 1, '2024-03-02', now() FROM generate_series(41, 1000000) i")
    project.edit(BOOK.replace("quarantine_share: 0.5", "quarantine_share: 0.5\n    max_ahead: 2 days"))
    ended = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'metaplatform' AND state = 'active'"
        " AND query LIKE 'COPY%amount%orders%'"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **project.variables}
    started = subprocess.Popen(
        [sys.executable, "-m", "metaplatform", "apply", "--yes"], cwd=project.folder, env=environment
    )
    while started.poll() is None and not ask(server, ended):
        time.sleep(0.05)
    assert started.wait(300) != 0
    assert project.stored("raw", "orders").height == 39
    project.platform("apply", "--yes")
    assert project.stored("raw", "orders").height == 999_999


def test_an_entry_is_proposed_from_a_table_with_the_moments_of_all_its_rows(tmp_path: Path, server: str) -> None:
    project = project_of(tmp_path / "project", server, book="spec_version: 2\nsources: {}\n")
    ask(
        server,
        "CREATE TABLE visits AS SELECT i AS id, '2024-06-01'::timestamptz - i * interval '5 minutes' AS at"
        " FROM generate_series(1, 60000) i",
        "GRANT SELECT ON visits TO reader",
    )
    told = project.platform("new", "source", "--url-env", "SHOP_URL", "--table", "public.visits", "--print")
    assert "# Inferred from the first 20,000 rows of public.visits of SHOP_URL" in told
    assert "kind: postgres\n    url_env: SHOP_URL\n    table: public.visits\n" in told
    assert "partitions: {every: month, start: 2023-11}" in told
    project.platform("new", "source", "--url-env", "SHOP_URL", "--table", "public.visits")
    assert "error" not in project.platform("validate", "--with-data")
    for database in (duckdb.connect(str(project.folder / "shop.duckdb")), sqlite3.connect(project.folder / "shop.db")):
        with closing(database):
            database.execute("CREATE TABLE people (id integer, name text)")
            database.execute("INSERT INTO people VALUES (1, 'ann'), (2, 'bob')")
            database.commit() if isinstance(database, sqlite3.Connection) else None
    for file, kind in (("shop.duckdb", "duckdb"), ("shop.db", "sqlite")):
        told = project.platform("new", "source", file, "--table", "people", "--print")
        assert f"kind: {kind}\n    path: {file}\n    table: people\n" in told
    assert "one table of one database" in project.platform(
        "new", "source", "shop.db", "--url-env", "SHOP_URL", fails=True
    )


def test_a_url_in_the_book_is_refused_and_not_shown(tmp_path: Path) -> None:
    for old, new in (
        ("url_env: SHOP_URL", f"url_env: postgresql://reader:{PLANTED}@h/d"),
        ("url_env: SHOP_URL", f"url: postgresql://reader:{PLANTED}@h/d"),
    ):
        project = project_of(tmp_path, "host=/nowhere", book=BOOK.replace(old, new, 1))
        told = project.platform("validate", fails=True)
        assert "error" in told
        assert not any(form in told for form in FORMS)
