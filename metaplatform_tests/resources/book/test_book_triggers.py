"""Rows that people change by hand are audited, in SQLite and PostgreSQL, and what a push changes is not twice."""

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from metaplatform.resources.book.book_connections import book_engine, book_url, transaction
from metaplatform.resources.book.book_database import BookDatabase
from metaplatform.resources.book.book_triggers import audited_by_entity
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book
from metaplatform_tests.resources import databases
from metaplatform_tests.resources.book.auditing import audit_of
from metaplatform_tests.scenario import BOOK, write_project

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path, shop: Manifest) -> Path:
    """Return an SQLite file that holds the shop's book."""
    push(f"sqlite:///{tmp_path / 'book.db'}", shop)
    return tmp_path / "book.db"


def push(url: str, manifest: Manifest) -> int:
    """Bring the database to the book; return how many entities that changed."""
    done = BookDatabase(url).push(manifest, {}, by="tester", now=NOW, delete=False, force=True)
    return len(done.changes)


def by_hand(url: str) -> list[Mapping[str, Any]]:
    return [row for row in audit_of(url) if row["changed_by"] != "tester"]


def test_each_row_changed_by_hand_is_audited_and_nothing_of_a_push(url: str, shop: Manifest) -> None:
    pushed = push(url, shop)
    with book_engine(book_url(url)).begin() as connection:
        connection.exec_driver_sql("UPDATE ML_Predictions SET model_version = 1")
        connection.exec_driver_sql("DELETE FROM Retrain_Monitors WHERE vote = 'drift'")
        connection.exec_driver_sql("DELETE FROM Model_Features")
        connection.exec_driver_sql("INSERT INTO Pipeline_Dependencies VALUES ('models.returns', 0, 'raw.customers')")
    user = "unknown" if url.startswith("sqlite") else "postgres"
    assert [(row["change_kind"], row["entity"], row["changed_by"]) for row in by_hand(url)] == [
        ("update ml_predictions", "predictions.order_returns", user),
        ("delete retrain_monitors", "models.returns", user),
        ("insert pipeline_dependencies", "models.returns", user),
    ]
    updated, deleted, inserted = by_hand(url)
    assert updated["before_change"] == {**updated["after_change"], "model_version": None}
    assert updated["after_change"]["model_version"] == 1
    gone = {"model": "returns", "vote": "drift", "ordinal": 0, "monitor": "returns_drift"}
    assert (deleted["before_change"], deleted["after_change"]) == (gone, None)
    assert (inserted["before_change"], inserted["after_change"]["depends_on"]) == (None, "raw.customers")
    assert abs(updated["changed_at"].replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=5)
    undone = push(url, shop)
    assert len(audit_of(url)) == pushed + 3 + undone


def test_a_row_is_audited_with_whatever_sqlite_lets_a_person_write_into_it(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        edits = {
            "description": 'it\'s "quoted"\n\\ 雪',
            "docs": b"\x00\xff",
            "tags": '{"team": ["é", 1]}',
            "parameters": "{no json",
            "rounds": 1.5,
            "seed": None,
        }
        cells = ", ".join(f"{name} = ?" for name in edits)
        connection.execute(f"UPDATE ML_Models SET {cells}", tuple(edits.values()))  # noqa: S608
        connection.execute("UPDATE Pipeline_Reactions SET on_backfill = 'perhaps'")
        connection.execute("UPDATE Pipeline_Reactions SET on_backfill = true")
        connection.execute("DELETE FROM ML_Monitors")
    connection.close()
    model, perhaps, always, *monitors = by_hand(f"sqlite:///{file}")
    told = {**edits, "docs": "00FF", "tags": {"team": ["é", 1]}}
    assert model["after_change"] == {**model["before_change"], **told}
    flags = [row["after_change"]["on_backfill"] for row in (perhaps, always)]
    assert flags == ["perhaps", True]
    assert always["before_change"]["on_backfill"] == "perhaps"
    assert {row["entity"] for row in monitors} == {"monitoring.returns_drift", "monitoring.returns_performance"}


def test_a_database_made_before_there_were_triggers_gets_them_at_the_next_push(url: str, shop: Manifest) -> None:
    push(url, shop)
    with book_engine(book_url(url)).begin() as connection:
        if url.startswith("sqlite"):
            for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.exec_driver_sql("DROP FUNCTION audit_book_row CASCADE")
        connection.exec_driver_sql("UPDATE ML_Models SET description = 'unseen'")
    assert by_hand(url) == []
    push(url, load_book(Path(shop.root) / "metadata"))
    with book_engine(book_url(url)).begin() as connection:
        connection.exec_driver_sql("UPDATE ML_Models SET description = 'seen'")
    assert [row["after_change"]["description"] for row in by_hand(url)] == ["seen"]


def _die_within_a_push(url: str) -> None:
    with transaction(book_engine(book_url(url)), write=True) as connection, audited_by_entity(connection):
        connection.exec_driver_sql("UPDATE ML_Models SET description = 'half'")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_push_that_is_killed_leaves_the_triggers_at_work(url: str, shop: Manifest) -> None:
    push(url, shop)
    process = multiprocessing.get_context("spawn").Process(target=_die_within_a_push, args=(url,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with book_engine(book_url(url)).begin() as connection:
        connection.exec_driver_sql("UPDATE ML_Models SET description = 'whole'")
    assert [row["after_change"]["description"] for row in by_hand(url)] == ["whole"]


def _edit_often(file: str, edits: int, started: Any) -> None:
    connection = sqlite3.connect(file, timeout=60)
    for number in range(edits):
        with connection:
            connection.execute("UPDATE ML_Monitors SET min_rows = ?", (number,))
        started.set()
    connection.close()


def test_edits_by_hand_beside_pushes_of_another_process_are_each_audited_once(file: Path, tmp_path: Path) -> None:
    url, edits = f"sqlite:///{file}", 40
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=_edit_often, args=(str(file), edits, started))
    books = [
        load_book(write_project(tmp_path / str(rounds), book=BOOK.replace("rounds: 40", f"rounds: {rounds}")))
        for rounds in (41, 42)
    ]
    before = len(audit_of(url))
    process.start()
    assert started.wait(60)
    changed, pushes = 0, 0
    while process.is_alive() or pushes < len(books):
        changed += push(url, books[pushes % len(books)])
        pushes += 1
    process.join(60)
    assert process.exitcode == 0
    monitors = [row for row in by_hand(url) if row["change_kind"] == "update ml_monitors"]
    assert len(monitors) == 2 * edits, "one for each of the two monitors"
    assert len(audit_of(url)) == before + changed + len(monitors)


def test_an_analyst_of_postgresql_needs_no_right_to_the_audit_and_names_the_schema(server: str, shop: Manifest) -> None:
    plain = databases.new_database(server, "analysts")
    with sa.create_engine(book_url(plain)).begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA books")
        connection.exec_driver_sql("CREATE ROLE ann LOGIN")
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA books TO ann")
    url = book_url(plain).update_query_dict({"options": "-csearch_path=books"}).render_as_string(hide_password=False)
    push(url, shop)
    with sa.create_engine(book_url(plain)).begin() as connection:
        connection.exec_driver_sql("GRANT SELECT, UPDATE ON books.ml_predictions TO ann")
    with sa.create_engine(book_url(plain).set(username="ann", password=None)).begin() as connection:
        connection.exec_driver_sql("UPDATE books.ML_Predictions SET model_version = 1")
    assert [(row["changed_by"], row["after_change"]["model_version"]) for row in by_hand(url)] == [("ann", 1)]
