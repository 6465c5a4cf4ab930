"""The platform's servers on this machine as one thing: started, supervised, and ended together."""

import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from metaplatform import places
from metaplatform.errors import ServerError
from metaplatform.hosting.child import POLL_SECONDS, Child, Service
from metaplatform.hosting.services import (
    LOOPBACK,
    Ports,
    code_servers,
    daemon,
    mlflow_server,
    reports_server,
    webserver,
)
from metaplatform.hosting.serving_record import MARK, ServingRecord, end_leftovers, end_started_by, forget
from metaplatform.hosting.supervision import Supervisor
from metaplatform.resources.process.quiet import quiet_libraries
from metaplatform.resources.process.shared_history import home_in_use
from metaplatform.resources.storage.root_lock import sole_holder

_TELL_EVERY_SECONDS = 10.0


def serve(
    root: Path,
    *,
    project: Path,
    announce: Callable[[str], None],
    ports: Ports | None = None,
    environment: Mapping[str, str] | None = None,
    public_url: str = "",
    startup_seconds: float = 180.0,
    grace_seconds: float = 20.0,
) -> int:
    """Run all servers of the deployment at ``root`` until Ctrl-C, SIGTERM or a closed terminal; return the exit code.

    ``project`` holds ``workspace.yaml``. ``environment`` is added to the children's. ``public_url`` is where people
    reach Dagster through a proxy, if they do. Logs go to ``root/logs``. Tells ``announce`` what is waited for, the
    three links once all are healthy, and each server that is started again. To be called from the main thread. When
    it returns, no process it started is left; what a killed one left behind is ended first.

    Raises:
        ServerError: if a port is in use, the root is served already, or a server ends or is not healthy after
            ``startup_seconds``.
        StorageError: if the database that is to hold Dagster's history cannot be used, or is served already.
    """
    chosen = ports or Ports()
    quiet_libraries()
    base = root.resolve()
    with ExitStack() as stack:
        stack.enter_context(_sole_server(base))
        stopped = stack.enter_context(_stop_signals())
        end_leftovers(base, grace_seconds, announce)
        _claim(chosen)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="metaplatform-")))
        home = stack.enter_context(home_in_use(base / places.DAGSTER, serve=True))
        extra = {**(environment or {}), "DAGSTER_HOME": str(home), MARK: folder.name}
        supervisor = Supervisor(logs=base / places.LOGS, environment=extra, grace_seconds=grace_seconds)
        workspace = folder / "workspace.yaml"
        code = code_servers(project.resolve(), folder, workspace)
        stack.callback(forget, base)
        ServingRecord.of_this_process(folder.name, tuple(server.url for server in code)).write(base)
        stack.callback(end_started_by, folder.name, grace_seconds / 2)
        stack.callback(supervisor.stop)
        web = webserver(project.resolve(), workspace, chosen, public_url)
        others = (mlflow_server(base, chosen.mlflow), reports_server(base, chosen.reports))
        start = _Start(supervisor, announce, stopped, startup_seconds)
        start.begin(others)
        # The webserver and the daemon ask the code servers at once, and later if they are away.
        start.begin(code, wait=True)
        start.begin((web, daemon(project.resolve(), workspace, home, code)))
        start.wait()
        _tell(announce, {"Dagster": web.url, "MLflow": others[0].url, "Reports": others[1].url}, stopped)
        _supervise(supervisor, announce, stopped)
    return 0


def _supervise(supervisor: Supervisor, announce: Callable[[str], None], stopped: threading.Event) -> None:
    while not stopped.wait(POLL_SECONDS):
        for line in supervisor.look(time.monotonic()):
            announce(line)
    announce("Stopping.")


class _Start:
    """The servers' first start: told while it is waited for, given up if one ends or never answers."""

    def __init__(
        self, supervisor: Supervisor, announce: Callable[[str], None], stopped: threading.Event, seconds: float
    ) -> None:
        self._supervisor, self._announce, self._stopped, self._seconds = supervisor, announce, stopped, seconds
        self._waiting: list[Child] = []
        self._began = time.monotonic()

    def begin(self, services: Sequence[Service], *, wait: bool = False) -> None:
        """Start services, unless all is to stop."""
        if not self._stopped.is_set():
            self._announce(f"Starting {', '.join(service.name for service in services)}")
            children = self._supervisor.add(services, time.monotonic())
            self._waiting += children
            if wait:
                self._wait_for(children)

    def wait(self) -> None:
        """Wait until every server answers, or all is to stop."""
        self._wait_for(self._waiting)

    def _wait_for(self, children: Sequence[Child]) -> None:
        """Wait for these; raise ``ServerError`` if any server ends meanwhile, or one does not answer in time."""
        waiting, tell_at = [child for child in children if child.service.url], time.monotonic() + _TELL_EVERY_SECONDS
        while not self._stopped.is_set():
            for child in self._waiting:
                child.check()
            waiting = [child for child in waiting if not child.healthy()]
            if not waiting:
                return
            now = time.monotonic()
            if now - self._began > self._seconds:
                raise waiting[0].failure(f"does not answer after {self._seconds:.0f} s")
            if now >= tell_at:
                tell_at = now + _TELL_EVERY_SECONDS
                self._announce(f"Waiting for {', '.join(child.service.name for child in waiting)}")
            self._stopped.wait(POLL_SECONDS)


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
    return sole_holder(root / places.SERVE_LOCK, refusal)


def _tell(announce: Callable[[str], None], links: Mapping[str, str], stopped: threading.Event) -> None:
    if stopped.is_set():
        return
    for name, url in links.items():
        announce(f"{name:<8} {url}")
    announce("Ctrl-C stops all of them.")
