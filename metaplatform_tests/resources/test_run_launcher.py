"""A run's process is real here: started, killed, and its number looked at again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus

from metaplatform.resources.process.dagster_home import InstanceSettings, write_dagster_home
from metaplatform.resources.run_launcher import HOST_TAG, PID_TAG, LocalRunLauncher, process_lives, worker_tags
from metaplatform_tests.live import dagster_dev, free_ports, running, wait_healthy

CUT_OFF_ONCE = """
import pathlib, time
import dagster as dg

marker = pathlib.Path(__file__).with_name("began")

@dg.asset
def before() -> None:
    with marker.with_name("before").open("a") as file:
        file.write("x")

@dg.asset(deps=[before])
def retrained() -> None:
    if not marker.exists():
        marker.touch()
        time.sleep(600)

@dg.sensor(target=[before, retrained], minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def once():
    yield dg.RunRequest(run_key="once")

defs = dg.Definitions(assets=[before, retrained], sensors=[once], executor=dg.in_process_executor)
"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(write_dagster_home(tmp_path))) as loaded:
        yield loaded


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def started_run(instance: dg.DagsterInstance, tags: dict[str, str], pid: int | None = None) -> dg.DagsterRun:
    @dg.op
    def step() -> None: ...

    @dg.job
    def work() -> None:
        step()

    run = instance.create_run_for_job(work, tags=tags)
    if pid is not None:
        instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    return run


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> WorkerStatus:
    assert isinstance(instance.run_launcher, LocalRunLauncher)
    return instance.run_launcher.check_run_worker_health(run).status


def test_a_run_is_running_until_its_process_is_killed(
    instance: dg.DagsterInstance, sleeper: subprocess.Popen[bytes]
) -> None:
    run = started_run(instance, {HOST_TAG: worker_tags()[HOST_TAG]}, sleeper.pid)
    assert status(instance, run) is WorkerStatus.RUNNING
    sleeper.kill()
    sleeper.wait()
    assert status(instance, run) is WorkerStatus.NOT_FOUND


def test_a_run_executed_in_its_own_process_is_known_by_its_tags(
    instance: dg.DagsterInstance, sleeper: subprocess.Popen[bytes]
) -> None:
    run = started_run(instance, worker_tags() | {PID_TAG: str(sleeper.pid)})
    assert status(instance, run) is WorkerStatus.RUNNING
    sleeper.kill()
    sleeper.wait()
    assert status(instance, run) is WorkerStatus.NOT_FOUND


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {HOST_TAG: "another-machine", PID_TAG: "1"},
        {HOST_TAG: worker_tags()[HOST_TAG], ".dagster/grpc_info": '{"host": "another-machine", "port": 4000}'},
    ],
    ids=["nobody said where", "another machine", "another machine's code server"],
)
def test_a_run_of_which_nothing_certain_is_known_counts_as_running(
    instance: dg.DagsterInstance, sleeper: subprocess.Popen[bytes], tags: dict[str, str]
) -> None:
    sleeper.kill()
    sleeper.wait()
    assert status(instance, started_run(instance, tags, sleeper.pid)) is WorkerStatus.RUNNING


def test_a_local_run_whose_process_nobody_recorded_counts_as_running(instance: dg.DagsterInstance) -> None:
    assert status(instance, started_run(instance, {HOST_TAG: worker_tags()[HOST_TAG]})) is WorkerStatus.RUNNING


def test_a_process_that_began_later_only_took_over_the_number() -> None:
    born = psutil.Process().create_time()
    assert process_lives(os.getpid(), born + 1)
    assert not process_lives(os.getpid(), born - 60)


def test_a_process_that_ended_but_was_not_waited_for_is_dead(sleeper: subprocess.Popen[bytes]) -> None:
    born = psutil.Process(sleeper.pid).create_time()
    sleeper.kill()
    psutil.wait_procs([psutil.Process(sleeper.pid)], timeout=0.2)
    assert not process_lives(sleeper.pid, born + 60)


@pytest.mark.live
def test_a_run_killed_with_all_its_services_is_finished_by_the_next_ones(tmp_path: Path) -> None:
    """Nothing but starting the services again is needed, and the step that was done is not done again."""
    (tmp_path / "cut.py").write_text(CUT_OFF_ONCE)
    (tmp_path / "workspace.yaml").write_text("load_from:\n  - python_file: {relative_path: cut.py}\n")
    home = write_dagster_home(tmp_path / "dagster", InstanceSettings(poll_interval_seconds=1))
    services = dagster_dev(tmp_path, free_ports(1)[0])
    environment = {"DAGSTER_HOME": str(home)}
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        running(services, logs=tmp_path / "first", environment=environment) as child,
    ):
        wait_until((tmp_path / "began").exists)
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.STARTED]
        with running(services, logs=tmp_path / "second", environment=environment) as again:
            wait_healthy(again)

            def succeeded() -> bool:
                again.check()
                return any(run.status is dg.DagsterRunStatus.SUCCESS for run in instance.get_runs())

            wait_until(succeeded)
        retry, killed = instance.get_runs()
        assert killed.status is dg.DagsterRunStatus.FAILURE
        assert retry.parent_run_id == killed.run_id
    assert (tmp_path / "before").read_text() == "x"


def wait_until(holds: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)
