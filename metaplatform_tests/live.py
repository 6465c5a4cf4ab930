"""Dagster's real daemon and code server over a project of the tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from deltalake import DeltaTable

from metaplatform.hosting.child import Child, Service, start
from metaplatform.resources.process.dagster_home import HISTORY_URL, InstanceSettings, write_dagster_home
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.warehouse import Warehouse

COUNTRIES = """\
sources:
  customers: {kind: csv, path: data/customers.csv, key: [customer]}
tables:
  countries: {sql: "select country, count(*) as people from raw.customers group by country"}
  shares: {sql: "select country, people / 300 as share from tables.countries"}
"""
WORKSPACE = "load_from:\n  - python_module: {module_name: metaplatform.definitions, location_name: metaplatform}\n"


@dataclass
class Daemon:
    """`dagster-daemon run` in a process group of its own, so that all of it can be killed at one stroke."""

    project: Path
    root: Path
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    _log_start: int = 0

    @classmethod
    def over(cls, project: Path) -> "Daemon":
        (project / "workspace.yaml").write_text(WORKSPACE, encoding="utf-8")
        root = project / "storage"
        home = write_dagster_home(
            root / "dagster",
            InstanceSettings(poll_interval_seconds=2, max_retries=2, start_timeout_seconds=60),
            shared=HISTORY_URL in os.environ,
        )
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "METAPLATFORM_BOOK": str(project / "metadata"),
            "METAPLATFORM_ROOT": str(root),
            "METAPLATFORM_SENSOR_INTERVAL_SECONDS": "5",
        }
        return cls(project, root, environment=environment)

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", "workspace.yaml"]
        with (self.project / "daemon.log").open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                command, cwd=self.project, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """End the daemon, its code server and every run's process, without a word."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, number)
            self.process.wait(timeout=30)
            self.process = None

    @property
    def ledger(self) -> Ledger:
        return Ledger(Warehouse(root=str(self.root)))

    def runs(self, *, tag: str | None = None) -> list[dg.DagsterRun]:
        with dg.DagsterInstance.from_config(self.environment["DAGSTER_HOME"]) as instance:
            return [run for run in instance.get_runs() if tag is None or tag in run.tags]

    def wait_for(self, what: str, met: Callable[[], bool], *, seconds: float = 600) -> None:
        deadline = time.monotonic() + seconds
        while not met():
            assert self.process is not None
            assert self.process.poll() is None, f"the daemon ended while waiting for {what}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"no {what} within {seconds} s:\n{self.tail()}"
            time.sleep(1)

    def looks(self, sensor: str) -> int:
        """Return how often a sensor was asked since the daemon was started last."""
        log = (self.project / "daemon.log").read_text(encoding="utf-8", errors="replace")
        return log[self._log_start :].count(f"Checking for new runs for sensor: {sensor}\n")

    def tail(self) -> str:
        return (self.project / "daemon.log").read_text(encoding="utf-8", errors="replace")[-4000:]


def dagster_dev(project: Path, port: int) -> Service:
    """Return `dagster dev` over the ``workspace.yaml`` of ``project``."""
    options = ("-w", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port))
    command = (sys.executable, "-W", "ignore", "-m", "dagster", "dev", *options)
    return Service("dagster", command, project, f"http://127.0.0.1:{port}", "/server_info")


@contextmanager
def running(
    service: Service, *, logs: Path, environment: Mapping[str, str], grace_seconds: float = 20.0
) -> Iterator[Child]:
    child = start(service, logs=logs, environment=environment)
    try:
        yield child
    finally:
        child.ask_to_stop()
        child.end(grace_seconds)


def wait_healthy(child: Child, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not child.healthy():
        child.check()
        assert time.monotonic() < deadline, child.failure("does not answer")
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens, other ones each time.

    They are below those that outgoing connections get, and each worker of the tests has its own: one that is free when
    it is chosen must be so still when a server comes up, or comes up again.
    """
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as probe:
            port = next(_PORTS)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    return found


def _ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw9").removeprefix("gw"))
    # Begun elsewhere by each process: two suites may run on one machine.
    begin = os.getpid() % 1_000
    while True:
        yield from (20_000 + 1_000 * (worker % 10) + (begin + number) % 1_000 for number in range(1_000))


_PORTS = _ports()


def spec_hashes(table: Path) -> list[str]:
    return [commit["spec_hash"] for commit in reversed(DeltaTable(table).history()) if "spec_hash" in commit]


def run_of_all(project: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).parent / "dagster"), "asset", "materialize", "--select", "*"]
    with (project / "run.log").open("wb") as log:
        return subprocess.Popen(
            [*command, "-m", "metaplatform.definitions"], cwd=project, env=environment, stdout=log, stderr=log
        )


def wait_for_log(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)


def graphql(url: str, query: str) -> Any:
    request = urllib.request.Request(  # noqa: S310  # an address of our own
        f"{url}/graphql", data=json.dumps({"query": query}).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310
        return json.load(response)["data"]


def assets_shown(url: str) -> set[str]:
    nodes = graphql(url, "{ assetNodes { assetKey { path } } }")["assetNodes"]
    return {".".join(node["assetKey"]["path"]) for node in nodes}
