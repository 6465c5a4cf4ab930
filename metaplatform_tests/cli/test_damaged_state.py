"""Each file of a root's state is damaged in turn, and each command is run: one message, a fix, and no traceback."""

import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from metaplatform.cli.faults import fault_of
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.process.dagster_home import write_dagster_home
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import Decision
from metaplatform_tests.damage import check_told, cut_short, empty, garbage, gone, last_gone, run
from metaplatform_tests.live import COUNTRIES
from metaplatform_tests.processes import python

DECIDED = Decision("one", "returns", "wait", "", "no rows", datetime(2024, 3, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a root that has been applied, a ledger, and the files of a model's version."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "book.yaml").write_text(COUNTRIES)
    (folder / "data").mkdir()
    (folder / "data" / "customers.csv").write_text("customer,country\n1,SE\n2,FI\n")
    root = folder / "storage"
    options = ("--yes", "--book", "metadata", "--root", "storage")
    python("-m", "metaplatform", "apply", *options, cwd=folder, check=True)
    Ledger(Warehouse(root=str(root))).append(DECIDED)
    ModelRegistry(tracking_uri=f"sqlite:///{root}/mlflow.db", artifact_root=str(root / "mlartifacts")).ensure()
    (root / "mlartifacts" / "returns" / "models" / "m-1").mkdir(parents=True)
    return folder


def first_commit(table: str) -> str:
    return f"warehouse/{table}/_delta_log/00000000000000000000.json"


DAMAGES: list[tuple[str, Callable[[Path], None]]] = [
    *(("mlflow.db", damage) for damage in (garbage, cut_short, gone, empty)),
    ("dagster/history/runs.db", garbage),
    ("dagster/history/runs/index.db", garbage),
    ("dagster/schedules/schedules.db", garbage),
    ("dagster/dagster.yaml", garbage),
    *(
        (first_commit(table), damage)
        for table in ("raw/customers", "monitoring/decisions")
        for damage in (gone, garbage)
    ),
    ("warehouse/monitoring/decisions/_delta_log", last_gone),
    *(("book/records.db", damage) for damage in (garbage, cut_short, gone, empty)),
    ("book/built/tables/shares.json", garbage),
    ("root.json", garbage),
    ("ui.json", garbage),
]
COMMANDS = (
    ("plan",),
    ("apply", "--yes"),
    ("versions", "returns"),
    ("decisions",),
    ("rollback", "returns"),
)


@pytest.mark.parametrize(("file", "damage"), DAMAGES, ids=lambda value: getattr(value, "__name__", value))
def test_no_traceback_reaches_a_person_whatever_is_damaged(
    healthy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    file: str,
    damage: Callable[[Path], None],
) -> None:
    project = Path(shutil.copytree(healthy, tmp_path / "project"))
    target = project / "storage" / file
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("{}")
    damage(target)
    # So that there is something to make.
    (project / "metadata" / "book.yaml").write_text(COUNTRIES.replace("people / 300", "people / 3000"))
    for command in COMMANDS:
        book = ("--book", str(project / "metadata")) if command[0] in {"plan", "apply"} else ()
        code = run(monkeypatch, *command, *book, "--root", str(project / "storage"))
        check_told(code, capfd.readouterr().err, command)


def test_what_dagster_cannot_read_of_its_own_is_set_aside_and_made_anew(healthy: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(healthy / "storage" / "dagster", tmp_path / "dagster"))
    garbage(home / "history" / "runs.db")
    write_dagster_home(home)
    assert (home / "history" / "runs.db.damaged").read_bytes().startswith(b"\x00garbage")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_runs() == []


def test_a_disk_that_is_full_in_the_middle_of_a_run_is_told_and_what_was_made_stays(
    healthy: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands for the full disk."""
    project = Path(shutil.copytree(healthy, tmp_path / "project"))
    (project / "metadata" / "book.yaml").write_text(COUNTRIES.replace("people / 300", "people / 3000"))
    command = [sys.executable, "-m", "metaplatform", "apply", "--yes", "--root", "storage", "--book", "metadata"]
    before = Warehouse(root=str(project / "storage")).version("tables.shares")

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))

    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, preexec_fn=full)
    assert done.returncode == 1
    assert re.search(r"(space|full|disk|File too large).*Fix: ", done.stderr, flags=re.DOTALL), done.stderr
    check_told(done.returncode, done.stderr, command)
    assert Warehouse(root=str(project / "storage")).version("tables.shares") == before


def test_a_database_that_another_process_holds_is_told_as_such() -> None:
    error = RuntimeError("some library's text")
    error.__cause__ = sqlite3.OperationalError("database is locked")
    assert str(fault_of(error)).endswith(
        "database is locked. Fix: another process writes to it: wait for it, or stop it, and run the command again"
    )


def test_what_nobody_foresaw_is_one_line_with_its_details_in_a_file() -> None:
    told = str(fault_of(KeyError("strange")))
    assert told.startswith("metaplatform: an unexpected error (KeyError: 'strange'). Fix: report it ")
    details = Path(told.rsplit(" ", 1)[1])
    assert details.read_text() == "KeyError: 'strange'\n"
    details.unlink()
