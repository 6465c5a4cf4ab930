"""The servers of a deployment as commands: code locations, Dagster's webserver and daemon, MLflow, the reports."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from metaplatform import places
from metaplatform.errors import ServerError
from metaplatform.hosting.child import Service
from metaplatform.resources.process.dagster_instance import instance_ref

LOOPBACK = "127.0.0.1"
_MODULE = (sys.executable, "-W", "ignore", "-m")


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The three ports, all on 127.0.0.1."""

    dagster: int = 3000
    mlflow: int = 5000
    reports: int = 8001


def code_servers(project: Path, sockets: Path, workspace: Path) -> tuple[Service, ...]:
    """Return a code server for each code location of the project's ``workspace.yaml``, listening below ``sockets``.

    Writes ``workspace``: what tells the webserver and the daemon where they listen. A server that is started again
    listens at the same place.

    Raises:
        ServerError: if workspace.yaml cannot be read.
    """
    from dagster import DagsterError
    from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, ManagedGrpcPythonEnvCodeLocationOrigin
    from dagster._core.workspace.load import location_origins_from_yaml_paths
    from dagster_shared.check import CheckError

    source = project / "workspace.yaml"
    try:
        origins = location_origins_from_yaml_paths([str(source)])
    except (OSError, ValueError, yaml.YAMLError, DagsterError, CheckError) as error:
        raise ServerError(owner=str(source), culprit=str(error), fix="see Dagster's docs on workspace.yaml") from error
    servers: list[Service] = []
    specs: list[dict[str, object]] = []
    for number, origin in enumerate(origins):
        name = {"location_name": origin.location_name}
        if isinstance(origin, GrpcServerCodeLocationOrigin):
            given = {"host": origin.host, "port": origin.port, "socket": origin.socket}
            specs.append({**name, **{key: value for key, value in given.items() if value is not None}})
        elif isinstance(origin, ManagedGrpcPythonEnvCodeLocationOrigin):
            socket = sockets / f"{number}.socket"
            target = origin.loadable_target_origin
            options = ("--socket", str(socket), "--location-name", origin.location_name, *target.get_cli_args())
            python = target.executable_path or sys.executable
            command = (python, *_MODULE[1:], "dagster", "code-server", "start", *options)
            called = "code" if len(origins) == 1 else f"code-{origin.location_name}"
            servers.append(Service(called, command, project, f"unix:{socket}", "", keeps_runs=True))
            specs.append({**name, "socket": str(socket)})
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": spec} for spec in specs]}), encoding="utf-8")
    return tuple(servers)


def webserver(project: Path, workspace: Path, ports: Ports, public_url: str) -> Service:
    """Return Dagster's UI over the code servers that ``workspace`` names, guarded against other sites."""
    numbers = (str(ports.dagster), str(ports.mlflow), str(ports.reports))
    command = (*_MODULE, "metaplatform.hosting.web_server", str(workspace), *numbers, public_url)
    return Service("dagster", command, project, f"http://{LOOPBACK}:{ports.dagster}", "/server_info")


def daemon(project: Path, workspace: Path, home: Path, code: Sequence[Service]) -> Service:
    """Return Dagster's daemon over the code servers that ``workspace`` names; it answers nobody.

    Runs, and sensors in the code servers, open the instance as it does: in our way, if ``code``, the servers that are
    ours to start, is all there is, and has our packages.
    """
    from dagster._serdes import serialize_value

    named = yaml.safe_load(workspace.read_text(encoding="utf-8"))["load_from"]
    ours = len(named) == len(code) and all(server.command[0] == sys.executable for server in code)
    reference = ("--instance-ref", serialize_value(instance_ref(home))) if ours else ()
    command = (*_MODULE, "dagster._daemon", "run", "-w", str(workspace), *reference)
    return Service("daemon", command, project, "", "")


def mlflow_server(root: Path, port: int) -> Service:
    """Return MLflow's server over the database and artifacts below ``root``."""
    options = {
        "--backend-store-uri": f"sqlite:///{root / places.MLFLOW_DATABASE}",
        # The same place as without the server, so that runs made either way can be read either way.
        "--default-artifact-root": (root / places.MODEL_FILES).as_uri(),
        "--host": LOOPBACK,
        "--port": str(port),
        "--workers": "1",
        "--allowed-hosts": ",".join(f"{host}:{port}" for host in (LOOPBACK, "localhost")),
    }
    pairs = tuple(part for option in options.items() for part in option)
    command = (sys.executable, "-m", "mlflow", "server", "--no-serve-artifacts", *pairs)
    return Service("mlflow", command, root, f"http://{LOOPBACK}:{port}", "/health")


def reports_server(root: Path, port: int) -> Service:
    """Return the server of the pages below ``root/reports``."""
    command = (*_MODULE, "metaplatform.hosting.report_server", str(root / places.REPORTS), str(port))
    return Service("reports", command, root, f"http://{LOOPBACK}:{port}", "/")
