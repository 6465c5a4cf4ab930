"""Outputs → assets: files, views and reports."""

from typing import Any

import dagster as dg

from metaplatform.compute.report import report_html
from metaplatform.factories.asset_specs import asset_spec
from metaplatform.factories.builds import kept_as_built
from metaplatform.factories.ingestion import query_tables
from metaplatform.factories.signatures import with_signature
from metaplatform.factories.steps import Step, materialized, report_link, step_of, table_metadata
from metaplatform.naming import op_name
from metaplatform.resources.clock import Clock
from metaplatform.resources.exports import Exports
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.outputs import FileOutput, OutputSpec, ReportOutput, ViewsOutput


def output_asset(manifest: Manifest, name: str) -> dg.AssetsDefinition:
    """Return the asset of an output, by its kind."""
    ref = f"outputs.{name}"

    @dg.multi_asset(specs=[asset_spec(manifest, ref)], name=op_name(ref))
    @with_signature
    def output(
        context: dg.AssetExecutionContext, warehouse: Warehouse, exports: Exports, clock: Clock
    ) -> dg.MaterializeResult:
        step = step_of(context, manifest, ref, clock)
        with kept_as_built(step, warehouse) as made:
            metadata = write_output(step, manifest.outputs[name], warehouse, exports)
        return materialized(step, metadata, made.content)

    return output


def write_output(step: Step, output: OutputSpec, warehouse: Warehouse, exports: Exports) -> dict[str, Any]:
    """Write an output by its kind; return asset metadata."""
    match output:
        case FileOutput():
            return write_file(step, output, warehouse, exports)
        case ViewsOutput():
            return write_views(step.manifest, output, warehouse, exports)
        case ReportOutput():
            return write_report(step, output, warehouse, exports)


def write_file(step: Step, output: FileOutput, warehouse: Warehouse, exports: Exports) -> dict[str, Any]:
    """Export the output's table (its partition only, if it has any) to one file; return asset metadata."""
    with warehouse.session() as session:
        table = session.table(output.table)
        rows = table.filter(table["_partition"] == step.partition) if step.partition else table
        written = exports.write_file(session, rows, output=output.name, partition=step.partition, kind=output.kind)
    return {
        "path": dg.MetadataValue.path(str(written.path)),
        "dagster/row_count": written.rows,
        "dagster/size_bytes": written.bytes,
    }


def write_views(manifest: Manifest, views: ViewsOutput, warehouse: Warehouse, exports: Exports) -> dict[str, Any]:
    """Make the file of views, which holds those of every views output; return asset metadata."""
    outputs = (output for output in manifest.outputs.values() if isinstance(output, ViewsOutput))
    wanted = dict.fromkeys(table for output in outputs for table in output.tables)
    path = exports.write_views({table: warehouse.path(table) for table in wanted if warehouse.exists(table)})
    return {"path": dg.MetadataValue.path(str(path)), "views": list(views.tables)}


def write_report(step: Step, report: ReportOutput, warehouse: Warehouse, exports: Exports) -> dict[str, Any]:
    """Make the report's table and its HTML page; return asset metadata with the link."""
    with warehouse.session() as session:
        rows = session.reader(query_tables(session, step, report)).read_all()
    written = warehouse.replace(step.ref, rows, partition=step.partition, metadata=step.commit)
    facts = {"Partition": step.partition} if step.partition else {}
    html = report_html(
        report.title, rows, subtitle_facts=facts, generated_at=step.now, zone=step.manifest.zone(step.ref)
    )
    link = report_link(exports, html, name=report.name, part=step.partition)
    return {**table_metadata(warehouse, step.ref, written), **link}
