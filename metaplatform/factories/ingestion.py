"""Sources and SQL tables → assets."""

from datetime import datetime
from typing import Any

import dagster as dg
import ibis

from metaplatform.compute.policy.quarantine import beyond_share
from metaplatform.compute.visible_rows import visible
from metaplatform.errors import DataError
from metaplatform.factories.asset_specs import asset_spec
from metaplatform.factories.builds import kept_as_built
from metaplatform.factories.contracts import approved_findings, contract_metadata
from metaplatform.factories.keys import check_key, check_key_elsewhere
from metaplatform.factories.signatures import with_signature
from metaplatform.factories.staging import check_sums, staged_contents
from metaplatform.factories.steps import PLAN_TAG, Step, in_partition, materialized, step_of, table_metadata
from metaplatform.naming import op_name, stable_id, staged_ref
from metaplatform.resources.clock import Clock
from metaplatform.resources.ledger import Ledger
from metaplatform.resources.session import Session
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.expressions import parse_query, referenced_tables
from metaplatform.specs.ingestion import FileSource, TableSpec
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.outputs import ReportOutput
from metaplatform.specs.records import Arrival
from metaplatform.specs.source_contents import EMPTY, SourceContents, closed_until


def source_asset(manifest: Manifest, name: str) -> dg.AssetsDefinition:
    """Return the raw table asset of a source."""
    ref = f"raw.{name}"

    @dg.multi_asset(specs=[asset_spec(manifest, ref)], name=op_name(ref))
    @with_signature
    def ingest(context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock) -> dg.MaterializeResult:
        step = step_of(context, manifest, ref, clock)
        with kept_as_built(step, warehouse) as made:
            metadata = ingest_source(step, name, warehouse, arrived=clock.now())
        return materialized(step, metadata, made.content)

    return ingest


def ingest_source(step: Step, name: str, warehouse: Warehouse, *, arrived: datetime) -> dict[str, Any]:
    """Store what is staged of a source (its partition only, if it has any); return asset metadata.

    Files that have changed are read first, at the moment ``arrived``, unless the loop has planned the step from those
    it has looked at.

    Raises:
        DataError: if more of it is in quarantine than the book lets pass, and nobody has approved that.
    """
    source = step.manifest.sources[name]
    with warehouse.session() as session:
        contents = staged_contents(
            session, step.manifest, source, warehouse, arrived=arrived, as_planned=PLAN_TAG in step.tags
        )
        _refuse_quarantined(step, source, contents, warehouse)
        staged = session.table(staged_ref(step.ref))
        rows = session.materialize_temp(visible(staged, source, now=step.now, window=step.window))
        written = warehouse.replace(
            step.ref, session.reader(rows, owner=step.ref), partition=step.partition, metadata=step.commit
        )
    fingerprint = _arrived(step, source, contents, written.rows)
    arrival = Arrival(
        arrival_id=stable_id("arrival", name, step.partition, fingerprint, step.run_id),
        source=name,
        partition=step.partition or "",
        fingerprint=fingerprint,
        rows=written.rows,
        quarantined=contents.quarantined,
        arrived_at=step.now,
        run_id=step.run_id,
    )
    Ledger(warehouse).append(arrival)
    return {**table_metadata(warehouse, step.ref, written), **contract_metadata(contents)}


def _refuse_quarantined(step: Step, source: FileSource, contents: SourceContents, warehouse: Warehouse) -> None:
    found = beyond_share(source, contents, approved_findings(warehouse, source.name))
    told = [str(each) for each in found if each.partition in {"", step.partition}]
    if told:
        partition = f" --partition {step.partition}" if step.partition else ""
        raise DataError(
            owner=step.ref,
            culprit=f"{'; '.join(told)}, more than the share of {source.quarantine_share:g} that may be",
            fix=f"correct the files, or take them as they are: metaplatform approve {step.ref}{partition}",
        )


def _arrived(step: Step, source: FileSource, contents: SourceContents, rows: int) -> str:
    """Return the fingerprint of what was stored, as the loop finds it in the contents; of a part, where not all is."""
    if step.partition is None:
        if source.event_timestamp is None:
            check_sums(step.ref, read=contents.stored, stored=rows, quarantined=0)
        return contents.fingerprints(source, closed_until(step.manifest, step.now))[""]
    held = contents.partitions.get(step.partition)
    expected = held.rows if held else 0
    if rows == expected:
        return held.fingerprint if held else EMPTY
    if step.window is not None and step.window.end <= step.now:
        check_sums(step.ref, read=expected, stored=rows, quarantined=0)
    return stable_id("part", rows)


def table_asset(manifest: Manifest, name: str) -> dg.AssetsDefinition:
    """Return the asset of an SQL table."""
    ref = f"tables.{name}"

    @dg.multi_asset(specs=[asset_spec(manifest, ref)], name=op_name(ref))
    @with_signature
    def transform(context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock) -> dg.MaterializeResult:
        step = step_of(context, manifest, ref, clock)
        spec = manifest.tables[name]
        with kept_as_built(step, warehouse) as made, warehouse.session() as session:
            rows = session.materialize_temp(query_tables(session, step, spec), owner=ref)
            check_key_of_table(session, step, spec, rows, warehouse)
            written = warehouse.replace(
                ref, session.reader(rows, owner=step.ref), partition=step.partition, metadata=step.commit
            )
        return materialized(step, table_metadata(warehouse, ref, written), made.content)

    return transform


def check_key_of_table(session: Session, step: Step, spec: TableSpec, rows: ibis.Table, warehouse: Warehouse) -> None:
    """Refuse the rows of a table, or of a partition of it, that the table's key does not tell apart.

    Raises:
        DataError: with examples, if keys repeat, here or in other partitions, or have a null.
    """
    check_key(session, rows, spec.key, owner=step.ref)
    if step.partition and set(warehouse.partitions(step.ref)) - {step.partition, ""}:
        stored = session.table(step.ref)
        others = stored.filter(stored["_partition"] != step.partition)
        check_key_elsewhere(session, rows, others, spec.key, owner=step.ref)


def query_tables(session: Session, step: Step, made: TableSpec | ReportOutput) -> ibis.Table:
    """Return the result of a book query: of each input what ``made`` reads of it in the step's partition."""
    tables = {ref: _within_reach(session, step, ref) for ref in referenced_tables(made.sql)}
    return session.query(parse_query(made.sql), tables, owner=step.ref)


def _within_reach(session: Session, step: Step, ref: str) -> ibis.Table:
    table, (reach, *_) = session.table(ref), step.manifest.reads(step.ref)[ref]
    if step.partition is None or step.window is None:
        return table
    if reach.kind == "same":
        return in_partition(table, step.partition)
    moment = step.manifest.event_timestamp(ref)
    if reach.kind != "span" or moment is None:
        return table
    known, within = table[moment], reach.interval(step.window)
    return table.filter((known >= ibis.literal(within.start)) & (known < ibis.literal(within.end)))
