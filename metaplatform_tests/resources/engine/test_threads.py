"""Threads: as declared, else as many CPUs as the process may use and its container allows."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import dagster as dg
import pytest

from metaplatform.composition import definitions_of, platform_resources
from metaplatform.resources.engine.threads import allotted_threads, threads_of_each
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest

CPUS = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("50000 100000", 1), ("150000 100000", min(2, CPUS)), ("max 100000", CPUS), ("0 0", CPUS), ("strange", CPUS)],
)
def test_follow_the_limit_of_the_container(tmp_path: Path, limit: str, expected: int):
    (tmp_path / "cpu.max").write_text(limit)
    assert allotted_threads(0, cgroup=tmp_path) == expected
    assert allotted_threads(7, cgroup=tmp_path) == 7


@pytest.mark.parametrize(("quota", "expected"), [("50000", 1), ("-1", CPUS)])
def test_follow_the_limit_of_older_containers(tmp_path: Path, quota: str, expected: int):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert allotted_threads(0, cgroup=tmp_path) == expected


def test_without_control_groups_are_the_cpus_of_the_process(tmp_path: Path):
    assert allotted_threads(0, cgroup=tmp_path) == CPUS
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
    code += "from metaplatform.resources.engine.threads import allotted_threads; print(allotted_threads(0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize("declared", [0, 1, 3])
def test_of_the_engine_and_of_a_session_are_the_same(tmp_path: Path, declared: int):
    with Warehouse(root=str(tmp_path), threads=declared).session() as session:
        (found,) = session.backend.con.execute("select current_setting('threads')").fetchone() or ()
        assert found == session.threads == allotted_threads(declared)


@pytest.mark.parametrize(("declared", "steps", "each"), [(1, 1, 1), (3, 3, 1), (4, 4, 1), (7, 4, 1), (16, 4, 4)])
def test_of_steps_that_work_at_once_are_together_no_more_than_those_of_the_run(declared: int, steps: int, each: int):
    assert threads_of_each(declared) == (steps, each)


@pytest.mark.parametrize(("executor", "threads"), [("in_process", 9), ("multiprocess", 2)])
def test_of_a_deployment_are_divided_where_its_executor_runs_steps_at_once(
    tmp_path: Path, executor: Literal["in_process", "multiprocess"], threads: int
):
    deployment = Deployment(book=tmp_path, root=tmp_path, executor=executor, threads=9)
    warehouse = platform_resources(deployment)["warehouse"]
    assert isinstance(warehouse, Warehouse)
    assert warehouse.threads == threads
    chosen = definitions_of(Manifest(root=str(tmp_path)), deployment).executor
    assert isinstance(chosen, dg.ExecutorDefinition)
    if executor == "in_process":
        assert chosen is dg.in_process_executor
    else:
        assert chosen.apply_config_mapping({}).value["config"]["max_concurrent"] == 4


def test_are_asked_for_in_one_place():
    """Whoever asks the machine for its CPUs takes what the container does not give."""
    package = Path(__file__).parents[3] / "metaplatform"
    asking = [path.name for path in package.rglob("*.py") if "cpu_count" in path.read_text(encoding="utf-8")]
    assert asking == ["threads.py"]
