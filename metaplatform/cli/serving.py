"""`metaplatform ui`: the deployment's servers, on this machine only."""

from pathlib import Path

import typer

from metaplatform.errors import StorageError
from metaplatform.hosting.servers import serve
from metaplatform.hosting.services import Ports
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.storage.root_use import mark_root, root_in_use
from metaplatform.specs.book.deployment import Deployment


def serve_deployment(deployment: Deployment, port: int) -> int:
    """Serve Dagster's UI and daemon, MLflow and the reports until Ctrl-C; return the exit code.

    A storage root that a replay made is live from then on.

    Raises:
        StorageError: if the working folder has no workspace.yaml, or a replay is at work below the root.
    """
    project = Path.cwd()
    if not (project / "workspace.yaml").exists():
        raise StorageError(
            owner="ui", culprit=f"{project} has no workspace.yaml", fix="run it from the project's folder"
        )
    with root_in_use(deployment.root):
        _go_live(deployment.root)
        typer.echo("Looking at MLflow's database")
        ModelRegistry(tracking_uri=deployment.tracking_uri, artifact_root=str(deployment.model_files)).ensure()
        url = deployment.public_url or f"http://127.0.0.1:{port}"
        return serve(
            deployment.root,
            project=project,
            announce=typer.echo,
            ports=Ports(dagster=port, mlflow=deployment.mlflow_port, reports=deployment.reports_port),
            environment=deployment.model_copy(update={"public_url": url}).to_environment(),
            public_url=deployment.public_url,
        )


def _go_live(root: Path) -> None:
    if mark_root(root, "live") == "replay":
        typer.echo(
            f"A replay made what is below {root}. From now on it is live: no replay removes it any more. "
            f"`metaplatform root remove {root}` gives it up."
        )
