"""What the loop takes in by itself at its next ticks: a plan shows it, and nobody has to apply it."""

from collections.abc import Iterator

from metaplatform.chapters import SOURCES
from metaplatform.compute.changes.plan import Change
from metaplatform.errors import MetaplatformError
from metaplatform.resources.storage.ledger import Ledger
from metaplatform.resources.storage.source_contents import ContentRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_contents import EMPTY, SourceContents
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.records.ledger import Arrival
from metaplatform.work.approvals import held_back
from metaplatform.work.staging import mark_of


def pending_changes(manifest: Manifest, warehouse: Warehouse) -> Iterator[Change]:
    """Yield the sources whose files, or what was read of them, are others than what was taken in; no file is opened.

    Partitions that have never arrived are new data, and no change of anything that was made.
    """
    records, ledger = ContentRecords(warehouse.root_path), Ledger(warehouse)
    arrived = {(arrival.source, arrival.partition): arrival.fingerprint for arrival in ledger.read(Arrival)}
    held: dict[str, list[str]] = {}
    for each in held_back(manifest, warehouse):
        held.setdefault(each.subject, []).append(each.why)
    for name, source in manifest.sources.items():
        contents = records.read(name)
        if contents is None:
            continue
        taken = {key: found for (other, key), found in arrived.items() if other == name}
        keys = tuple(sorted(_others(source, contents, taken)))
        reasons = (
            *_looked(manifest, source, contents),
            *(["what was read of them has not been taken in yet"] if keys else []),
            *(f"held back: {why}" for why in held.get(SOURCES.ref(name), ())),
        )
        if reasons:
            yield Change(SOURCES.ref(name), "pending", None, reasons, partitions=keys)


def _looked(manifest: Manifest, source: SourceSpec, contents: SourceContents) -> Iterator[str]:
    try:
        found = mark_of(manifest, source)
    except MetaplatformError as error:
        yield error.culprit
        return
    if found.mark and found.mark != contents.mark:
        yield f"{source.read} have changed since they were read"


def _others(source: SourceSpec, contents: SourceContents, taken: dict[str, str]) -> Iterator[str]:
    """Yield the partitions that hold something else than was taken in, or nothing any more."""
    if source.partitions is None and source.event_timestamp is not None:
        return
    held = contents.fingerprints(source, contents.arrived_at)
    missing = EMPTY if source.deletes == "follow" else None
    yield from (key for key, found in taken.items() if held.get(key, missing or found) != found)
