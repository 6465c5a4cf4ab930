"""SQL tables: a query of the book over other tables, stored."""

import ibis

from metaplatform.compute.chosen_rows import read_by
from metaplatform.naming import PARTITION
from metaplatform.resources.engine.session import Session
from metaplatform.specs.entities.ingestion import TableSpec
from metaplatform.specs.entities.outputs import ReportOutput
from metaplatform.sql.expressions import parse_query, referenced_tables
from metaplatform.work.builds import recorded
from metaplatform.work.keys import check_key, check_key_elsewhere
from metaplatform.work.steps import Made, Step, table_metadata


@recorded
def make_table(step: Step) -> Made:
    """Store the rows of an SQL table (those of the step's partition, if it has any).

    Raises:
        DataError: if the table's key does not tell the rows apart.
    """
    spec = step.manifest.tables[step.name]
    with step.warehouse.session() as session:
        rows = session.keep(query_tables(session, step, spec), owner=step.ref)
        check_key_of_table(session, step, spec, rows)
        reader = session.stream(rows, owner=step.ref)
        written = step.warehouse.replace(step.ref, reader, partition=step.partition, metadata=step.commit)
    return Made(table_metadata(step, written))


def check_key_of_table(session: Session, step: Step, spec: TableSpec, rows: ibis.Table) -> None:
    """Refuse the rows of a table, or of a partition of it, that the table's key does not tell apart.

    Raises:
        DataError: with examples, if keys repeat, here or in other partitions, or have a null.
    """
    check_key(session, rows, spec.key, owner=step.ref)
    if step.partition and set(step.warehouse.partitions(step.ref)) - {step.partition, ""}:
        stored = session.table(step.ref)
        others = stored.filter(stored[PARTITION] != step.partition)
        check_key_elsewhere(session, rows, others, spec.key, owner=step.ref)


def query_tables(session: Session, step: Step, made: TableSpec | ReportOutput) -> ibis.Table:
    """Return the result of a book query: of each input what ``made`` reads of it in the step's partition."""
    tables = {ref: _within_reach(session, step, ref) for ref in referenced_tables(made.sql)}
    return session.query(parse_query(made.sql), tables, owner=step.ref)


def _within_reach(session: Session, step: Step, ref: str) -> ibis.Table:
    table, (reach, *_) = session.table(ref), step.manifest.reads(step.ref)[ref]
    if step.partition is None or step.window is None:
        return table
    return read_by(table, step.partition, step.window, reach, step.manifest.event_timestamp(ref))
