"""A replay that fails says how far it came, and goes on from there as if nothing had happened."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from metaplatform.cli import commands
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.records.ledger import Arrival

BOOK = """\
sources:
  orders:
    kind: csv
    path: data/*.csv
    columns: {id: bigint, at: timestamp, note: varchar}
    key: [id]
    event_timestamp: at
    partitions: {every: day, start: 2024-01-01}
tables:
  notes: {partitioned_by: raw.orders, sql: "select id, CAST(note as integer) as number from raw.orders"}
"""
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project whose third day has a note that cannot be cast."""
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "book.yaml").write_text(BOOK, encoding="utf-8")
    (tmp_path / "data").mkdir()
    for number, day in enumerate(DAYS):
        note = "x" if day == DAYS[2] else number
        (tmp_path / "data" / f"{day}.csv").write_text(f"id,at,note\n{number},{day} 12:00:00,{note}\n", encoding="utf-8")
    return tmp_path


def replay(project: Path, root: str, *options: str) -> Result:
    book, target = str(project / "metadata"), str(project / root)
    result = str(project / f"{root}.json")
    return CliRunner().invoke(
        commands.app, ["replay", "--book", book, "--root", target, "--json", result, *options], catch_exceptions=False
    )


def made(project: Path, root: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the partitions that a replay made, and what arrived when."""
    warehouse = Warehouse(root=str(project / root))
    arrivals = [(kept.partition, kept.arrived_at.isoformat()) for kept in Ledger(warehouse).read(Arrival)]
    return sorted(warehouse.partitions("tables.notes")), arrivals


def test_a_replay_that_fails_tells_how_far_it_came_and_is_resumed(project: Path) -> None:
    failed = replay(project, "root")
    assert failed.exit_code == 1
    assert "tables__notes" in failed.stderr
    assert "ended at 2024-01-04 00:00:00 UTC" in failed.stderr
    assert "--resume" in failed.stderr
    kept = json.loads((project / "root.json").read_text(encoding="utf-8"))
    assert kept["reached"] == "2024-01-04T00:00:00+00:00"
    assert "tables__notes" in kept["failure"]
    assert made(project, "root")[0] == list(DAYS[:2])

    refused = CliRunner().invoke(
        commands.app, ["replay", "--book", str(project / "metadata"), "--root", str(project / "root")]
    )
    assert "--resume" in str(refused.exception)
    assert replay(project, "root", "--resume").exit_code == 1

    book = project / "metadata" / "book.yaml"
    book.write_text(BOOK.replace("CAST(", "TRY_CAST("), encoding="utf-8")
    resumed = replay(project, "root", "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    assert json.loads((project / "root.json").read_text(encoding="utf-8"))["failure"] is None

    assert replay(project, "another").exit_code == 0
    at_once, stepwise = made(project, "another"), made(project, "root")
    assert stepwise[0] == at_once[0] == list(DAYS)
    assert list(dict.fromkeys(stepwise[1])) == at_once[1]


def test_a_finished_replay_goes_on_when_more_days_have_come(project: Path) -> None:
    late = project / "data" / f"{DAYS[3]}.csv"
    text = late.read_text(encoding="utf-8")
    for path in (late, project / "data" / f"{DAYS[2]}.csv"):
        path.unlink()
    assert replay(project, "root").exit_code == 0
    late.write_text(text, encoding="utf-8")
    assert replay(project, "root", "--resume").exit_code == 0
    assert made(project, "root")[0] == [DAYS[0], DAYS[1], DAYS[3]]


def test_nothing_is_resumed_where_no_replay_was(project: Path) -> None:
    with pytest.raises(Exception, match="no replay recorded there"):
        replay(project, "root", "--resume")


def test_to_resume_and_to_begin_anew_are_not_asked_for_together(project: Path) -> None:
    assert replay(project, "root", "--resume", "--fresh").exit_code == 2
