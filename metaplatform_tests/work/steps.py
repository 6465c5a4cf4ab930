"""A step beside Dagster, for what is tested directly."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.sinks.exports import Exports
from metaplatform.resources.sinks.notifier import Notifier
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.work.steps import Step


def registry_of(root: Path) -> ModelRegistry:
    return ModelRegistry(tracking_uri=f"sqlite:///{root}/mlflow.db", artifact_root=str(root / "mlartifacts"))


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
