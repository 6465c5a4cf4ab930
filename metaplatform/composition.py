"""The composition root: environment → book → definitions; importing it reads nothing."""

import gc
import warnings
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from metaplatform.factories.asset_specs import mounted
from metaplatform.factories.automation.alerts import alerts_sensor
from metaplatform.factories.automation.book import book_sensor
from metaplatform.factories.mlflow_tracking import mlflow_tracking
from metaplatform.factories.mount import STANDALONE, Mount
from metaplatform.factories.platform import build_definitions
from metaplatform.resources.book.deployed_book import book_of
from metaplatform.resources.book.live_books import LiveBooks
from metaplatform.resources.engine.threads import threads_of_each
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.process.code_server import is_child, serves
from metaplatform.resources.sinks.exports import Exports
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.resources.storage.root_use import check_holder, mark_root
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.deployment import MLFLOW_LINK, REPORTS_LINK, Deployment
from metaplatform.specs.book.manifest import Manifest

PINNED_BOOK = "METAPLATFORM_BOOK_SNAPSHOT"
"""Environment variable that a process hands down: the pin of the book that it was built from."""


def platform_resources(deployment: Deployment, mount: Mount = STANDALONE) -> dict[str, object]:
    """Return the resources that the platform's assets, checks and sensors ask for, by name.

    Only `metaplatform ui` serves MLflow and the reports below Dagster's page.
    """
    root = str(deployment.root)
    threads = deployment.threads if deployment.executor == "in_process" else threads_of_each(deployment.threads)[1]
    registry = ModelRegistry(
        tracking_uri=deployment.tracking_uri,
        artifact_root=str(deployment.model_files),
        ui_url="" if mount.name else MLFLOW_LINK,
    )
    return {
        "warehouse": Warehouse(root=root, memory_limit=deployment.memory_limit, threads=threads),
        "registry": registry,
        "exports": Exports(root=root, reports_url="" if mount.name else REPORTS_LINK),
        "notifier": Notifier(root=root, public_url=deployment.public_url),
        "clock": Clock(),
        "mlflow": mlflow_tracking(registry),
    }


def definitions_of(
    manifest: Manifest,
    deployment: Deployment,
    mount: Mount = STANDALONE,
    *,
    sensors: Sequence[dg.SensorDefinition] = (),
) -> dg.Definitions:
    """Return the Dagster definitions of a book in a deployment; ``sensors`` come beside those of the loop.

    Where others share the code location, how its runs are executed is the project's to say.
    """
    executor = None if mount.name else dg.in_process_executor
    if executor and deployment.executor == "multiprocess":
        steps, _ = threads_of_each(deployment.threads)
        executor = dg.multiprocess_executor.configured({"max_concurrent": steps})
    with _young_parts_used():
        return build_definitions(
            manifest,
            mount,
            resources=platform_resources(deployment, mount),
            executor=executor,
            sensor_interval_seconds=deployment.sensor_interval_seconds,
            keep_versions_days=deployment.keep_versions_days,
            keep_runs_days=deployment.keep_runs_days,
            sensors=sensors,
        )


def load_definitions(environment: MutableMapping[str, str], folder: Path) -> dg.Definitions:
    """Read the book of the deployment that ``environment`` describes and return its definitions.

    Raises:
        BookError: if the book has faults, with all of them, and no good one is to be kept.
        StorageError: if a project that mounts the book works at the storage root.
    """
    return served_definitions(Deployment.from_environment(environment, folder), environment)


def served_definitions(
    deployment: Deployment, environment: MutableMapping[str, str], mount: Mount = STANDALONE
) -> dg.Definitions:
    """Read a deployment's book and return its definitions, as they stand in a code location.

    A pin of the book is put into ``environment``: the processes that a code server starts for a run, and those that
    the run starts for its steps, inherit it and read that same book, whatever is edited meanwhile. A process that
    is nobody's child so reads the book at its source; a live code server takes the last good one if that has faults.

    Raises:
        BookError: if the book has faults, with all of them, and no good one is to be kept.
        MetaplatformError: if the mount's translation does not fit the book.
        StorageError: if somebody else works at the storage root.
    """
    check_holder(deployment.root, mount.holder)
    variable = f"{PINNED_BOOK}_{mount.name}" if mount.name else PINNED_BOOK
    inherited = environment.pop(variable, None)
    live = serves(environment)
    source = book_of(deployment, environment)
    with _without_collector():
        served = source.serve_live() if live else source.serve(inherited if is_child() else None)
        if served.pin:
            environment[variable] = served.pin
        if mount.name:
            with _young_parts_used():
                mount = mounted(served.manifest, mount)
        seconds = deployment.sensor_interval_seconds
        watching = book_sensor(source, served, seconds, mount)
        telling = alerts_sensor(deployment.channels(served.manifest.alerts.values()), seconds, mount)
        definitions = definitions_of(served.manifest, deployment, mount, sensors=[watching, telling])
        if live:
            source.built(served)
            LiveBooks(deployment.root).note("" if served.refused else served.content)
            mark_root(deployment.root, "live", mount.holder)
        return definitions


@contextmanager
def _young_parts_used() -> Iterator[None]:
    """Use code references and partitioned checks, young in Dagster: a warning each would bury all others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield


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
