"""The book in real databases, SQLite and PostgreSQL: lossless, locked against lost edits, audited."""

import multiprocessing
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from sqlalchemy.dialects import mssql, postgresql, sqlite

from metaplatform.errors import BookError, MetaplatformError, StorageError
from metaplatform.resources.book import book_connections
from metaplatform.resources.book.book_connections import book_engine, book_url
from metaplatform.resources.book.book_database import BookDatabase, ConflictError, PushPlan
from metaplatform.resources.book.book_tables import book_tables
from metaplatform.resources.process.database_urls import shown_url
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book
from metaplatform_tests.resources import databases
from metaplatform_tests.resources.book.auditing import audit_of
from metaplatform_tests.scenario import BOOK, write_project
from metaplatform_tests.specs.relational.any_books import manifests

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIALECTS = {"mssql": mssql.dialect, "postgresql": postgresql.dialect, "sqlite": sqlite.dialect}


def push(
    url: str, manifest: Manifest, seen: dict[str, str] | None = None, *, delete: bool = False, force: bool = False
) -> PushPlan:
    return BookDatabase(url).push(manifest, seen or {}, by="tester", now=NOW, delete=delete, force=force)


def edit(url: str, sql: str) -> None:
    with book_engine(book_url(url)).begin() as connection:
        connection.exec_driver_sql(sql)


def edited(tmp_path: Path, *changes: tuple[str, str]) -> Manifest:
    book = BOOK
    for before, after in changes:
        assert before in book
        book = book.replace(before, after)
    return load_book(write_project(tmp_path / "edited", book=book))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_table_compiles_and_no_name_needs_quotes(dialect: str) -> None:
    chosen = DIALECTS[dialect]()
    for table in book_tables().sorted_tables:
        text = str(sa.schema.CreateTable(table).compile(dialect=chosen))
        assert text.strip().startswith(f"CREATE TABLE {table.name} (")
        assert '"' not in text
        assert "[" not in text


@pytest.mark.parametrize("which", ["default", "shop"])
def test_a_shipped_book_comes_back_from_the_database(url: str, which: str, shop: Manifest) -> None:
    manifest = shop if which == "shop" else load_book(ROOT / "metadata")
    push(url, manifest)
    again = BookDatabase(url).manifest(Path(manifest.root))
    assert again.entities == manifest.entities
    assert list(again.entities) == list(manifest.entities)
    assert [again.spec_hash(ref) for ref in again.entities] == [manifest.spec_hash(ref) for ref in manifest.entities]
    assert push(url, manifest, BookDatabase(url).read().entity_hashes).changes == ()


@given(manifests())
@settings(max_examples=6)
def test_any_book_comes_back_from_postgresql_and_from_sqlite(
    any_databases: tuple[str, str], manifest: Manifest
) -> None:
    for url in any_databases:
        push(url, manifest, delete=True, force=True)
        contents = BookDatabase(url).read()
        assert contents.issues == ()
        assert BookDatabase(url).plan(manifest, contents.entity_hashes, delete=True).changes == ()


@pytest.fixture(scope="module")
def any_databases(server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    file = tmp_path_factory.mktemp("any") / "book.db"
    return f"sqlite:///{file}", databases.new_database(server, "any_books")


def test_an_edit_by_hand_is_never_overwritten_unless_forced(url: str, shop: Manifest, tmp_path: Path) -> None:
    push(url, shop)
    seen = BookDatabase(url).read().entity_hashes
    edit(url, "UPDATE ML_Models SET rounds = 41 WHERE name = 'returns'")
    other = edited(tmp_path, ("rounds: 40", "rounds: 42"), ("when: probability > 0.5", "when: probability > 0.6"))
    with pytest.raises(ConflictError, match=r"models\.returns") as caught:
        push(url, other, seen)
    assert [change.ref for change in caught.value.conflicts] == ["models.returns"]
    kept = BookDatabase(url).manifest(Path(shop.root))
    assert kept.models["returns"].training.rounds == 41
    assert kept.reactions == shop.reactions, "a refused push writes nothing"
    assert {change.ref for change in push(url, other, seen, force=True).changes} == {
        "models.returns",
        "reactions.call_customers",
    }
    assert BookDatabase(url).manifest(Path(shop.root)).entities == other.entities


def test_an_edit_that_the_push_does_not_touch_is_kept_without_a_conflict(
    url: str, shop: Manifest, tmp_path: Path
) -> None:
    push(url, shop)
    seen = BookDatabase(url).read().entity_hashes
    edit(url, "UPDATE Pipeline_Reactions SET min_rows = 7")
    with_the_same_edit = edited(tmp_path, ("when: probability > 0.5", "when: probability > 0.5\n    min_rows: 7"))
    assert push(url, with_the_same_edit, seen).changes == ()


def test_a_database_that_holds_a_book_nobody_here_has_seen_is_not_overwritten(
    url: str, shop: Manifest, tmp_path: Path
) -> None:
    push(url, shop)
    with pytest.raises(ConflictError):
        push(url, edited(tmp_path, ("rounds: 40", "rounds: 42")))


def test_what_the_book_no_longer_has_is_told_and_goes_only_when_asked(url: str, shop: Manifest, tmp_path: Path) -> None:
    push(url, shop)
    smaller = edited(
        tmp_path, ("  returns_views: {kind: views, tables: [predictions.order_returns, raw.orders]}\n", "")
    )
    seen = BookDatabase(url).read().entity_hashes
    plan = push(url, smaller, seen)
    assert (plan.changes, plan.left) == ((), ("outputs.returns_views",))
    assert "returns_views" in BookDatabase(url).manifest(Path(shop.root)).outputs
    assert [change.kind for change in push(url, smaller, seen, delete=True).changes] == ["removed"]
    assert BookDatabase(url).manifest(Path(shop.root)).entities == smaller.entities


def test_a_push_keeps_who_changed_what_and_when(url: str, shop: Manifest, tmp_path: Path) -> None:
    push(url, shop)
    push(url, edited(tmp_path, ("rounds: 40", "rounds: 42")), BookDatabase(url).read().entity_hashes)
    audit = audit_of(url)
    assert [row["change_kind"] for row in audit] == ["added"] * len(shop.entities) + ["changed"]
    last = audit[-1]
    assert (last["changed_by"], last["entity"]) == ("tester", "models.returns")
    assert last["changed_at"].replace(tzinfo=UTC) == NOW
    assert (last["before_change"]["training"]["rounds"], last["after_change"]["training"]["rounds"]) == (40, 42)


def test_an_edit_that_breaks_the_book_is_told_with_owner_culprit_and_fix(url: str, shop: Manifest) -> None:
    push(url, shop)
    edit(url, "UPDATE ML_Predictions SET model = 'nobody'")
    edit(url, "UPDATE ML_Monitors SET drift_share = 7 WHERE name = 'returns_drift'")
    with pytest.raises(BookError) as caught:
        BookDatabase(url).manifest(Path(shop.root))
    assert {issue.owner for issue in caught.value.issues} >= {"predictions.order_returns", "monitoring.returns_drift"}
    assert all(issue.fix and issue.location for issue in caught.value.issues)


def test_a_database_of_an_earlier_layout_is_told_of_and_completed_by_the_next_push(url: str, shop: Manifest) -> None:
    """Columns and tables that a later version added: what is in the others stays."""
    push(url, shop)
    seen = BookDatabase(url).read().entity_hashes
    if url.startswith("sqlite"):
        edit(url, "DROP TRIGGER audit_ml_models_insert")
        edit(url, "DROP TRIGGER audit_ml_models_update")
        edit(url, "DROP TRIGGER audit_ml_models_delete")
    edit(url, "ALTER TABLE ML_Models DROP COLUMN label_delay")
    edit(url, "DROP TABLE Monitor_Exclusions")
    edit(url, "ALTER TABLE ML_Predictions ADD COLUMN note_of_mine VARCHAR(20)")
    with pytest.raises(StorageError, match=r"lacks Monitor_Exclusions, ML_Models\.label_delay.*book push"):
        BookDatabase(url).read()
    with pytest.raises(ConflictError) as caught:
        push(url, shop, seen)
    assert [change.ref for change in caught.value.conflicts] == ["monitoring.returns_drift"], (
        "its exclusion went by hand"
    )
    assert [change.ref for change in push(url, shop, seen, force=True).changes] == ["monitoring.returns_drift"]
    assert BookDatabase(url).manifest(Path(shop.root)).entities == shop.entities


def test_a_column_without_a_default_is_not_made_up(url: str, shop: Manifest) -> None:
    push(url, shop)
    edit(url, "ALTER TABLE Book_Audit RENAME TO Old_Audit")
    edit(url, "CREATE TABLE Book_Audit AS SELECT changed_by FROM Old_Audit")
    with pytest.raises(StorageError, match=r"Book_Audit lacks the column audit_id.*drop this table"):
        push(url, shop)


def test_what_a_person_writes_for_a_flag_is_read_as_it_is_meant_or_refused(tmp_path: Path, shop: Manifest) -> None:
    """SQLite keeps any value in a column of flags: no text may count as true because it is one."""
    url = f"sqlite:///{tmp_path / 'book.db'}"
    push(url, shop)
    read: dict[str, object] = {}
    for written in ("0", "1", "'false'", "'TRUE'", "NULL", "false", "2", "'perhaps'", "''", "0.5"):
        edit(url, f"UPDATE Pipeline_Reactions SET on_backfill = {written}")  # noqa: S608
        manifest, issues, _ = BookDatabase(url).read_manifest(Path(shop.root))
        refused = [str(issue.location).removeprefix(url) for issue in issues]
        read[written] = manifest.reactions["call_customers"].on_backfill if manifest else refused
    there = ["/Pipeline_Reactions/call_customers/on_backfill"]
    assert read == {
        "0": False,
        "1": True,
        "'false'": False,
        "'TRUE'": True,
        "NULL": False,
        "false": False,
        **dict.fromkeys(("2", "'perhaps'", "''", "0.5"), there),
    }


def _push_number(url: str, book: str, folder: str, barrier: object, results: object) -> None:
    manifest = load_book(write_project(Path(folder), book=book))
    seen = BookDatabase(url).read().entity_hashes
    barrier.wait(60)  # type: ignore[attr-defined]
    try:
        push(url, manifest, seen)
        results.put("won")  # type: ignore[attr-defined]
    except ConflictError as error:
        results.put(error.culprit)  # type: ignore[attr-defined]


def test_of_two_pushes_at_once_one_wins_and_the_other_is_told(url: str, shop: Manifest, tmp_path: Path) -> None:
    push(url, shop)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [
        context.Process(
            target=_push_number,
            args=(url, BOOK.replace("rounds: 40", f"rounds: {rounds}"), str(tmp_path / str(rounds)), barrier, results),
        )
        for rounds in (50, 60)
    ]
    for process in processes:
        process.start()
    told = sorted(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(60)
    assert told == ["changed since this checkout last pulled or pushed: models.returns", "won"]
    assert BookDatabase(url).manifest(Path(shop.root)).models["returns"].training.rounds in {50, 60}


def test_no_password_is_shown_or_told() -> None:
    secret = "hunter2"  # noqa: S105
    url = f"postgresql://me:{secret}@127.0.0.1:1/db?password={secret}"
    assert secret not in shown_url(book_url(url))
    with pytest.raises(StorageError) as caught:
        BookDatabase(url).read()
    assert secret not in str(caught.value)
    with pytest.raises(MetaplatformError) as wrong:
        BookDatabase(f"no url {secret}")
    assert secret not in str(wrong.value)
    assert wrong.value.__cause__ is None
    for careless in (f"postgresql://me:a@{secret}@db.example/book", f"postgresql://me:a@{secret}/b@db.example/book"):
        with pytest.raises(MetaplatformError, match="%40") as several:
            BookDatabase(careless)
        assert secret not in str(several.value)


def test_a_push_beside_somebodys_open_transaction_says_who_is_waited_for(
    url: str, shop: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(url, shop)
    monkeypatch.setattr(book_connections, "_LOCK_SECONDS", 1)
    seen = BookDatabase(url).read().entity_hashes
    with book_engine(book_url(url)).connect() as analyst:
        analyst.exec_driver_sql("BEGIN")
        analyst.exec_driver_sql("UPDATE ML_Models SET rounds = 41")
        with pytest.raises(StorageError, match="somebody is editing it"):
            push(url, edited(tmp_path, ("rounds: 40", "rounds: 42")), seen)
        analyst.exec_driver_sql("ROLLBACK")
    assert [change.ref for change in push(url, edited(tmp_path, ("rounds: 40", "rounds: 42")), seen).changes] == [
        "models.returns"
    ]


def test_a_driver_that_is_not_installed_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(MetaplatformError, match=r"psycopg2.*pip install metaplatform\[postgres\]"):
        BookDatabase("postgresql://ann:hunter2@db.example/book")
    with pytest.raises(MetaplatformError, match="no database of this kind"):
        BookDatabase("nonsense://db.example/book")


def test_reading_a_database_that_is_not_there_makes_none(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        BookDatabase(f"sqlite:///{tmp_path / 'none.db'}").read()
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "empty.db").touch()
    with pytest.raises(StorageError, match="holds no book"):
        BookDatabase(f"sqlite:///{tmp_path / 'empty.db'}").read()
