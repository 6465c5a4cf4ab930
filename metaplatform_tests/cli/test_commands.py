"""The command line: what it prints, for people and for machines, and how it ends."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from metaplatform.cli import commands
from metaplatform.errors import StorageError
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.root_use import root_in_use
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import Decision, Promotion
from metaplatform_tests.scenario import write_project

BROKEN = """\
predictions:
  order_returns: {model: retuns}
models:
  returns:
    kind: xgboost
    task: ranking
    features_set: order_features
"""


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, arguments)


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Return the exit code of the command, as a shell sees it."""
    monkeypatch.setattr(sys, "argv", ["metaplatform", *arguments])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    return ended.value.code


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    return write_project(tmp_path, book=BROKEN)


def sound_book(folder: Path) -> Path:
    book = write_project(folder)
    (book / "book.yaml").write_text("spec_version: 2\n", encoding="utf-8")
    return book


def test_a_sound_book_is_told_so_with_what_it_holds(tmp_path: Path) -> None:
    answer = ask("validate", "--book", str(sound_book(tmp_path)))
    assert answer.exit_code == 0
    assert answer.stdout.startswith("The book is sound: 2 sources, 1 table, 1 feature set, 1 model")


def test_every_fault_of_a_broken_book_is_told_with_its_file_and_line(broken: Path) -> None:
    answer = ask("validate", "--book", str(broken))
    assert answer.exit_code == 1
    for place, what in {
        "shop.yaml:2:": "'retuns' is not defined",
        "shop.yaml:6:": "ranking",
        "shop.yaml:7:": "unknown key 'features_set'",
    }.items():
        (line,) = [line for line in answer.stdout.splitlines() if place in line and what in line]
        assert ": error: " in line
    assert "Did you mean 'returns'?" in answer.stdout
    assert answer.stdout.count("    fix: ") >= 3
    assert answer.stdout.splitlines()[-1].startswith("The book has ")


def test_faults_are_json_for_machines(broken: Path) -> None:
    answer = ask("validate", "--json", "--book", str(broken))
    assert answer.exit_code == 1
    faults = json.loads(answer.stdout)
    (fault,) = [each for each in faults if each["culprit"] == "features_set"]
    assert fault["location"] == {"file": "metadata/shop.yaml", "line": 7, "column": 5}
    assert fault["owner"] == "models.returns"
    assert fault["nearest"] == "feature_set"


def test_a_sound_book_has_no_faults_for_machines(tmp_path: Path) -> None:
    answer = ask("validate", "--json", "--book", str(sound_book(tmp_path)))
    assert (answer.exit_code, json.loads(answer.stdout)) == (0, [])


def test_a_warning_is_told_and_is_no_failure(tmp_path: Path) -> None:
    book = write_project(tmp_path)
    (book / "extra.yaml").write_text("tables:\n  nobody: {sql: select customer from raw.orders}\n", encoding="utf-8")
    answer = ask("validate", "--book", str(book))
    assert answer.exit_code == 0
    assert "extra.yaml:2:" in answer.stdout
    assert "warning: tables.nobody: nothing in the book reads it" in answer.stdout


def test_the_book_may_be_named_in_the_environment(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAPLATFORM_BOOK", str(broken))
    assert ask("validate").exit_code == 1


@pytest.mark.parametrize("arguments", [["validate", "--bok", "x"], ["rollback"], ["retrain"], ["ui", "--port", "many"]])
def test_wrong_use_ends_with_2(arguments: list[str]) -> None:
    assert ask(*arguments).exit_code == 2


def test_no_command_shows_them_all() -> None:
    shown = ask("--help").stdout
    assert all(name in shown for name in ("validate", "replay", "ui", "versions", "rollback", "decisions"))


def test_a_broken_book_is_replayed_in_no_way(
    broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "storage"
    assert run_main(monkeypatch, "replay", "--book", str(broken), "--root", str(root)) == 1
    told = capsys.readouterr().err
    assert "metadata/shop.yaml:6:" in told
    assert "Traceback" not in told
    assert not root.exists()


def test_the_ui_is_started_where_the_project_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    book = write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run_main(monkeypatch, "ui", "--book", str(book), "--root", str(tmp_path / "storage")) == 1
    assert "has no workspace.yaml. Fix: run it from the project's folder" in capsys.readouterr().err
    assert not (tmp_path / "storage").exists()


def test_a_model_nobody_trained_has_nothing_to_go_back_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, "rollback", "returns", "--root", str(tmp_path)) == 1
    told = capsys.readouterr().err
    assert "returns" in told
    assert "Fix: " in told
    assert "Traceback" not in told


def test_nothing_decided_is_told_as_such(tmp_path: Path) -> None:
    answer = ask("decisions", "--root", str(tmp_path))
    assert answer.exit_code == 0
    assert "nothing yet" in answer.stdout
    assert json.loads(ask("decisions", "--json", "--root", str(tmp_path)).stdout) == []


FIRST_LINE = """
import sys, typer
def echo(line, **_):
    print(line, *sorted({name.split(".")[0] for name in sys.modules} & set(sys.argv.pop().split())), sep="|")
    sys.exit()
typer.echo = echo
from metaplatform.cli import main
main()
"""
HEAVY = "dagster mlflow duckdb deltalake pyarrow pandas numpy xgboost ibis sqlglot sqlalchemy uvicorn"


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (("ui",), "Serving {root}: Ctrl-C stops"),
        (("replay",), "Replaying below {root}"),
        (("apply", "--yes"), "Comparing the book with what is below {root}"),
    ],
)
def test_a_command_says_what_it_does_before_it_imports_what_takes_seconds(
    tmp_path: Path, command: tuple[str, ...], line: str
) -> None:
    arguments = [*command, "--root", str(tmp_path / "storage"), "--book", str(write_project(tmp_path))]
    # The last argument is taken away before the command line is read.
    code = f"import sys; heavy = sys.argv.pop()\n{FIRST_LINE.replace('sys.argv.pop()', 'heavy')}"
    done = subprocess.run([sys.executable, "-c", code, *arguments, HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout == line.format(root=tmp_path / "storage") + "\n"


def test_a_root_is_removed_when_its_folder_is_named_and_that_is_confirmed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    Ledger(Warehouse(root=str(root))).append(Decision("d", "m", "wait", "", "", datetime(2024, 1, 1, tzinfo=UTC)))
    assert ask("root", "remove").exit_code == 2
    unanswered = ask("root", "remove", str(root))
    assert unanswered.exit_code == 2
    assert "warehouse" in unanswered.stdout
    assert (root / "warehouse").exists()
    with root_in_use(root):
        assert isinstance(ask("root", "remove", str(root), "--yes").exception, StorageError)
    assert (root / "warehouse").exists()
    assert ask("root", "remove", str(root), "--yes").exit_code == 0
    assert not (root / "warehouse").exists()


def test_a_folder_that_is_no_root_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert isinstance(ask("root", "remove", str(tmp_path), "--yes").exception, StorageError)
    assert (tmp_path / "mine.txt").exists()


@pytest.fixture
def decided(tmp_path: Path) -> Path:
    """Return a root whose ledger knows decisions on two models and one promotion."""
    january, march = (datetime(2024, month, 1, tzinfo=UTC) for month in (1, 3))
    february = datetime(2024, 2, 1, tzinfo=UTC)
    ledger = Ledger(Warehouse(root=str(tmp_path)))
    ledger.append(Decision("d1", "returns", "retrain", "first", "no version yet", january))
    ledger.append(Decision("d2", "returns", "wait", "drift", "drift: 1 of 1 failed; but cooldown", march))
    ledger.append(Decision("d3", "other", "wait", "first", "too few rows", january))
    scores = {"metric": "roc_auc", "champion_score": None, "challenger_score": 0.8, "gain": None, "lower_bound": None}
    ledger.append(
        Promotion(
            promotion_id="d1",
            model="returns",
            challenger_version=1,
            champion_version=None,
            outcome="promoted",
            rows=500,
            reasons="there is no champion yet",
            decided_at=february,
            run_id="r1",
            **scores,  # type: ignore[arg-type]
        )
    )
    return tmp_path


def test_decisions_of_one_model_are_told_in_time_order(decided: Path) -> None:
    told = " ".join(ask("decisions", "returns", "--root", str(decided)).stdout.split())
    order = [told.index(what) for what in ("no version yet", "no champion", "cooldown")]
    assert order == sorted(order)
    assert "too few" not in told


def test_decisions_are_json_for_machines_with_all_that_was_kept(decided: Path) -> None:
    kept = json.loads(ask("decisions", "returns", "--json", "--root", str(decided)).stdout)
    assert {each["outcome"] for each in kept} == {"retrain", "promoted", "wait"}
    (promotion,) = [each for each in kept if "promotion_id" in each]
    assert promotion["challenger_score"] == 0.8
    assert promotion["gain"] is None


def test_the_command_line_starts_without_what_only_some_commands_need() -> None:
    heavy = "{'dagster', 'sqlalchemy', 'duckdb', 'deltalake', 'pyarrow', 'ibis', 'mlflow'}"
    code = f"import sys, metaplatform.cli.commands; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "metaplatform", "validate", "--book", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ), timeout=120)
    assert done.returncode == 1
    assert "there is no folder" in done.stdout
    assert done.stderr == ""


def test_a_replay_reads_the_book_it_is_given_and_no_other(tmp_path: Path) -> None:
    book = write_project(tmp_path / "shop")
    command = [sys.executable, "-m", "metaplatform", "replay", "--book", str(book), "--root", str(tmp_path / "storage")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert "no-book" not in done.stderr
    assert "data/orders" in done.stderr
