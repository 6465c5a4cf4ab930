"""The commands that move a book between files and a database, as people type them."""

import json
import os
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from metaplatform.cli.commands import app
from metaplatform.errors import MetaplatformError
from metaplatform.resources.book.book_database import ConflictError
from metaplatform.specs.loading import load_book
from metaplatform_tests.resources.book.auditing import audit_of
from metaplatform_tests.scenario import BOOK, write_month, write_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METAPLATFORM_BOOK_URL", f"sqlite:///{tmp_path / 'book.db'}")
    return tmp_path


def run(*words: str, code: int = 0) -> str:
    result: Result = CliRunner().invoke(app, ["book", *words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def edit(project: Path, sql: str) -> None:
    with sqlite3.connect(project / "book.db") as connection:
        connection.execute(sql)
    connection.close()


def test_what_was_pushed_comes_back_as_files_of_the_same_book(project: Path) -> None:
    assert "12 entities changed" in run("push")
    run("pull", "--book", "copy/metadata")
    assert load_book(project / "copy" / "metadata").entities == load_book(project / "metadata").entities
    assert "same" in run("diff")
    report = (project / "copy" / "metadata" / "outputs.yaml").read_text()
    assert "sql: |\n" in report
    assert "      select p.order_id, p.channel, c.orders, p.probability\n" in report
    assert sorted(path.name for path in (project / "copy" / "metadata").iterdir())[:2] == [
        "book.yaml",
        "feature_sets.yaml",
    ]


def test_a_difference_is_told_field_by_field_with_exit_code_one(project: Path) -> None:
    run("push")
    edit(project, "UPDATE ML_Models SET rounds = 41")
    told = run("diff", code=1)
    assert "~ models.returns: changed" in told
    assert "training.rounds: 41 -> 40" in told
    found = json.loads(run("diff", "--json", code=1))
    assert found == {
        "equal": False,
        "changes": [
            {
                "entity": "models.returns",
                "kind": "changed",
                "fields": [{"path": "training.rounds", "before": 41, "after": 40}],
            }
        ],
    }


def test_a_push_over_an_unseen_edit_is_refused_until_pulled_or_forced(project: Path) -> None:
    run("push")
    edit(project, "UPDATE ML_Models SET rounds = 41")
    with pytest.raises(ConflictError, match=r"models\.returns"):
        run("push")
    # What another folder has seen does not count for this one.
    run("pull", "--book", "copy/metadata")
    with pytest.raises(ConflictError):
        run("push")
    assert "! models.returns: edited" in run("push", "--force", "--as", "ann")
    assert audit_of(os.environ["METAPLATFORM_BOOK_URL"])[-1]["changed_by"] == "ann"
    with pytest.raises(ConflictError):
        run("push", "--book", "copy/metadata")


def test_a_check_tells_every_fault_of_what_the_database_holds(project: Path) -> None:
    run("push")
    assert "12 entities, sound" in run("check")
    edit(project, "UPDATE ML_Predictions SET model = 'nobody'")
    edit(project, "DELETE FROM Feature_Sets")
    told = run("check", code=1)
    assert "nobody" in told
    assert "Feature_Engineering has rows of 'features.order_features'" in told
    assert "error" in {issue["severity"] for issue in json.loads(run("check", "--json", code=1))}


def test_a_dry_run_shows_and_writes_nothing(project: Path) -> None:
    assert "+ models.returns: added" in run("push", "--dry-run")
    assert not (project / "book.db").exists()


def test_entities_only_in_the_database_are_told_and_removed_only_when_asked(project: Path) -> None:
    run("push")
    write_project(project, book=BOOK.replace("  returns_file: {kind: csv, table: predictions.order_returns}\n", ""))
    assert "outputs.returns_file: only in the database" in run("push")
    assert "outputs.returns_file: removed" in run("push", "--delete")
    assert "same" in run("diff")


def test_a_pull_overwrites_no_file_whose_content_it_does_not_know(project: Path) -> None:
    run("push")
    with pytest.raises(MetaplatformError, match=r"shop\.yaml"):
        run("pull")
    run("pull", "--book", "copy/metadata")
    models = project / "copy" / "metadata" / "models.yaml"
    models.write_text(models.read_text() + "# a note\n")
    edit(project, "UPDATE ML_Models SET rounds = 41")
    edit(project, "DELETE FROM Pipeline_Reactions")
    edit(project, "DELETE FROM Reaction_Assets")
    edit(project, "DELETE FROM Reaction_Notifications")
    with pytest.raises(MetaplatformError, match=r"models\.yaml"):
        run("pull", "--book", "copy/metadata")
    assert (project / "copy" / "metadata" / "reactions.yaml").exists()
    run("pull", "--book", "copy/metadata", "--force")
    assert "a note" not in models.read_text()
    assert load_book(project / "copy" / "metadata").models["returns"].training.rounds == 41
    assert not (project / "copy" / "metadata" / "reactions.yaml").exists()


def test_no_password_is_printed_even_where_the_database_is_away(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELSEWHERE", "postgresql://ann:hunter2@127.0.0.1:1/book")
    with pytest.raises(MetaplatformError) as caught:
        run("diff", "--to-env", "ELSEWHERE")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(MetaplatformError, match="NOT_SET"):
        run("diff", "--to-env", "NOT_SET")


def test_a_plan_compares_the_files_with_the_database(project: Path) -> None:
    run("push")
    same = CliRunner().invoke(app, ["plan", "--from-env", "METAPLATFORM_BOOK_URL"])
    assert "othing to do" in same.output
    edit(project, "UPDATE ML_Models SET rounds = 41")
    told = json.loads(CliRunner().invoke(app, ["plan", "--json", "--from-env", "METAPLATFORM_BOOK_URL"]).output)
    work = {change["ref"]: change for change in told["changes"] if change["action"]}
    assert list(work) == ["models.returns", "predictions.order_returns", *list(work)[2:]]
    assert any("rounds" in reason for reason in work["models.returns"]["reasons"])


def test_validate_checks_the_database_where_the_book_is_in_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("push")
    edit(project, "UPDATE ML_Predictions SET model = 'nobody'")
    assert CliRunner().invoke(app, ["validate"]).exit_code == 0
    monkeypatch.setenv("METAPLATFORM_BOOK_SOURCE", "sql")
    refused = CliRunner().invoke(app, ["validate"])
    assert refused.exit_code == 1
    assert f"sqlite:///{project / 'book.db'}/ML_Predictions/order_returns/model: error" in refused.output
    assert "'nobody' is not defined" in refused.output
    annotated = CliRunner().invoke(app, ["validate", "--format", "github"]).output
    assert "::error title=predictions.order_returns [unknown-reference]::'nobody'" in annotated
    assert CliRunner().invoke(app, ["validate", "--book", "metadata"]).exit_code == 0


def test_the_sources_of_a_book_in_a_database_are_looked_at_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("push")
    write_month(project, "2024-01", shifted=False)
    monkeypatch.setenv("METAPLATFORM_BOOK_SOURCE", "sql")
    sound = CliRunner().invoke(app, ["validate", "--with-data"])
    assert sound.exit_code == 0, sound.output
    edit(project, "UPDATE Source_Columns SET column_name = 'years' WHERE column_name = 'age'")
    edit(project, "UPDATE Feature_Engineering SET expression = 'years' WHERE expression = 'age'")
    assert CliRunner().invoke(app, ["validate"]).exit_code == 0
    refused = CliRunner().invoke(app, ["validate", "--with-data"])
    assert refused.exit_code == 1
    assert "/Source_Columns/customers/years/column_name: error: raw.customers" in refused.output
