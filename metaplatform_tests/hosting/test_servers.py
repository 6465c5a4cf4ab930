"""The real servers on free ports, started, killed and stopped as a person would from a terminal."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from metaplatform.errors import ServerError
from metaplatform.hosting.child import bearing
from metaplatform.hosting.servers import _stop_signals, serve
from metaplatform.hosting.services import Ports, code_servers, daemon
from metaplatform.hosting.serving_record import MARK, ServingRecord
from metaplatform.resources.process.dagster_home import write_dagster_home
from metaplatform_tests.live import free_ports, graphql

SERVE = """
import sys
from pathlib import Path
from metaplatform.hosting.servers import serve
from metaplatform.hosting.services import Ports
root, project, dagster, mlflow, reports = sys.argv[1:]
ports = Ports(dagster=int(dagster), mlflow=int(mlflow), reports=int(reports))
sys.exit(serve(Path(root), project=Path(project), ports=ports, announce=lambda line: print(line, flush=True)))
"""

DEFINITIONS = """
import dagster as dg

@dg.asset
def one() -> int:
    return 1

defs = dg.Definitions(assets=[one])
"""


def make_project(folder: Path, definitions: str = DEFINITIONS) -> Path:
    folder.mkdir()
    (folder / "tiny.py").write_text(textwrap.dedent(definitions))
    (folder / "workspace.yaml").write_text(
        "load_from:\n  - python_file: {relative_path: tiny.py, location_name: tiny}\n"
    )
    return folder


class Ui:
    """A `ui` in a process of its own, and what it has said."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.said: list[str] = []

    def says(self, text: str, seconds: float = 180) -> str:
        assert self.process.stdout is not None
        # A read has no limit of its own: killed, the process ends it.
        limit = threading.Timer(seconds, self.process.kill)
        limit.start()
        try:
            for line in self.process.stdout:
                self.said.append(line.rstrip())
                if text in line:
                    return line.rstrip()
        finally:
            limit.cancel()
        raise AssertionError((text, self.said))


@contextmanager
def served(root: Path, project: Path, ports: list[int]) -> Iterator[Ui]:
    command = [sys.executable, "-c", SERVE, str(root), str(project), *map(str, ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield Ui(process)
        finally:
            process.kill()


def listening(ports: list[int], members: list[psutil.Process]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for member in members:
        for connection in member.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ports:
                found.setdefault(connection.laddr.port, set()).add(connection.laddr.ip)
    return found


def assets(port: int) -> list[str]:
    body = json.dumps({"query": "{assetNodes {assetKey {path}} }"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return [node["assetKey"]["path"][0] for node in json.load(response)["data"]["assetNodes"]]
    except OSError:
        return []


def answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
            return True
    except OSError:
        return False


def wait_for(holds: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)


def kill(mark: str, *words: str) -> None:
    """Kill the processes of a `ui` whose command holds these words, without a word."""
    found = [process for process in bearing(MARK, mark) if set(words) <= set(process.cmdline())]
    assert found
    for process in found:
        process.kill()


@pytest.mark.live
def test_servers_come_up_on_loopback_outlive_their_deaths_and_end_together(tmp_path: Path) -> None:
    root, project, ports = tmp_path / "root", make_project(tmp_path / "project"), free_ports(3)
    with served(root, project, ports) as ui:
        ui.says("Ctrl-C stops all of them.")
        assert [line.split() for line in ui.said[-4:-1]] == [
            ["Dagster", f"http://127.0.0.1:{ports[0]}"],
            ["MLflow", f"http://127.0.0.1:{ports[1]}"],
            ["Reports", f"http://127.0.0.1:{ports[2]}"],
        ]
        assert assets(ports[0]) == ["one"]
        record = ServingRecord.read(root)
        assert record is not None
        assert listening(ports, bearing(MARK, record.mark)) == {port: {"127.0.0.1"} for port in ports}

        kill(record.mark, "dagster._daemon")
        kill(record.mark, "metaplatform.hosting.web_server")
        kill(record.mark, "metaplatform.hosting.report_server")
        kill(record.mark, "mlflow", "server")
        kill(record.mark, "api", "grpc")
        ui.says("code is started again.")
        told = {name: f"{name} is started again." for name in ("daemon", "dagster", "reports", "mlflow", "code")}
        assert set(told.values()) <= set(ui.said)
        wait_for(lambda: assets(ports[0]) == ["one"])
        wait_for(lambda: answers(ports[1], "/health") and answers(ports[2], "/"))

        ui.process.kill()
        ui.process.wait()
        assert bearing(MARK, record.mark)
    with served(root, project, ports) as again:
        again.says("left behind")
        assert again.said[0].startswith("Ending ")
        again.says("Starting")
        assert not bearing(MARK, record.mark)
        record = ServingRecord.read(root)
        # In the middle of the start, and twice.
        again.process.send_signal(signal.SIGINT)
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait(60) == 0
        assert record is None or not bearing(MARK, record.mark)
    assert ServingRecord.read(root) is None
    assert (root / "dagster" / "dagster.yaml").exists()


ASKING = """
import dagster as dg

@dg.asset
def one(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"storage": type(context.instance.event_log_storage).__name__})

@dg.sensor(target=one, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def ask(context: dg.SensorEvaluationContext) -> dg.RunRequest:
    return dg.RunRequest(run_key=type(context.instance.event_log_storage).__name__)

defs = dg.Definitions(assets=[one], sensors=[ask])
"""
RUNS = """{ runsOrError { ... on Runs { results { status tags { key value } eventConnection { events {
... on MaterializationEvent { metadataEntries { ... on TextMetadataEntry { text } } } } } } } } }"""


def made_by(url: str) -> list[str]:
    """Return by which storage the sensor asked for the run, and the run was made, once it is."""
    runs = graphql(url, RUNS)["runsOrError"]["results"]
    keys = [tag["value"] for run in runs for tag in run["tags"] if tag["key"] == "dagster/run_key"]
    events = [event for run in runs for event in run["eventConnection"]["events"] if event]
    texts = [entry["text"] for event in events for entry in event["metadataEntries"]]
    return [*keys, *texts] if runs and runs[0]["status"] == "SUCCESS" else []


@pytest.mark.parametrize("foreign", ["", "  - grpc_server: {host: localhost, port: 1, location_name: far}\n"])
def test_a_code_location_that_is_not_ours_is_not_told_of_our_storage(tmp_path: Path, foreign: str) -> None:
    project, home, workspace = make_project(tmp_path / "project"), write_dagster_home(tmp_path), tmp_path / "w.yaml"
    with (project / "workspace.yaml").open("a") as file:
        file.write(foreign)
    code = code_servers(project, tmp_path, workspace)
    assert ("--instance-ref" in daemon(project, workspace, home, code).command) is not bool(foreign)


@pytest.mark.live
def test_runs_and_sensors_write_over_kept_connections_what_pages_read(tmp_path: Path) -> None:
    ports = free_ports(3)
    url, deadline = f"http://127.0.0.1:{ports[0]}", time.monotonic() + 240
    with served(tmp_path / "root", make_project(tmp_path / "project", ASKING), ports) as ui:
        ui.says("Ctrl-C")
        while not (found := made_by(url)):
            assert time.monotonic() < deadline, ui.said
            time.sleep(1)
        assert found == ["KeptEvents", "KeptEvents"]
        ui.process.send_signal(signal.SIGINT)
        assert ui.process.wait(60) == 0


@pytest.mark.parametrize(
    ("position", "setting"), [(0, "--port"), (1, "METAPLATFORM_MLFLOW_PORT"), (2, "METAPLATFORM_REPORTS_PORT")]
)
def test_a_busy_port_is_named_with_the_setting_that_moves_it(tmp_path: Path, position: int, setting: str) -> None:
    ports = free_ports(3)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", ports[position]))
        squatter.listen()
        chosen = Ports(dagster=ports[0], mlflow=ports[1], reports=ports[2])
        with pytest.raises(ServerError, match=rf"port {ports[position]} .* with {setting}$"):
            serve(tmp_path / "root", project=tmp_path, ports=chosen, announce=lambda _: None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_usual_ways_to_stop_a_program_stop_the_servers(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with _stop_signals() as stopped:
        assert not stopped.is_set()
        os.kill(os.getpid(), number)
        assert stopped.wait(10)
    assert signal.getsignal(number) == before


def test_a_root_is_served_once_and_the_lock_of_a_killed_server_is_free(tmp_path: Path) -> None:
    holder = "import sys, filelock; it = filelock.FileLock(sys.argv[1]); it.acquire(); print(1, flush=True); input()"
    project = make_project(tmp_path / "project")
    (tmp_path / "root").mkdir()
    dagster, mlflow, reports = free_ports(3)
    ports = Ports(dagster=dagster, mlflow=mlflow, reports=reports)
    command = [sys.executable, "-c", holder, str(tmp_path / "root" / "ui.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ServerError, match="another `metaplatform ui` serves this storage root"):
            serve(tmp_path / "root", project=project, announce=print, ports=ports)
        other.kill()
    said: list[str] = []
    with pytest.raises(ServerError, match="does not answer after 0 s"):
        serve(tmp_path / "root", project=project, announce=said.append, ports=ports, startup_seconds=0, grace_seconds=1)
    assert said == ["Starting mlflow, reports", "Starting code"]


@pytest.mark.parametrize("text", [None, "[", "load_from: 3", "load_from:\n  - python_module: {x: y}"])
def test_a_workspace_that_cannot_be_read_is_told_as_such(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "workspace.yaml").write_text(text)
    dagster, mlflow, reports = free_ports(3)
    ports = Ports(dagster=dagster, mlflow=mlflow, reports=reports)
    with pytest.raises(ServerError, match=r"workspace\.yaml"):
        serve(tmp_path / "root", project=tmp_path, announce=print, ports=ports)
