"""Up to which moment labels are known: asked by training, monitors and the loop alike. Logs are read, no data."""

from datetime import datetime

from metaplatform.chapters import SOURCES
from metaplatform.compute.policy.maturity import arrived_until, label_sources
from metaplatform.resources.storage.table_logs import TableLogs
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.training import ModelSpec


def labels_known_at(manifest: Manifest, model: ModelSpec, warehouse: TableLogs, now: datetime) -> datetime:
    """Return the moment as of which labels of ``model`` are known: ``now``, or the end of what has arrived for them.

    The label of a row is known if the row's event timestamp plus the label delay is not after it.
    """
    ends = {name: end for name in label_sources(manifest, model) if (end := _end(manifest, name, warehouse))}
    bound = arrived_until(manifest, model, ends)
    return now if bound is None else min(now, bound)


def _end(manifest: Manifest, source: str, warehouse: TableLogs) -> datetime | None:
    """Return the end of what has arrived of a source with an event timestamp, None if nothing has."""
    spec, ref = manifest.sources[source], SOURCES.ref(source)
    if spec.partitions is None:
        return warehouse.newest(ref, str(spec.event_timestamp))
    newest = max(warehouse.partitions(ref), default=None)
    return spec.partitions.window(newest).end if newest else None
