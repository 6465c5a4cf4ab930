"""The loop over a PostgreSQL database: its daemon and runs in processes of their own, the server away for a while."""

import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from metaplatform.execution import deployment_instance
from metaplatform.resources.process.dagster_home import HISTORY_URL
from metaplatform.specs.book.deployment import Deployment
from metaplatform_tests.live import COUNTRIES, Daemon
from metaplatform_tests.resources import databases

pytestmark = pytest.mark.live


@pytest.fixture
def server() -> Iterator[Any]:
    # Not below pytest's folder, which each other suite of this user closes to the server's own user.
    with tempfile.TemporaryDirectory() as folder, databases.postgresql_server(Path(folder) / "server") as server:
        yield server


@pytest.fixture
def daemon(tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv(HISTORY_URL, databases.new_database(server.get_uri(), "history"))
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "book.yaml").write_text(COUNTRIES)
    (tmp_path / "data").mkdir()
    customers(tmp_path, "1,SE", "2,FI")
    daemon = Daemon.over(tmp_path)
    try:
        yield daemon
    finally:
        daemon.stop()


def customers(project: Path, *rows: str) -> None:
    (project / "data" / "customers.csv").write_text("\n".join(("customer,country", *rows, "")))


def rows(daemon: Daemon) -> int | None:
    warehouse = daemon.ledger._warehouse
    return warehouse.row_count("raw.customers") if warehouse.exists("tables.shares") else None


def at_rest(daemon: Daemon) -> bool:
    return all(run.is_finished for run in daemon.runs())


def test_the_loop_goes_on_after_the_server_was_away_and_a_crashed_run_is_tried_again(
    daemon: Daemon, server: Any
) -> None:
    daemon.start()
    daemon.wait_for("first rows", lambda: rows(daemon) == 2 and at_rest(daemon))
    assert not list((daemon.root / "dagster").rglob("*.db")), "nothing of the history is below the root"

    postmaster = server.get_postmaster_info().process
    postmaster.send_signal(signal.SIGQUIT)
    postmaster.wait(30)
    customers(daemon.project, "1,SE", "2,FI", "3,NO")
    time.sleep(5)
    server.ensure_postgres_running()
    daemon.wait_for("rows after the server was away", lambda: rows(daemon) == 3 and at_rest(daemon))

    deployment = Deployment(book=daemon.project / "metadata", root=daemon.root)
    with deployment_instance(deployment) as instance:
        pools = instance.event_log_storage
        assert pools.supports_global_concurrency_limits
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 4
        known = {run.run_id for run in instance.get_runs()}
        customers(daemon.project, "1,SE", "2,FI", "3,NO", "4,DK")

        def killed() -> bool:
            begun = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
            for run in instance.get_runs(dg.RunsFilter(statuses=begun)):
                for event in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
                    message = event.dagster_event.message if event.dagster_event else None
                    if run.run_id not in known and message and "Started process for run (pid: " in message:
                        psutil.Process(int(message.partition("(pid: ")[2].partition(")")[0])).kill()
                        return True
            return False

        daemon.wait_for("a run at work", killed)
        daemon.wait_for("rows though a run was killed", lambda: rows(daemon) == 4 and at_rest(daemon))
        assert any("dagster/parent_run_id" in run.tags for run in instance.get_runs()), "tried again"
