"""A step beside Dagster, for what is tested directly."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.sinks.exports import Exports
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.work.steps import Step


@cache
def _empty_database() -> bytes:
    """Return the file of a database as MLflow makes it, which takes it a second each time."""
    with TemporaryDirectory() as folder:
        ModelRegistry(tracking_uri=f"sqlite:///{folder}/mlflow.db", artifact_root=folder).versions("none")
        return (Path(folder) / "mlflow.db").read_bytes()


def registry_of(root: Path) -> ModelRegistry:
    """Return the registry of a storage root, its database made if there is none."""
    database = root / "mlflow.db"
    if not database.exists():
        root.mkdir(parents=True, exist_ok=True)
        database.write_bytes(_empty_database())
    return ModelRegistry(tracking_uri=f"sqlite:///{database}", artifact_root=str(root / "mlartifacts"))


def step_at(
    manifest: Manifest,
    ref: str,
    warehouse: Warehouse,
    now: datetime,
    partition: str | None = None,
    *,
    run_id: str = "run",
    registry: ModelRegistry | None = None,
    notifier: Notifier | None = None,
    tags: Mapping[str, str] | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Step:
    """Return a step on the storage root of ``warehouse``; of the registry and the notifier, those of that root."""
    return Step(
        manifest=manifest,
        ref=ref,
        run_id=run_id,
        partition=partition,
        now=now,
        warehouse=warehouse,
        registry=registry or registry_of(warehouse.root_path),
        exports=Exports(root=warehouse.root),
        notifier=notifier or Notifier(root=warehouse.root),
        tags=tags or {},
        log=log,
    )
