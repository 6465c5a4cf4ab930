"""Sources and SQL tables → assets."""

from typing import Any

import dagster as dg
import ibis

from metaplatform.compute.ingestion import visible
from metaplatform.factories.asset_specs import asset_spec
from metaplatform.factories.builds import kept_as_built
from metaplatform.factories.keys import check_key, check_key_elsewhere
from metaplatform.factories.signatures import with_signature
from metaplatform.factories.source_contents import content_fingerprint, settled_until
from metaplatform.factories.staging import stage
from metaplatform.factories.steps import Step, step_of, table_metadata
from metaplatform.naming import op_name, stable_id
from metaplatform.resources.clock import Clock
from metaplatform.resources.ledger import Ledger
from metaplatform.resources.session import Session
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.expressions import parse_query, referenced_tables
from metaplatform.specs.ingestion import TableSpec
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.records import Arrival


def source_asset(manifest: Manifest, name: str) -> dg.AssetsDefinition:
    """Return the raw table asset of a source."""
    ref = f"raw.{name}"

    @dg.multi_asset(specs=[asset_spec(manifest, ref)], name=op_name(ref))
    @with_signature
    def ingest(context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock) -> dg.MaterializeResult:
        step = step_of(context, manifest, ref, clock)
        with kept_as_built(step, warehouse):
            return dg.MaterializeResult(metadata=ingest_source(step, name, warehouse))

    return ingest


def ingest_source(step: Step, name: str, warehouse: Warehouse) -> dict[str, Any]:
    """Read, check and store a source (its partition only, if it has any); return asset metadata."""
    source = step.manifest.sources[name]
    with warehouse.session() as session:
        staged = stage(session, step.manifest, source, warehouse)
        rows = session.materialize_temp(visible(staged.rows, source, now=step.now, window=step.window))
        settled = settled_until(step.manifest, step.now)
        fingerprint = content_fingerprint(
            session, source, rows, mark=staged.fingerprint, partition=step.partition, settled=settled
        )
        written = warehouse.replace(
            step.ref, session.reader(rows, owner=step.ref), partition=step.partition, metadata=step.commit
        )
    arrival = Arrival(
        arrival_id=stable_id("arrival", name, step.partition, fingerprint, step.run_id),
        source=name,
        partition=step.partition or "",
        fingerprint=fingerprint,
        rows=written.rows,
        quarantined=staged.quarantined,
        arrived_at=step.now,
        run_id=step.run_id,
    )
    Ledger(warehouse).append(arrival)
    return {
        **table_metadata(warehouse, step.ref, written),
        "quarantined_rows": staged.quarantined,
        "files": dg.MetadataValue.json([str(path) for path in staged.paths]),
    }


def table_asset(manifest: Manifest, name: str) -> dg.AssetsDefinition:
    """Return the asset of an SQL table."""
    ref = f"tables.{name}"

    @dg.multi_asset(specs=[asset_spec(manifest, ref)], name=op_name(ref))
    @with_signature
    def transform(context: dg.AssetExecutionContext, warehouse: Warehouse, clock: Clock) -> dg.MaterializeResult:
        step = step_of(context, manifest, ref, clock)
        spec = manifest.tables[name]
        with kept_as_built(step, warehouse), warehouse.session() as session:
            rows = session.materialize_temp(query_tables(session, step, spec.sql, spec.partitioned_by), owner=ref)
            check_key_of_table(session, step, spec, rows, warehouse)
            written = warehouse.replace(
                ref, session.reader(rows, owner=step.ref), partition=step.partition, metadata=step.commit
            )
        return dg.MaterializeResult(metadata=table_metadata(warehouse, ref, written))

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


def query_tables(session: Session, step: Step, sql: str, partitioned_by: str | None) -> ibis.Table:
    """Return the result of a book query; ``partitioned_by`` is read in the step's partition only."""
    tables = {}
    for ref in referenced_tables(sql):
        table = session.table(ref)
        tables[ref] = table.filter(table["_partition"] == step.partition) if ref == partitioned_by else table
    return session.query(parse_query(sql), tables, owner=step.ref)
