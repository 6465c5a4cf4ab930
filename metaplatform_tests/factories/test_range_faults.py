"""Runs over ranges that are killed, that overlap, and in which the source's columns change."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from metaplatform_tests.factories.test_range_runs import BOOK, FIRST, LAST, TABLES, ask, kept, lived, rides
from metaplatform_tests.small_project import SmallProject, dagster_unsynced

EVOLVING = BOOK.replace("max_ahead:", "contract: evolve\n    max_ahead:")
PLAY = """
import sys
from pathlib import Path
from datetime import datetime
from metaplatform_tests.small_project import SmallProject
project = SmallProject(Path(sys.argv[1]))
with project.at_work():
    print("at work", flush=True)
    project.play(datetime.fromisoformat(sys.argv[2]))
"""
ASK = """
import sys
from pathlib import Path
from metaplatform_tests.factories.test_range_runs import ask
from metaplatform_tests.small_project import SmallProject
project = SmallProject(Path(sys.argv[1]))
with project.at_work():
    print("at work", flush=True)
    sys.stdin.readline()
    for ref in ("raw.rides", "tables.per_bike", "features.bikes"):
        ask(project, ref, *sys.argv[2:])
"""


def at_work(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process and wait until it has loaded its definitions."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


def test_a_run_that_is_killed_in_a_range_leaves_whole_partitions_and_the_next_makes_the_rest(tmp_path: Path) -> None:
    project = SmallProject(tmp_path / "project", BOOK)
    project.put("data/rides.csv", rides())
    # Runs end by the wall's clock, and one that has failed is tried again some time after it.
    began = datetime.now(UTC)
    for day, reached in enumerate(("raw.rides", "tables.long_rides", "features.bikes")):
        process = at_work(PLAY, project.folder, (began + timedelta(days=day)).isoformat())
        while process.poll() is None and not project.warehouse.exists(reached):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        process.communicate()
        for ref in TABLES:
            # What there is, is whole: as many rows as its own log counts.
            if project.warehouse.exists(ref):
                states = project.warehouse.partitions(ref)
                assert len(project.rows(ref)) == sum(state.rows for state in states.values())
        with project.at_work():
            assert project.conductor is not None
            # The daemon does this for a run whose process is gone.
            for run in project.conductor.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
                project.conductor.instance.report_run_failed(run)
    with project.at_work():
        project.play(began + timedelta(days=3))
    untouched = lived(tmp_path / "untouched", [LAST], rides())
    for ref, order in TABLES.items():
        pd.testing.assert_frame_equal(project.rows(ref, *order), untouched.rows(ref, *order))
    assert project.stale() == {}
    assert dagster_unsynced(project) == set()


def test_ranges_that_overlap_may_be_made_at_once(tmp_path: Path) -> None:
    project = lived(tmp_path / "project", [LAST], rides())
    before = kept(project)
    project.put("data/rides.csv", rides().assign(km=lambda rows: rows["km"] + 1))
    both = [
        at_work(ASK, project.folder, *days) for days in (("2024-03-25", "2024-04-02"), ("2024-03-30", "2024-04-06"))
    ]
    for process in both:
        process.communicate("go\n", timeout=300)
    assert [process.returncode for process in both] == [0, 0]
    with project.at_work():
        project.play(LAST + timedelta(minutes=1))
    changed = lived(tmp_path / "changed", [LAST], rides().assign(km=lambda rows: rows["km"] + 1))
    assert kept(project)["tables"] == kept(changed)["tables"] != before["tables"]
    assert project.stale() == {}


@pytest.mark.parametrize("kind", ["one by one", "in a range"])
def test_a_column_that_comes_in_the_middle_of_a_range_is_null_before_it(tmp_path: Path, kind: str) -> None:
    rows = rides()
    later = rows["at"] >= "2024-04-01"
    project = SmallProject(tmp_path / "project", EVOLVING)
    project.put("data/a.csv", rows[~later])
    if kind == "one by one":
        with project.at_work():
            project.play(FIRST + timedelta(days=7))
    project.put("data/b.csv", rows[later].assign(tip="1.5"))
    with project.at_work():
        project.play(LAST)
        ask(project, "raw.rides", "2024-03-27", "2024-04-03")
    found = project.rows("raw.rides", "ride_id")
    assert list(found["ride_id"]) == list(rows["ride_id"])
    assert list(found["tip"].notna()) == list(later)
    assert project.warehouse.schema("raw.rides").names[:4] == ["ride_id", "at", "bike", "km"]
