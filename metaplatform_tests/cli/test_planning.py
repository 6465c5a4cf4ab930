"""`metaplatform plan`: two commits, an empty warehouse, and what is told to machines and to pull requests."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from metaplatform.cli import commands
from metaplatform.errors import StorageError
from metaplatform.resources.book.git_books import book_at
from metaplatform_tests.scenario import BOOK, write_project

GUIDE = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")
SHOWN = [
    shlex.split(line, comments=True)[1:]
    for block in re.findall(r"^```console\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, arguments)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Shop", "-c", "user.email=shop@example.com"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with two commits: v1 is the shop, v2 has another window and no file of predictions."""
    git(tmp_path, "init", "-q", "-b", "main")
    edited = BOOK.replace("window: 14 days", "window: 15 days")
    without = edited.replace("  returns_file: {kind: csv, table: predictions.order_returns}\n", "")
    for tag, text in (("v1", BOOK), ("v2", without)):
        write_project(tmp_path, book=text)
        git(tmp_path, "add", "metadata")
        git(tmp_path, "commit", "-q", "-m", tag)
        git(tmp_path, "tag", tag)
    return tmp_path


def test_two_commits_are_compared_without_a_warehouse(project: Path) -> None:
    answer = ask("plan", "--book", str(project / "metadata"), "--from", "v1", "--to", "v2", "--json")
    assert answer.exit_code == 0
    plan = json.loads(answer.stdout)
    assert {change["ref"]: change["action"] for change in plan["changes"]} == {
        "features.order_features": "rebuild",
        "models.returns": "retrain",
        "predictions.order_returns": "rescore",
        "outputs.returns_views": "rewrite",
        "outputs.returns_report": "rewrite",
        "outputs.returns_file": None,
    }
    assert not (project / ".metaplatform").exists()


def test_a_comment_for_a_pull_request_says_what_breaks_first_and_escapes_what_the_book_says(project: Path) -> None:
    text = BOOK.replace("title: Orders that may come back", "title: 'a | <b>@everyone</b> `x` [l](http://x)'")
    write_project(project, book=text.replace("      channel: varchar\n", "      kanal: varchar\n").replace("columns: {price: amount, sold_by: channel", "columns: {price: amount, sold_by: kanal").replace("channel", "kanal"))  # fmt: skip # noqa: E501
    answer = ask("plan", "--book", str(project / "metadata"), "--from", "v1", "--markdown")
    assert answer.exit_code == 0
    told = answer.stdout
    assert told.index("**Breaking**") < told.index("**Tables and features made again**")
    assert "**raw.orders**: it loses the column channel" in told
    assert "<b>" not in told
    assert "@everyone" not in told
    assert "a \\| &lt;b" in told
    assert told.count("<details>") == told.count("</details>") == 1


def test_a_book_that_means_the_same_leaves_nothing_to_do(project: Path) -> None:
    write_project(project, book="# the same\n" + BOOK.replace("spine: raw.orders", "spine: 'raw.orders'"))
    for form in ((), ("--markdown",)):
        answer = ask("plan", "--book", str(project / "metadata"), "--from", "v1", "--detailed-exitcode", *form)
        assert answer.exit_code == 0
        assert "Nothing to do" in answer.stdout


def test_the_exit_code_tells_whether_there_is_something_to_do_only_when_asked(project: Path) -> None:
    arguments = ("plan", "--book", str(project / "metadata"), "--from", "v1", "--to", "v2")
    assert ask(*arguments).exit_code == 0
    assert ask(*arguments, "--detailed-exitcode").exit_code == 3


@pytest.mark.parametrize(
    "revision",
    ["nothing", "--output=stolen", "-h", "v1; touch stolen", "$(touch stolen)", "v1:metadata", "", "a\x00b"],
)
def test_hostile_names_of_commits_are_no_commits(project: Path, revision: str) -> None:
    before = {path.name for path in project.iterdir()}
    with pytest.raises(StorageError, match=r"git"), book_at(revision, project / "metadata"):
        pass
    assert {path.name for path in project.iterdir()} == before


def test_a_commit_without_the_book_is_told_and_so_is_a_folder_without_git(project: Path, tmp_path: Path) -> None:
    write_project(project / "other")
    with pytest.raises(StorageError, match="'v1' has no other/metadata"), book_at("v1", project / "other" / "metadata"):
        pass


def test_within_a_hook_of_another_repository_the_books_own_is_asked(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    with book_at("v1", project / "metadata") as book:
        assert (book / "shop.yaml").read_text() == BOOK


def test_a_commit_whose_book_links_to_elsewhere_is_refused(project: Path) -> None:
    (project / "metadata" / "linked.yaml").symlink_to("/etc/hostname")
    git(project, "add", "metadata")
    git(project, "commit", "-q", "-m", "linked")
    with pytest.raises(StorageError, match=r"metadata/linked\.yaml"), book_at("HEAD", project / "metadata"):
        pass


def test_a_commit_that_a_shallow_clone_has_not_is_told_with_how_to_get_it(project: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(project, "clone", "-q", "--depth", "1", project.as_uri(), str(clone))
    with pytest.raises(StorageError, match="git fetch --unshallow"), book_at("HEAD~1", clone / "metadata"):
        pass


def test_in_an_empty_warehouse_all_is_new_and_nothing_is_estimated(project: Path) -> None:
    answer = ask("plan", "--book", str(project / "metadata"), "--root", str(project / "none"), "--json")
    plan = json.loads(answer.stdout)
    assert {change["ref"] for change in plan["changes"] if change["action"]} == {
        "raw.orders", "raw.customers", "tables.channels", "features.order_features", "outputs.returns_views",
    } - {"outputs.returns_views"}  # fmt: skip
    assert plan["seconds"] == 0
    assert not (project / "none").exists()


@pytest.mark.parametrize("wrong", [("--to", "v1"), ("--json", "--markdown")])
def test_wrong_use_ends_with_2(project: Path, wrong: tuple[str, ...]) -> None:
    assert ask("plan", "--book", str(project / "metadata"), *wrong).exit_code == 2


def test_apply_asks_nobody_where_nobody_is(project: Path) -> None:
    answer = ask("apply", "--book", str(project / "metadata"), "--root", str(project / "none"))
    assert answer.exit_code == 2
    assert not (project / "none").exists()


@pytest.mark.parametrize("line", SHOWN, ids=" ".join)
def test_the_guides_commands_have_the_options_shown(line: list[str]) -> None:
    group = typer.main.get_command(commands.app)
    command = group.commands[line[0]]  # type: ignore[attr-defined]
    assert command.make_context(line[0], line[1:]).params


@pytest.mark.parametrize("line", [line for line in SHOWN if line[0] == "plan"], ids=" ".join)
def test_the_guides_plans_are_made(line: list[str], project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert ask(*line).exit_code in {0, 3}
