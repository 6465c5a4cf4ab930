"""Outputs: files, views and reports."""

from collections.abc import Callable
from typing import Any

from metaplatform.compute.chosen_rows import in_partition
from metaplatform.compute.report import report_html
from metaplatform.extensions import WorkByKind
from metaplatform.specs.entities.outputs import FileOutput, ReportOutput, ViewsOutput
from metaplatform.work.builds import recorded
from metaplatform.work.steps import Made, Metadata, Step, report_link, table_metadata
from metaplatform.work.tables import query_tables


@recorded
def write_output(step: Step) -> Made:
    """Write an output by its kind."""
    output = step.manifest.outputs[step.name]
    return Made(WRITERS.of(output.kind)(step, output))


def write_file(step: Step, output: FileOutput) -> Metadata:
    """Export the output's table (its partition only, if it has any) to one file; return asset metadata."""
    with step.warehouse.session() as session:
        table = session.table(output.table)
        rows = in_partition(table, step.partition)
        written = step.exports.write_file(session, rows, output=output.name, partition=step.partition, kind=output.kind)
    return {
        "path": written.path,
        "dagster/row_count": written.rows,
        "dagster/size_bytes": written.bytes,
    }


def write_views(step: Step, views: ViewsOutput) -> Metadata:
    """Make the file of views, which holds those of every views output; return asset metadata."""
    warehouse = step.warehouse
    outputs = (output for output in step.manifest.outputs.values() if isinstance(output, ViewsOutput))
    wanted = dict.fromkeys(table for output in outputs for table in output.tables)
    path = step.exports.write_views({table: warehouse.path(table) for table in wanted if warehouse.exists(table)})
    return {"path": path, "views": list(views.tables)}


def write_report(step: Step, report: ReportOutput) -> Metadata:
    """Make the report's table and its HTML page; return asset metadata with the link."""
    with step.warehouse.session() as session:
        rows = session.stream(query_tables(session, step, report)).read_all()
    written = step.warehouse.replace(step.ref, rows, partition=step.partition, metadata=step.commit)
    facts = {"Partition": step.partition} if step.partition else {}
    html = report_html(
        report.title, rows, subtitle_facts=facts, generated_at=step.now, zone=step.manifest.zone(step.ref)
    )
    link = report_link(step, html, name=report.name, part=step.partition)
    return {**table_metadata(step, written), **link}


WRITERS: WorkByKind[Callable[[Step, Any], Metadata]] = WorkByKind(
    "outputs", {"parquet": write_file, "csv": write_file, "views": write_views, "report": write_report}
)
"""What writes an output, by its kind, and returns metadata of its asset."""
