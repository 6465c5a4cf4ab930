"""Around the work of each step: what it makes its asset from is read before, and kept after it has succeeded."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps

import ibis

from metaplatform.chapters import MODELS, SOURCES
from metaplatform.compute.chosen_rows import in_partition
from metaplatform.compute.partition_profiles import row_profiles
from metaplatform.compute.policy.road import made_by_reactions
from metaplatform.naming import PARTITION, ref_prefix, stable_id
from metaplatform.resources.engine.session import Session
from metaplatform.resources.storage.build_records import BuildRecords
from metaplatform.resources.storage.root_use import mark_root
from metaplatform.specs.book.builds import BuiltPartition
from metaplatform.specs.book.fingerprints import Contents
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.specs.snapshots import entity_fields, snapshot_of
from metaplatform.work.steps import REPLAY_TAGS, Made, Step

_NO_CONTENT = {"predictions": frozenset({PARTITION, "run_id", "scored_at"})}
"""Columns that are not content: the same scores made once more change nothing for those who read them."""


def recorded(work: Callable[[Step], Made]) -> Callable[[Step], Made]:
    """Return ``work`` that keeps what it made an asset from, once it has succeeded.

    Inputs are asked for before anything is read: should one be replaced meanwhile, the record is older than the
    truth, and the asset made once more. What no replay makes, none can make again: its storage root is live.
    """

    @wraps(work)
    def record(step: Step) -> Made:
        if step.tags.keys().isdisjoint(REPLAY_TAGS):
            mark_root(step.warehouse.root_path, "live", step.holder)
        records = BuildRecords(step.warehouse.root_path)
        inputs = inputs_of(step.manifest, step.ref, step.partition, records)
        read = contents_read(step, records)
        started = time.perf_counter()
        made = work(step)
        return _kept(step, made, records, inputs=inputs, read=read, seconds=time.perf_counter() - started)

    return record


def _kept(
    step: Step, made: Made, records: BuildRecords, *, inputs: dict[str, str], read: dict[str, str], seconds: float
) -> Made:
    """Keep the record of what a step made in so many ``seconds``; return it with the token of its rows."""
    content, periods = stored_contents(step)
    built = BuiltPartition(
        step.manifest.spec_hash(step.ref),
        inputs,
        round(seconds, 3),
        step.run_id,
        model_version=made.model_version,
        read=read,
        content=content,
        periods=periods,
    )
    records.keep(step.ref, entity_fields(step.manifest.entities[step.ref]), {step.partition or "": built})
    keep_book(step.manifest, records)
    return replace(made, content=content)


def inputs_of(manifest: Manifest, ref: str, partition: str | None, records: BuildRecords) -> dict[str, str]:
    """Return the lineage of what is stored of each input, as far as ``ref`` reads it.

    Where nothing is stored, nothing can be of an older book: the lineage is the one it would have.
    """
    scheme, found = manifest.partitions(ref), {}
    window = scheme.window(partition) if scheme and partition else None
    for other, reaches in manifest.reads(ref).items():
        built = records.read(other)
        lineage = built.lineage(manifest.partitions(other), window, reaches) if built else ""
        found[other] = lineage or manifest.lineage.of(other)
    return found


def contents_read(step: Step, records: BuildRecords) -> dict[str, str]:
    """Return a token of the contents of each input within the step's reach, as the records have them now."""
    if step.ref in made_by_reactions(step.manifest):
        return {}
    built = {other: found for other in step.manifest.reads(step.ref) if (found := records.read(other)) is not None}
    return Contents(step.manifest, built).read(step.ref, step.partition or "")


def stored_contents(step: Step) -> tuple[str, dict[str, dict[str, str]]]:
    """Return a token of the rows that the step has stored, and tokens by event timestamp where readers need them.

    The rows of a source's partition have their event timestamps in it; those of others need not.
    """
    if MODELS.holds(step.ref) or not step.warehouse.exists(step.ref):
        return "", {}
    time, schemes = step.manifest.event_timestamp(step.ref), _schemes_to_tell(step)
    with step.warehouse.session() as session:
        rows = in_partition(session.table(step.ref), step.partition)
        rows = rows.drop(*(_NO_CONTENT.get(ref_prefix(step.ref), frozenset({PARTITION})) & set(rows.columns)))
        whole = _profile(session, row_profiles(rows, owner=step.ref))
        told = {
            scheme.calendar: _profile(session, row_profiles(rows, owner=step.ref, scheme=scheme, moment=time))
            for scheme in schemes
        }
    return whole.get("", ""), {scheme: found for scheme, found in told.items() if set(found) != {step.partition}}


def _schemes_to_tell(step: Step) -> tuple[PartitionSpec, ...]:
    """Return by which partitions the stored rows are told apart in time, each once by its windows."""
    manifest, own = step.manifest, step.manifest.partitions(step.ref)
    if (SOURCES.holds(step.ref) and own) or not manifest.event_timestamp(step.ref):
        return ()
    if own is not None:
        return (own,)
    schemes = {
        scheme.calendar: scheme
        for ref in manifest.entities
        if (scheme := manifest.partitions(ref)) is not None
        and any(reach.kind == "span" for reach in manifest.reads(ref).get(step.ref, ()))
    }
    return tuple(schemes.values())


def _profile(session: Session, profiles: ibis.Table) -> dict[str, str]:
    found = session.stream(profiles).read_all().to_pylist()
    return {str(row["partition"]): stable_id(row["rows"], row["fingerprint"]) for row in found if row["rows"]}


def keep_book(manifest: Manifest, records: BuildRecords) -> None:
    """Keep the book as the one that last ran here."""
    records.apply(manifest.identity, lambda: snapshot_of(manifest))
