"""What a step has computed, stored: as the whole table, its partition, or each partition of its range."""

from dataclasses import replace
from types import MappingProxyType

import ibis

from metaplatform.compute.partition_profiles import by_partition
from metaplatform.errors import StorageError
from metaplatform.naming import PARTITION
from metaplatform.resources.engine.session import Session
from metaplatform.resources.storage.warehouse import WriteResult
from metaplatform.work.steps import Made, Metadata, Step, table_metadata


def store(session: Session, step: Step, rows: ibis.Table) -> WriteResult:
    """Replace what the step makes by ``rows``, in one commit; of a range, rows belong where their time or key says.

    Raises:
        StorageError: if the commit cannot be made.
    """
    if step.range:
        reader = session.stream(_placed(rows, step), owner=step.ref)
        return step.warehouse.replace_partitions(step.ref, reader, partitions=step.range, metadata=step.commit)
    reader = session.stream(rows, owner=step.ref)
    written = step.warehouse.replace(step.ref, reader, partition=step.partition, metadata=step.commit)
    return replace(written, by_partition={step.partition or "": written.rows})


def made_of(step: Step, written: WriteResult, others: Metadata = MappingProxyType({})) -> dict[str, Made]:
    """Return what has been stored of each partition, as people are shown it; ``others`` is shown once beside it.

    It stands with the last: Dagster shows the newest event of an asset, and keeps one for each partition.
    """
    facts = {"delta_version": written.version}
    made = {key: Made({"dagster/row_count": rows, **facts}) for key, rows in written.by_partition.items()}
    last = list(made)[-1]
    whole = {**table_metadata(step, written), **others}
    made[last] = Made({**whole, "dagster/row_count": written.by_partition[last]})
    return made


def _placed(rows: ibis.Table, step: Step) -> ibis.Table:
    if PARTITION in rows.columns:
        return rows.order_by(PARTITION)
    scheme, moment = step.manifest.partitions(step.ref), step.manifest.event_timestamp(step.ref)
    if scheme is None or moment is None:
        raise StorageError(owner=step.ref, culprit="a range of it was asked for, and it has no time", fix="ask for all")
    return by_partition(rows, owner=step.ref, scheme=scheme, moment=moment)
