"""SQL tables: a query of the book over other tables, stored."""

import ibis

from metaplatform.compute.chosen_rows import in_partitions, read_by
from metaplatform.naming import PARTITION
from metaplatform.resources.engine.session import Session
from metaplatform.specs.entities.ingestion import TableSpec
from metaplatform.specs.entities.outputs import ReportOutput
from metaplatform.sql.expressions import parse_query, referenced_tables
from metaplatform.work.builds import Recorded
from metaplatform.work.keys import check_key, check_key_elsewhere
from metaplatform.work.steps import Made, Step
from metaplatform.work.stored_rows import made_of, store


def _each_by_itself(step: Step) -> bool:
    """Tell whether partitions read nothing of one another: what spans them would be read once for each."""
    reads = step.manifest.reads(step.ref)
    return not any(reach.kind == "span" for reaches in reads.values() for reach in reaches)


def _make(step: Step) -> dict[str, Made]:
    """Store the rows of an SQL table (those of the partitions that the step makes, if it has any).

    Raises:
        DataError: if the table's key does not tell the rows apart.
    """
    spec = step.manifest.tables[step.name]
    with step.warehouse.session() as session:
        rows = session.keep(query_tables(session, step, spec), owner=step.ref)
        check_key_of_table(session, step, spec, rows)
        return made_of(step, store(session, step, rows))


make_table = Recorded(_make, at_once=_each_by_itself)
"""Make an SQL table; partitions that read the same rows as others are made one by one."""


def check_key_of_table(session: Session, step: Step, spec: TableSpec, rows: ibis.Table) -> None:
    """Refuse the rows of a table, or of a partition of it, that the table's key does not tell apart.

    Raises:
        DataError: with examples, if keys repeat, here or in other partitions, or have a null.
    """
    check_key(session, rows, spec.key, owner=step.ref)
    made = {*step.partitions, ""}
    if step.partitions and set(step.warehouse.partitions(step.ref)) - made:
        stored = session.table(step.ref)
        others = stored.filter(stored[PARTITION].notin(list(made)))
        check_key_elsewhere(session, rows, others, spec.key, owner=step.ref)


def query_tables(session: Session, step: Step, made: TableSpec | ReportOutput) -> ibis.Table:
    """Return the result of a book query: of each input what ``made`` reads of it in each partition of the step."""
    query, refs = parse_query(made.sql), referenced_tables(made.sql)
    if not step.range:
        return session.query(query, {ref: _within_reach(session, step, ref) for ref in refs}, owner=step.ref)
    reads = step.manifest.reads(step.ref)
    apart = [ref for ref in refs if reads[ref][0].kind == "same"]
    tables = {ref: session.table(ref) for ref in refs}
    # Once: a table of many small files is not read for each time that the query names it.
    tables |= {ref: session.keep(in_partitions(tables[ref], step.range)) for ref in apart}
    return session.query_each(query, tables, apart=apart, partitions=step.range, owner=step.ref)


def _within_reach(session: Session, step: Step, ref: str) -> ibis.Table:
    table, (reach, *_) = session.table(ref), step.manifest.reads(step.ref)[ref]
    if step.partition is None or step.window is None:
        return table
    return read_by(table, step.partition, step.window, reach, step.manifest.event_timestamp(ref))
