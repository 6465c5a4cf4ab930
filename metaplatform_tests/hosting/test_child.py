"""Children are real processes, ended as a person would end them."""

import os
import socket
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from metaplatform.errors import ServerError
from metaplatform.hosting.child import Service, start
from metaplatform.hosting.services import mlflow_server
from metaplatform_tests.live import running


def service(folder: Path, code: str, *arguments: str) -> Service:
    return Service("tiny", (sys.executable, "-c", textwrap.dedent(code), *arguments), folder, "http://127.0.0.1:1", "/")


def wait_for(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)


def test_a_server_that_ends_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = service(tmp_path, "import sys; sys.exit('no database here')")
    with running(broken, logs=tmp_path / "logs", environment={}) as child:
        child.process.wait(30)
        with pytest.raises(ServerError, match=r"tiny: the server ended with exit code 1\n +no database here"):
            child.check()


STUBBORN = """
    import subprocess, sys, time
    child = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN);" + sys.argv[1] + "time.sleep(600)"
    grandchild = subprocess.Popen([sys.executable, "-c", child])
    print(grandchild.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("deaf", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN);"], ids=["slow", "deaf"])
def test_what_a_server_left_behind_is_ended_too(tmp_path: Path, deaf: str) -> None:
    parent = service(tmp_path, STUBBORN, deaf)
    with running(parent, logs=tmp_path / "logs", environment={}, grace_seconds=2) as child:
        wait_for(lambda: child.log.read_text().strip().isdigit())
        orphan = psutil.Process(int(child.log.read_text()))
        assert orphan.is_running()
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


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


def test_a_code_server_is_well_once_it_listens(tmp_path: Path) -> None:
    place = tmp_path / "0.socket"
    code = Service("code", (sys.executable, "-c", "import time; time.sleep(60)"), tmp_path, f"unix:{place}", "")
    child = start(code, logs=tmp_path / "logs", environment={})
    try:
        assert not child.healthy()
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(place))
            assert not child.healthy()
            listening.listen()
            assert child.healthy()
    finally:
        child.end(0)


def test_mlflow_is_asked_to_listen_on_loopback_alone_and_to_answer_that_name_alone(tmp_path: Path) -> None:
    command = mlflow_server(tmp_path, 5001).command
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--allowed-hosts") + 1] == "127.0.0.1:5001,localhost:5001"
    assert command[command.index("--workers") + 1] == "1"
