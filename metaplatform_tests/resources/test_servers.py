"""The real servers on free ports, started and stopped as a person would from a terminal."""

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
from metaplatform.resources.servers import Ports, Service, _stop_signals, mlflow_service, running, serve

SERVE = """
import sys
from pathlib import Path
from metaplatform.resources.servers import Ports, serve
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


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    numbers = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return numbers


def make_project(folder: Path, definitions: str = DEFINITIONS) -> Path:
    folder.mkdir()
    (folder / "tiny.py").write_text(textwrap.dedent(definitions))
    (folder / "workspace.yaml").write_text(
        "load_from:\n  - python_file: {relative_path: tiny.py, location_name: tiny}\n"
    )
    return folder


@contextmanager
def served(root: Path, project: Path, ports: list[int]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SERVE, str(root), str(project), *map(str, ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def listening(ports: list[int], members: list[psutil.Process]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for member in members:
        for connection in member.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ports:
                found.setdefault(connection.laddr.port, set()).add(connection.laddr.ip)
    return found


def post(url: str, query: str) -> dict[str, object]:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        answer: dict[str, object] = json.load(response)["data"]
        return answer


@pytest.mark.live
def test_all_three_come_up_on_loopback_and_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    project, ports = make_project(tmp_path / "project"), free_ports(3)
    with served(tmp_path / "root", project, ports) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().split() for _ in range(3)]
        assert said == [
            ["Dagster", f"http://127.0.0.1:{ports[0]}"],
            ["MLflow", f"http://127.0.0.1:{ports[1]}"],
            ["Reports", f"http://127.0.0.1:{ports[2]}"],
        ]
        answer = post(said[0][1], "{assetNodes {assetKey {path}} }")
        assert answer == {"assetNodes": [{"assetKey": {"path": ["one"]}}]}
        members = family(process)
        assert listening(ports, [psutil.Process(process.pid), *members]) == {port: {"127.0.0.1"} for port in ports}
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout.read().splitlines() == ["Ctrl-C stops all of them.", "Stopping."]
        assert not [member for member in members if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]
    assert (tmp_path / "root" / "dagster" / "dagster.yaml").exists()
    assert (tmp_path / "root" / "mlflow.db").exists()


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
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_usual_ways_to_stop_a_program_stop_the_servers(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with _stop_signals() as stopped:
        assert not stopped.is_set()
        os.kill(os.getpid(), number)
        assert stopped.wait(10)
    assert signal.getsignal(number) == before


def service(tmp_path: Path, code: str, port: int = 1) -> Service:
    return Service("tiny", (sys.executable, "-c", textwrap.dedent(code)), tmp_path, f"http://127.0.0.1:{port}", "/")


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
    (project / "tiny.py").write_text("raise RuntimeError\n")
    with pytest.raises(ServerError, match="does not answer"):
        serve(tmp_path / "root", project=project, announce=print, ports=ports, startup_seconds=0.1)


def test_a_server_that_ends_at_once_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = service(tmp_path, "import sys; sys.exit('no database here')")
    with (
        running(broken, logs=tmp_path / "logs", environment={}) as child,
        pytest.raises(ServerError, match=r"tiny: the server ended with exit code 1\n +no database here"),
    ):
        child.wait_healthy(30, threading.Event())


def test_a_server_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    mute = service(tmp_path, "import time; time.sleep(600)", free_ports(1)[0])
    with (
        running(mute, logs=tmp_path / "logs", environment={}) as child,
        pytest.raises(ServerError, match="does not answer after 1 s"),
    ):
        child.wait_healthy(1, threading.Event())
    assert child.process.returncode is not None


STUBBORN = """
    import subprocess, sys, time
    child = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN);" + sys.argv[1] + "time.sleep(600)"
    grandchild = subprocess.Popen([sys.executable, "-c", child])
    print(grandchild.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("deaf", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN);"], ids=["slow", "deaf"])
def test_what_a_server_left_behind_is_ended_too(tmp_path: Path, deaf: str) -> None:
    parent = service(tmp_path, STUBBORN)
    parent = Service(parent.name, (*parent.command, deaf), parent.folder, parent.url, parent.health)
    with running(parent, logs=tmp_path / "logs", environment={}, grace_seconds=2) as child:
        wait_for(lambda: child.log.read_text().strip().isdigit())
        orphan = psutil.Process(int(child.log.read_text()))
        assert orphan.is_running()
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def wait_for(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def test_children_get_what_they_need_and_not_the_terminals_group(tmp_path: Path) -> None:
    telling = service(
        tmp_path,
        """
        import os
        print(os.environ["DAGSTER_HOME"], os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"])
        print(os.getpgid(0) == os.getpid())
        """,
    )
    with running(telling, logs=tmp_path / "logs", environment={"DAGSTER_HOME": "here"}) as child:
        child.process.wait(30)
        assert os.getpgid(0) != child.process.pid
    assert child.log.read_text().split() == ["here", "false", "True"]


def test_mlflow_is_asked_to_listen_on_loopback_alone(tmp_path: Path) -> None:
    command = mlflow_service(tmp_path, 5001).command
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--workers") + 1] == "1"
