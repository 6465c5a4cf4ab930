"""What the warehouse was made from, and the plan of a book over it, with rows and times."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from metaplatform import places
from metaplatform.chapters import FEATURE_SETS, MODELS, OUTPUTS, PREDICTIONS, chapter_of
from metaplatform.compute.changes.plan import Change, Plan
from metaplatform.compute.changes.staleness import Past, plan_changes
from metaplatform.planning.pending import pending_changes
from metaplatform.planning.versions import with_versions
from metaplatform.resources.delta.delta_tables import check_newest_commit
from metaplatform.resources.models.model_registry import ModelRegistry
from metaplatform.resources.process.clock import Clock
from metaplatform.resources.sinks.exports import lost_files
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.builds import Built
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest

_UNTOLD = "it was made by a release that did not record its inputs"


def plan_of(manifest: Manifest, deployment: Deployment) -> Plan:
    """Return what the book changes of the deployment's warehouse. Nothing is written, no data is read.

    Raises:
        StorageError: if a record or a table's log is damaged.
    """
    warehouse = Warehouse(root=str(deployment.root))
    plan = plan_changes(past_of(manifest, warehouse), manifest)
    changes = tuple(_with_rows(change, manifest, warehouse) for change in plan.changes)
    made = {change.ref for change in plan.work}
    pending = (change for change in pending_changes(manifest, warehouse) if change.ref not in made)
    found = replace(plan, changes=(*pending, *changes))
    if not (warehouse.root_path / places.MLFLOW_DATABASE).exists():
        return found
    registry = ModelRegistry(tracking_uri=deployment.tracking_uri, artifact_root=str(deployment.model_files))
    return with_versions(found, manifest, registry, warehouse.logs, Clock().now())


def past_of(manifest: Manifest, warehouse: Warehouse) -> Past:
    """Return what is below the storage root: the book that last ran, and what each asset was made from.

    What has a record and no table any more was never made, as far as anyone can tell.
    """
    records = BuildRecords(warehouse.root_path)
    built = {ref: found for ref, found in sorted(records.all().items()) if _there(ref, found, warehouse)}
    converted = dict(_converted_keys(manifest, warehouse, built))
    built = {ref: found for ref, found in built.items() if ref not in converted}
    tables = (ref for ref in manifest.entities if _is_delta(ref) and ref not in built)
    untold = {ref: converted.get(ref, _UNTOLD) for ref in tables if _has_log(warehouse.path(ref))}
    return Past(records.applied(), built, untold, lost_files(manifest, built, warehouse.root_path))


def _converted_keys(manifest: Manifest, warehouse: Warehouse, built: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield what holds a key in another type than the table that it is of, with that as a reason to make it again.

    Earlier releases made features of keys: of large numbers, one double stands for several.
    """
    found = {FEATURE_SETS.ref(name): feature_set.spine for name, feature_set in manifest.feature_sets.items()}
    for name, prediction in manifest.predictions.items():
        found[PREDICTIONS.ref(name)] = manifest.feature_sets[manifest.models[prediction.model].feature_set].spine
    for ref, spine in found.items():
        if {ref, spine} <= {*built} and warehouse.exists(ref) and warehouse.exists(spine):
            stored, true = warehouse.schema(ref), warehouse.schema(spine)
            key = [name for name in manifest.timed_table(spine).key if {name} <= {*stored.names} & {*true.names}]
            if any(stored.field(name).type != true.field(name).type for name in key):
                yield ref, f"its key has another type than in {spine}"


def _there(ref: str, built: Built, warehouse: Warehouse) -> bool:
    if MODELS.holds(ref):
        return (warehouse.root_path / places.MLFLOW_DATABASE).exists()
    if built.unfinished or not _is_delta(ref):
        return True
    check_newest_commit(warehouse.path(ref))
    return _has_log(warehouse.path(ref))


def _is_delta(ref: str) -> bool:
    """Tell whether all that the chapter of a reference makes are tables; of outputs, each kind says it."""
    return chapter_of(ref).stored and not OUTPUTS.holds(ref)


def _has_log(folder: Path) -> bool:
    return (folder / "_delta_log").is_dir()


def _with_rows(change: Change, manifest: Manifest, warehouse: Warehouse) -> Change:
    entity = manifest.entities.get(change.ref)
    stored = _is_delta(change.ref) or (entity is not None and chapter_of(change.ref).stored and entity.is_table)
    if not stored or not (change.action or change.state == "gone") or not _has_log(warehouse.path(change.ref)):
        return change
    return replace(
        change, rows=_rows({key: found.rows for key, found in warehouse.partitions(change.ref).items()}, change)
    )


def _rows(rows: Mapping[str, int], change: Change) -> int:
    keys = rows if change.anew or change.state == "gone" or change.partitions == ("",) else change.partitions
    return sum(rows.get(key, 0) for key in keys)
