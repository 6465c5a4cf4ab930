"""Sound books, whatever they hold, are found sound: no rule cries wolf."""

import tempfile
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, given, settings

from metaplatform.specs.loading import read_book
from metaplatform.specs.snapshots import read_snapshot, snapshot_of
from metaplatform_tests.specs.sound_books import Body, Columns, as_yaml, sound_books

relaxed = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@given(sound_books())
@relaxed
def test_a_sound_book_has_neither_errors_nor_warnings(book: dict[str, dict[str, Body]]):
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "metadata")
        folder.mkdir()
        (folder / "book.yaml").write_text(as_yaml(book), encoding="utf-8")
        manifest, issues = read_book(folder)
    assert [str(issue) for issue in issues] == []
    assert manifest is not None
    assert set(manifest.entities) == set(manifest.locations)
    again, _ = read_snapshot(snapshot_of(manifest), root=root, origin="copy")
    assert again is not None
    assert again.entities == manifest.entities


@given(sound_books())
@relaxed
def test_what_is_drawn_as_sound_runs_in_duckdb(book: dict[str, dict[str, Body]]):
    """The books above are sound by the engine's own judgement, not only by ours."""
    with duckdb.connect() as connection:
        connection.execute("create schema raw; create schema tables")
        for name, source in book["sources"].items():
            columns = ", ".join(f"{Columns({}).written(each)} {kind}" for each, kind in source["columns"].items())
            connection.execute(f"create table raw.plain_{name} ({columns})")
            derived = "".join(f", {sql} as {column}" for column, sql in source.get("derive", {}).items())
            connection.execute(f"create view raw.{name} as select *{derived} from raw.plain_{name}")  # noqa: S608
        for name, table in book.get("tables", {}).items():
            connection.execute(f"create view tables.{name} as {table['sql']}")
