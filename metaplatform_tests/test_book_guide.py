"""What the guide to the book in a database shows works as shown: its commands, and its SQL on both databases."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metaplatform.cli.commands import app
from metaplatform.resources.book.book_connections import book_engine, book_url
from metaplatform.resources.book.book_database import BookDatabase
from metaplatform.resources.book.book_tables import book_tables
from metaplatform.specs.loading import load_book
from metaplatform_tests.resources import databases
from metaplatform_tests.scenario import write_project
from metaplatform_tests.test_readme import blocks

GUIDE = (Path(__file__).parents[1] / "docs" / "book-in-a-database.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_guides_commands_and_statements_do_what_they_say(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    if kind == "sqlite":
        play(f"sqlite:///{tmp_path / 'book.db'}", tmp_path, monkeypatch)
    else:
        with databases.postgresql(tmp_path / "server") as url:
            play(url, tmp_path, monkeypatch)


def play(url: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAPLATFORM_BOOK_URL", url)
    for line in [line for block in blocks(GUIDE, "console") for line in block.splitlines()]:
        done = CliRunner().invoke(app, shlex.split(line)[1:], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert load_book(project / "copy" / "metadata").entities == load_book(project / "metadata").entities
    versions = []
    with book_engine(book_url(url)).connect() as connection:
        *edits, audit = [text for block in blocks(GUIDE, "sql") for text in block.split(";") if text.strip()]
        for statement in edits:
            assert connection.exec_driver_sql(statement).rowcount == 1, statement
            connection.commit()
            versions.append(BookDatabase(url).manifest(project).predictions["order_returns"].version)
        kinds = [row.change_kind for row in connection.exec_driver_sql(audit)]
        assert len([kind for kind in kinds if kind.startswith(("update ", "insert "))]) == len(edits)
    assert versions[:2] == [1, "champion"]
    book = BookDatabase(url).manifest(project)
    model = book.models["returns"]
    assert model.retrain is not None
    assert (str(model.retrain.cooldown), model.retrain.schedule) == ("10 days", "0 6 * * 1")
    assert model.exclude == ("weekday",)
    assert book.reactions["call_customers"].when == "probability > 0.7"
    assert book.monitors["returns_drift"].model_dump()["drift_share"] == 0.3
    assert str(book.feature_sets["order_features"].features[2].model_dump()["window"]) in {"7 days", "1 week"}


def test_the_guide_names_every_table() -> None:
    assert [name for name in book_tables().tables if f"`{name}`" not in GUIDE] == []
