"""The platform's servers on this machine: Dagster with its daemon, MLflow and the reports, as one thing."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

from metaplatform.errors import ServerError
from metaplatform.resources.code_server_watch import CodeServerWatch
from metaplatform.resources.dagster_home import write_dagster_home
from metaplatform.resources.quiet import quiet_libraries
from metaplatform.resources.report_server import LOOPBACK, report_server
from metaplatform.resources.root_lock import sole_holder

_POLL_SECONDS = 0.2
_TAIL_LINES = 15


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The three ports, all on 127.0.0.1."""

    dagster: int = 3000
    mlflow: int = 5000
    reports: int = 8001


@dataclass(frozen=True)
class Service:
    """A server to run as a child: its name, command, folder, address, and the path that answers 200 once it is up."""

    name: str
    command: tuple[str, ...]
    folder: Path
    url: str
    health: str


def serve(
    root: Path,
    *,
    project: Path,
    announce: Callable[[str], None],
    ports: Ports | None = None,
    environment: Mapping[str, str] | None = None,
    startup_seconds: float = 180.0,
) -> int:
    """Run all servers of the deployment at ``root`` until Ctrl-C, SIGTERM or a closed terminal; return the exit code.

    ``project`` holds ``workspace.yaml``. ``environment`` is added to the children's. Logs go to ``root/logs``. Tells
    ``announce`` the three links once all are healthy. To be called from the main thread. When it returns, no process
    it started is left.

    Raises:
        ServerError: if a port is in use, the root is served already, or a server ends or is not healthy after
            ``startup_seconds``.
    """
    chosen = ports or Ports()
    quiet_libraries()
    _claim(chosen)
    base = root.resolve()
    extra = {**(environment or {}), "DAGSTER_HOME": str(write_dagster_home(base / "dagster"))}
    services = (dagster_service(project, chosen.dagster), mlflow_service(base, chosen.mlflow))
    with ExitStack() as stack:
        stack.enter_context(_sole_server(base))
        stopped = stack.enter_context(_stop_signals())
        reports = stack.enter_context(report_server(base / "reports", port=chosen.reports))
        children = [stack.enter_context(running(each, logs=base / "logs", environment=extra)) for each in services]
        for child in children:
            child.wait_healthy(startup_seconds, stopped)
        if not stopped.is_set():
            _tell(announce, {"Dagster": services[0].url, "MLflow": services[1].url, "Reports": reports})
        watch = CodeServerWatch(children[0].process.pid)
        while not stopped.wait(_POLL_SECONDS):
            for child in children:
                child.check()
            if watch.look(time.monotonic()):
                announce("Dagster's code server was gone; it starts anew.")
        announce("Stopping.")
    return 0


def dagster_service(project: Path, port: int) -> Service:
    """Return Dagster's UI and daemon over the ``workspace.yaml`` of ``project``."""
    options = ("-w", "workspace.yaml", "--host", LOOPBACK, "--port", str(port))
    command = (sys.executable, "-W", "ignore", "-m", "dagster", "dev", *options)
    return Service("dagster", command, project.resolve(), f"http://{LOOPBACK}:{port}", "/server_info")


def mlflow_service(root: Path, port: int) -> Service:
    """Return MLflow's server over the database and artifacts below ``root``."""
    options = {
        "--backend-store-uri": f"sqlite:///{root / 'mlflow.db'}",
        # The same place as without the server, so that runs made either way can be read either way.
        "--default-artifact-root": (root / "mlartifacts").as_uri(),
        "--host": LOOPBACK,
        "--port": str(port),
        "--workers": "1",
    }
    command = (sys.executable, "-m", "mlflow", "server", "--no-serve-artifacts")
    pairs = tuple(part for option in options.items() for part in option)
    return Service("mlflow", command + pairs, root, f"http://{LOOPBACK}:{port}", "/health")


class Child:
    """A running service."""

    def __init__(self, service: Service, process: subprocess.Popen[bytes], log: Path, *, grace_seconds: float) -> None:
        """Take a process that leads its own group."""
        self.service, self.process, self.log, self.grace_seconds = service, process, log, grace_seconds

    def check(self) -> None:
        """Raise ``ServerError``, with the end of its log, if the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise self._failure(f"ended with exit code {code}")

    def wait_healthy(self, seconds: float, stopped: threading.Event) -> None:
        """Wait until it answers, or ``stopped`` is set.

        Raises:
            ServerError: if it ends, or does not answer within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while not stopped.is_set() and not _answers(self.service.url + self.service.health):
            self.check()
            if time.monotonic() > deadline:
                raise self._failure(f"does not answer after {seconds:.0f} s")
            stopped.wait(_POLL_SECONDS)

    def stop(self) -> None:
        """Ask it to stop, then everything it started, then end by force what is left of its group."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(self.grace_seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for member in _group(self.process.pid):
                with _gone_is_fine():
                    member.send_signal(number)
            deadline = time.monotonic() + self.grace_seconds / 2
            while _group(self.process.pid) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        self.process.wait()

    def _failure(self, what: str) -> ServerError:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        return ServerError(
            owner=self.service.name,
            culprit=f"the server {what}\n" + "\n".join(f"    {line}" for line in lines) + "\n",
            fix=f"read {self.log}, mend what it says, and start again",
        )


@contextmanager
def running(
    service: Service, *, logs: Path, environment: Mapping[str, str], grace_seconds: float = 20.0
) -> Iterator[Child]:
    """Run ``service`` while the context is open, its output in ``logs/<name>.log``; leave no process behind.

    What does not stop when asked is ended by force after ``grace_seconds``, and half as long for what it leaves.

    The child leads a group of its own, so that a Ctrl-C in the terminal reaches it once and through here.
    """
    logs.mkdir(parents=True, exist_ok=True)
    service.folder.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    # MLflow's job runner would start several more processes that nothing here asks for.
    fixed = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONUNBUFFERED": "1", "PATH": path}
    log = logs / f"{service.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            service.command,
            cwd=service.folder,
            env={**os.environ, **environment, **fixed},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    child = Child(service, process, log, grace_seconds=grace_seconds)
    try:
        yield child
    finally:
        child.stop()


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C, SIGTERM and a closed terminal set.

    Also the cure for an ignored SIGINT, inherited from a shell's background job: a handled signal is back to its
    default in the children, an ignored one is not, and Dagster then ignores SIGTERM too.
    """
    event = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        event.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        return


def _group(leader: int) -> list[psutil.Process]:
    """Return the living processes of the group that ``leader`` made, whoever their parent is now."""
    members = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == leader and process.info["status"] != psutil.STATUS_ZOMBIE:
                members.append(process)
        except ProcessLookupError:
            continue
    return members


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  # an address of our own
            return bool(response.status == 200)  # noqa: PLR2004
    except OSError:
        return False


def _claim(ports: Ports) -> None:
    """Raise ``ServerError`` naming the first port that is in use and the setting that moves it."""
    wanted = (
        ("dagster", ports.dagster, "--port"),
        ("mlflow", ports.mlflow, "METAPLATFORM_MLFLOW_PORT"),
        ("reports", ports.reports, "METAPLATFORM_REPORTS_PORT"),
    )
    for name, port, setting in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                raise ServerError(
                    owner=f"{name} server",
                    culprit=f"port {port} of {LOOPBACK} cannot be used: {error.strerror}",
                    fix=f"stop what listens there, or choose another port with {setting}",
                ) from error


def _sole_server(root: Path) -> AbstractContextManager[None]:
    """Be the only one to serve a root: two daemons would both ask for its runs.

    Raises:
        ServerError: if another serves it.
    """
    refusal = ServerError(
        owner=str(root),
        culprit="another `metaplatform ui` serves this storage root",
        fix="use that one, stop it, or name another --root",
    )
    return sole_holder(root / "ui.lock", refusal)


def _tell(announce: Callable[[str], None], links: Mapping[str, str]) -> None:
    for name, url in links.items():
        announce(f"{name:<8} {url}")
    announce("Ctrl-C stops all of them.")
