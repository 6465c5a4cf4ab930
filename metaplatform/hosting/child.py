"""One server as a child process: started with its log, asked whether it is well, and ended with what it started."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from metaplatform.errors import ServerError

POLL_SECONDS = 0.2
_TAIL_LINES = 15
_LONGEST_LOG = 20 * 2**20
"""Bytes after which a log is cut: a daemon writes gigabytes a year."""


@dataclass(frozen=True)
class Service:
    """A server to run as a child: its name, command, folder, address, and the path that answers 200 once it is up.

    A code server is not a web server: its ``url`` is the ``unix:`` address that it answers gRPC at, and its ``health``
    empty. ``keeps_runs`` says that processes it started go on when it ends: runs at work.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    url: str
    health: str
    keeps_runs: bool = False


class Child:
    """A running service."""

    def __init__(self, service: Service, process: subprocess.Popen[bytes], log: Path) -> None:
        """Take a process that leads its own group."""
        self.service, self.process, self.log = service, process, log

    def check(self) -> None:
        """Raise ``ServerError``, with the end of its log, if the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise self.failure(f"ended with exit code {code}")

    def healthy(self) -> bool:
        """Return whether it answers."""
        address = self.service.url + self.service.health
        return _listens(address) if address.startswith("unix:") else _answers(address)

    def turn_log(self) -> None:
        """Empty the log if it is long, and keep what it held beside it.

        What is written in the moment between is lost; the process goes on writing at what is then the end.
        """
        if self.log.stat().st_size > _LONGEST_LOG:
            shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
            os.truncate(self.log, 0)

    def ask_to_stop(self) -> None:
        """Send it what Ctrl-C sends; what it started ends with it, or in :meth:`end`."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def end(self, grace_seconds: float) -> None:
        """Wait for it so long, then end by force what is left of it; of its group too, unless runs are in there."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_seconds)
        if self.process.poll() is None:
            self.process.kill()
        if not self.service.keeps_runs:
            end_processes(lambda: group_of(self.process.pid), grace_seconds / 2)
        self.process.wait()

    def failure(self, what: str) -> ServerError:
        """Return the error that it ``what``, with the end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        return ServerError(
            owner=self.service.name,
            culprit=f"the server {what}\n" + "\n".join(f"    {line}" for line in lines) + "\n",
            fix=f"read {self.log}, fix what it says, and start again",
        )


def start(service: Service, *, logs: Path, environment: Mapping[str, str]) -> Child:
    """Start ``service`` with ``environment`` added to this process's; its output is added to ``logs/<name>.log``.

    The child leads a group of its own, so that a Ctrl-C in the terminal reaches it once and through its parent.
    """
    logs.mkdir(parents=True, exist_ok=True)
    service.folder.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    # MLflow's job runner would start several more processes that nothing here asks for.
    fixed = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONUNBUFFERED": "1", "PATH": path}
    log = logs / f"{service.name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            service.command,
            cwd=service.folder,
            env={**os.environ, **environment, **fixed},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Child(service, process, log)


def group_of(leader: int) -> list[psutil.Process]:
    """Return the living processes of the group that ``leader`` made, whoever their parent is now."""
    return [process for process in _living() if _is_in_group(process, leader)]


def bearing(variable: str, value: str) -> list[psutil.Process]:
    """Return the living processes, but this one, that were started with an environment variable of that value."""
    found = []
    for process in _living():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(variable) == value:
                found.append(process)
    return found


def end_processes(find: Callable[[], list[psutil.Process]], grace_seconds: float) -> None:
    """Ask what ``find`` finds to end, wait so long, end the rest by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in find():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        deadline = time.monotonic() + grace_seconds
        while find() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def _living() -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE:
            yield process


def _is_in_group(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getpgid(process.pid) == leader
    except ProcessLookupError:
        return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  # an address of our own
            return bool(response.status == 200)  # noqa: PLR2004
    except OSError:
        return False


def _listens(address: str) -> bool:
    """Return whether somebody listens at a ``unix:`` address; a code server does so once it has loaded its code."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(address.removeprefix("unix:")) == 0
