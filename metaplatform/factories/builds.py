"""Around each step that makes something: what it was made from is read before, and kept after it succeeded."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from metaplatform.factories.steps import REPLAY_TAG, Step
from metaplatform.resources.build_records import BuildRecords
from metaplatform.resources.root_use import mark_root
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.builds import BuiltPartition
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.snapshots import entity_fields, snapshot_of


@contextmanager
def kept_as_built(step: Step, warehouse: Warehouse, *, model_version: int | None = None) -> Iterator[None]:
    """Keep what the step made its asset from, once the block has succeeded; ``model_version`` is the one that scores.

    Inputs are asked for before anything is read: should one be replaced meanwhile, the record is older than the
    truth, and the asset made once more. What no replay makes, none can make again: its storage root is live.
    """
    if REPLAY_TAG not in step.tags:
        mark_root(warehouse.root_path, "live")
    records = BuildRecords(warehouse.root_path)
    inputs = inputs_of(step.manifest, step.ref, step.partition, records)
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    made = BuiltPartition(
        step.manifest.spec_hash(step.ref), inputs, round(seconds, 3), step.run_id, model_version=model_version
    )
    records.keep(step.ref, entity_fields(step.manifest.entities[step.ref]), step.partition or "", made)
    keep_book(step.manifest, records)


def inputs_of(manifest: Manifest, ref: str, partition: str | None, records: BuildRecords) -> dict[str, str]:
    """Return the lineage of what is stored of each input, as far as ``ref`` reads it.

    Where nothing is stored, nothing can be of an older book: the lineage is the one it would have.
    """
    found = {}
    for other, reach in manifest.reads(ref).items():
        built = records.read(other)
        found[other] = (built.lineage(partition, reach) if built else "") or manifest.lineage.of(other)
    return found


def keep_book(manifest: Manifest, records: BuildRecords) -> None:
    """Keep the book as the one that last ran here."""
    records.apply(manifest.identity, lambda: snapshot_of(manifest))
