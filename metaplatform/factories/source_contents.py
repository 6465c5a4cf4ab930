"""What a source holds now, partition by partition: seen by the arrivals sensor and kept at ingestion."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import ibis

from metaplatform.compute.ingestion import partition_profiles, visible
from metaplatform.factories.staging import files_fingerprint, stage
from metaplatform.naming import stable_id, staged_ref
from metaplatform.resources.session import Session
from metaplatform.resources.warehouse import Warehouse
from metaplatform.specs.ingestion import FileSource
from metaplatform.specs.manifest import Manifest


def source_contents(manifest: Manifest, source: FileSource, warehouse: Warehouse, now: datetime) -> Mapping[str, str]:
    """Return the fingerprint of each partition; of the rows visible at ``now`` (key ``""``) where there are none."""
    mark = files_fingerprint(manifest, source)
    if source.event_timestamp is None:
        return {"": mark}
    with warehouse.session() as session:
        rows = stage(session, manifest, source, warehouse).rows
        if source.partitions is not None:
            return _profiles(session, source, rows)
        return {"": _moving(session, rows, source, mark, settled_until(manifest, now))}


def content_fingerprint(
    session: Session, source: FileSource, rows: ibis.Table, *, mark: str, partition: str | None, settled: datetime
) -> str:
    """Return the fingerprint of what one ingestion stores: equal to what ``source_contents`` saw.

    ``mark`` is that of the files. Without partitions of its own, a table that moves counts as changed when
    its rows before ``settled`` do (see :func:`settled_until`).
    """
    if partition is not None:
        return _profiles(session, source, rows).get(partition, stable_id("empty"))
    if source.event_timestamp is None:
        return mark
    return _moving(session, rows, source, mark, settled)


def settled_until(manifest: Manifest, now: datetime) -> datetime:
    """Return the end of the newest partition that has closed by ``now``; the day's start in a book without any."""
    lines = {source.partitions for source in manifest.sources.values() if source.partitions}
    starts = [line.window(line.key_of(now)).start for line in lines]
    return max(starts, default=now.replace(hour=0, minute=0, second=0, microsecond=0))


def event_span(source: FileSource, warehouse: Warehouse) -> tuple[datetime, datetime] | None:
    """Return the half-open UTC span of a staged source's event timestamps, None if it has none."""
    ref = staged_ref(f"raw.{source.name}")
    if source.event_timestamp is None or not warehouse.exists(ref):
        return None
    with warehouse.session() as session:
        moments = session.table(ref)[source.event_timestamp]
        ends = session.table(ref).aggregate(first=moments.min(), last=moments.max())
        found = session.reader(ends).read_all().to_pylist()[0]
    if found["first"] is None:
        return None
    return found["first"].astimezone(UTC), found["last"].astimezone(UTC) + timedelta(microseconds=1)


def _moving(session: Session, rows: ibis.Table, source: FileSource, mark: str, settled: datetime) -> str:
    seen = visible(rows, source, now=settled, window=None)
    return stable_id(mark, session.reader(seen.aggregate(rows=seen.count())).read_all()["rows"][0].as_py())


def _profiles(session: Session, source: FileSource, rows: ibis.Table) -> dict[str, str]:
    profiles = session.reader(partition_profiles(rows, source)).read_all().to_pylist()
    return {str(row["partition"]): stable_id(row["rows"], row["fingerprint"]) for row in profiles}
