"""The composition root: environment → book → definitions; importing it reads nothing."""

import gc
import multiprocessing
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from metaplatform.factories.automation.book import book_sensor
from metaplatform.factories.mlflow_tracking import mlflow_tracking
from metaplatform.factories.platform import build_definitions
from metaplatform.resources.book_source import load_deployed_book
from metaplatform.resources.clock import Clock
from metaplatform.resources.deployed_book import DeployedBook
from metaplatform.resources.exports import Exports
from metaplatform.resources.model_registry import ModelRegistry
from metaplatform.resources.notifier import Notifier
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.deployment import Deployment
from metaplatform.specs.manifest import Manifest

PINNED_BOOK = "METAPLATFORM_BOOK_SNAPSHOT"
"""Environment variable that a process hands down: the hash of the snapshot that it was built from."""


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
        "book": DeployedBook(root=root, project=str(deployment.book.parent), url_env=deployment.book_url_env),
        "mlflow": mlflow_tracking(deployment.tracking_uri),
    }


def definitions_of(manifest: Manifest, deployment: Deployment, *, snapshot: str | None = None) -> dg.Definitions:
    """Return the Dagster definitions of a book in a deployment.

    ``snapshot`` is the hash of the snapshot that the book was read from, if it is kept in a database.
    """
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
            sensors=[book_sensor(snapshot, deployment.sensor_interval_seconds)] if snapshot else (),
        )


def load_definitions(environment: MutableMapping[str, str], folder: Path) -> dg.Definitions:
    """Read the deployment's book and return its definitions.

    A book in a database is read from a snapshot, whose hash is put into ``environment``: the processes that
    a code server starts for a run, and those that the run starts for its steps, inherit it and read that same
    snapshot, whatever is accepted meanwhile. A process that is nobody's child so reads the accepted one.

    Raises:
        BookError: if the book has faults, with all of them.
    """
    deployment = Deployment.from_environment(environment, folder)
    inherited = environment.get(PINNED_BOOK) if multiprocessing.parent_process() else None
    with _without_collector():
        manifest, snapshot = load_deployed_book(deployment, snapshot=inherited, variables=environment)
        if snapshot:
            environment[PINNED_BOOK] = snapshot
        return definitions_of(manifest, deployment, snapshot=snapshot)


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
