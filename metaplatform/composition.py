"""The composition root: environment → book → definitions; importing it reads nothing."""

import gc
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from metaplatform.factories.mlflow_tracking import mlflow_tracking
from metaplatform.factories.platform import build_definitions
from metaplatform.resources.clock import Clock
from metaplatform.resources.exports import Exports
from metaplatform.resources.model_registry import ModelRegistry
from metaplatform.resources.notifier import Notifier
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.deployment import Deployment
from metaplatform.specs.loading import load_book
from metaplatform.specs.manifest import Manifest


def platform_resources(deployment: Deployment) -> dict[str, object]:
    """Return the resources that the platform's assets, checks and sensors ask for, by name."""
    root = str(deployment.root)
    return {
        "warehouse": Warehouse(root=root, memory_limit=deployment.memory_limit, threads=deployment.threads),
        "registry": ModelRegistry(
            tracking_uri=deployment.tracking_uri,
            artifact_root=str(deployment.root / "mlartifacts"),
            ui_url=deployment.mlflow_url,
        ),
        "exports": Exports(root=root, reports_url=deployment.reports_url),
        "notifier": Notifier(root=root),
        "clock": Clock(),
        "mlflow": mlflow_tracking(deployment.tracking_uri),
    }


def definitions_of(manifest: Manifest, deployment: Deployment) -> dg.Definitions:
    """Return the Dagster definitions of a book in a deployment."""
    executor = dg.in_process_executor if deployment.executor == "in_process" else dg.multiprocess_executor
    with warnings.catch_warnings():
        # Code references and partitioned checks are young in Dagster: a warning each would bury all others.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return build_definitions(
            manifest,
            resources=platform_resources(deployment),
            executor=executor,
            sensor_interval_seconds=deployment.sensor_interval_seconds,
        )


def load_definitions(environment: Mapping[str, str], folder: Path) -> dg.Definitions:
    """Read the deployment's book and return its definitions.

    Raises:
        BookError: if the book has faults, with all of them.
    """
    deployment = Deployment.from_environment(environment, folder)
    with _without_collector():
        manifest = load_book(deployment.book, variables=environment, environment=deployment.environment)
        return definitions_of(manifest, deployment)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the garbage collector: nearly all that loading makes stays, and is looked through again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
