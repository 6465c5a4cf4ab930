"""A source's files, read and checked once for each change of theirs, however many partitions they make."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import ibis
import pyarrow as pa

from metaplatform.compute.file_faults import faults_by_file
from metaplatform.compute.ingestion import COPY, MOMENT, conform, first_moment
from metaplatform.compute.partition_profiles import moment_span, partition_profiles
from metaplatform.errors import DataError, StorageError
from metaplatform.naming import FILE, quarantine_ref, stable_id, staged_ref
from metaplatform.resources.engine.session import Session
from metaplatform.resources.sources.readers import READERS, read_rows
from metaplatform.resources.sources.source_reader import Place, SourceRows
from metaplatform.resources.storage.source_contents import ContentRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_contents import FileContent, PartitionContent, SourceContents
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.work.steps import Step

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class SourceChangedError(DataError):
    """Files changed while they were read: they were never in the state that was read."""


@dataclass(frozen=True)
class SourceMark:
    """What tells a source's files, and what the book says of them, from any other; no file was opened for it.

    ``changed_at`` is when the youngest file was written to last.
    """

    mark: str
    changed_at: datetime
    parts: tuple[str, ...]


def mark_of(manifest: Manifest, source: SourceSpec) -> SourceMark:
    """Return the mark of a source's files as they are now: names, sizes and times.

    Raises:
        DataError: if there are none.
    """
    state = READERS.of(source.kind).state(source, Place.of(manifest))
    mark = stable_id(state.token, manifest.spec_hash(source.ref))
    return SourceMark(mark, state.changed_at or _EPOCH, state.parts)


def read_source(
    session: Session, manifest: Manifest, source: SourceSpec, warehouse: Warehouse, *, arrived: datetime
) -> SourceContents:
    """Read a source's files again; stage the rows that fit, keep the others with their reasons, and what there is.

    ``arrived`` is the moment of reading, whatever moment is replayed. Nothing is kept of files that change meanwhile.

    Raises:
        DataError: if files or declared columns are missing or cannot be read.
        SourceChangedError: if the files changed while they were read.
        StorageError: if a row was read and is neither stored nor quarantined.
    """
    ref = source.ref
    before = mark_of(manifest, source)
    files = read_rows(session, source, Place.of(manifest))
    conformed = conform(files.rows, source, arrived=arrived, keep=session.keep)
    read = _by_file(session, files.rows)
    unfit = session.keep(_named(conformed.quarantined, files), owner=ref)
    rows = _unchanged(session.stream(conformed.accepted, owner=ref), manifest, source, before)
    commit = {"mark": before.mark}
    stored = warehouse.replace(staged_ref(ref), rows, partition=None, metadata=commit).rows
    quarantined = _keep(session, warehouse, quarantine_ref(ref), unfit, commit)
    rejected = 0
    if files.rejects is not None:
        rejected = _keep(session, warehouse, f"{quarantine_ref(ref)}_lines", files.rejects, commit)
    check_sums(ref, read=read.total(), stored=stored, quarantined=quarantined)
    first, last = _span(session, source)
    faulty = session.keep(_faulty(source, unfit))
    accepted = Counter({files.names[path]: count for path, count in read.items()}) - _by_file(session, unfit)
    contents = SourceContents(
        mark=before.mark,
        spec_hash=manifest.spec_hash(ref),
        read=read.total(),
        stored=stored,
        quarantined=quarantined,
        rejected=rejected,
        excused=quarantined - _count(session, faulty),
        arrived_at=arrived,
        partitions=_partitions(session, source, faulty, arrived),
        first=first,
        last=last,
        paths=before.parts,
        faulty=_faulty_files(session, source, files, accepted, faulty, arrived),
    )
    ContentRecords(warehouse.root_path).keep(source.name, contents)
    return contents


def check_sums(ref: str, *, read: int, stored: int, quarantined: int) -> None:
    """See that each row that was read is stored or quarantined.

    Raises:
        StorageError: if one is neither, or both.
    """
    if read != stored + quarantined:
        raise StorageError(
            owner=ref,
            culprit=f"{read} rows were read, {stored} stored and {quarantined} quarantined",
            fix="report it: the files are sound, nothing was taken from them",
        )


def staged_contents(session: Session, step: Step, source: SourceSpec, *, as_planned: bool = False) -> SourceContents:
    """Return what is staged of a source, read again if files or contract have changed since.

    ``as_planned`` takes what was read last, as the loop has looked at it, as long as the contract is the same.
    """
    manifest, warehouse = step.manifest, step.warehouse
    known = ContentRecords(warehouse.root_path).read(source.name)
    if known is not None and warehouse.exists(staged_ref(source.ref)):
        same = known.spec_hash == manifest.spec_hash(source.ref)
        if as_planned and same:
            return known
        if known.mark == mark_of(manifest, source).mark:
            if source.asked_every is not None:
                ContentRecords(warehouse.root_path).keep(source.name, replace(known, asked_at=step.clock.now()))
            return known
    return read_source(session, manifest, source, warehouse, arrived=step.clock.now())


def _unchanged(
    rows: pa.RecordBatchReader, manifest: Manifest, source: SourceSpec, before: SourceMark
) -> pa.RecordBatchReader:
    """Return the rows, failing at their end, before they are committed, if the files are others by then."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield from rows
        if mark_of(manifest, source).mark != before.mark:
            raise SourceChangedError(
                owner=source.ref,
                culprit=f"{source.read} changed while they were read",
                fix="read them again once they have settled; the loop does so by itself",
            )

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def _count(session: Session, rows: ibis.Table) -> int:
    return int(session.stream(rows.aggregate(rows=rows.count())).read_all()["rows"][0].as_py())


def _keep(session: Session, warehouse: Warehouse, ref: str, rows: ibis.Table, commit: dict[str, str]) -> int:
    """Keep rows that were turned away; return how many. Without any, and none from before, no table is made."""
    count = _count(session, rows)
    if count or warehouse.exists(ref):
        warehouse.replace(ref, session.stream(rows), partition=None, metadata=commit)
    return count


def _faulty(source: SourceSpec, unfit: ibis.Table) -> ibis.Table:
    """Return the rows that are turned away for a fault: no copies, and none that the book leaves out on purpose."""
    rows = unfit.filter(~unfit[COPY]) if source.key else unfit
    if source.partitions is None:
        return rows
    early = rows[MOMENT] < ibis.literal(first_moment(source.partitions))
    return rows.filter(~early.fill_null(False))


def _partitions(
    session: Session, source: SourceSpec, faulty: ibis.Table, arrived: datetime
) -> dict[str, PartitionContent]:
    stored = _profiles(session, partition_profiles(session.table(staged_ref(source.ref)), source))
    turned_away: dict[str, int] = {}
    if source.partitions is not None:
        bounds = _bounds(source, source.partitions, arrived)
        placed = faulty.filter(faulty[MOMENT] >= ibis.literal(bounds[0]), faulty[MOMENT] <= ibis.literal(bounds[1]))
        found = _profiles(session, partition_profiles(placed, source, moment=MOMENT))
        turned_away = {key: profile.rows for key, profile in found.items()}
    lacking = PartitionContent(0, "0")
    return {
        key: PartitionContent(profile.rows, profile.content, turned_away.get(key, 0))
        for key in sorted({*stored, *turned_away})
        for profile in [stored.get(key, lacking)]
    }


def _bounds(source: SourceSpec, scheme: PartitionSpec, arrived: datetime) -> tuple[datetime, datetime]:
    """Return the first and the last moment that a row of a source may be about."""
    return first_moment(scheme), source.max_ahead.behind(arrived)


def _named(rows: ibis.Table, files: SourceRows) -> ibis.Table:
    """Return rows with their files as people call them."""
    names = pa.table({FILE: list(files.names), "name": list(files.names.values())})
    joined = rows.join(ibis.memtable(names), FILE)
    return joined.select(*(joined["name"].name(FILE) if name == FILE else joined[name] for name in rows.columns))


def _by_file(session: Session, rows: ibis.Table, column: str = FILE) -> Counter[str]:
    """Return how many rows there are of each file."""
    counted = rows.group_by(rows[column].name("file")).aggregate(rows=rows.count())
    return Counter({row["file"]: row["rows"] for row in session.stream(counted).read_all().to_pylist()})


def _faulty_files(
    session: Session,
    source: SourceSpec,
    files: SourceRows,
    accepted: Counter[str],
    faulty: ibis.Table,
    arrived: datetime,
) -> dict[str, FileContent]:
    """Return what of each file is turned away, lines that are not rows too; ``accepted`` counts the others."""
    scheme = source.partitions
    within = _bounds(source, scheme, arrived) if scheme else None
    found = session.stream(faults_by_file(faulty, owner=source.ref, within=within)).read_all().to_pylist()
    rows = {row["file"]: row for row in found}
    lines = _by_file(session, files.rejects, "file") if files.rejects is not None else Counter[str]()
    contents = {}
    for name in sorted({*rows, *lines}):
        row = rows.get(name, {"rows": 0, "content": "", "first": None})
        bad = row["rows"] + lines[name]
        moment = None if scheme is None else _moment(row["first"])
        partition = scheme.key_of(moment) if scheme and moment else ""
        contents[name] = FileContent(accepted[name] + bad, bad, row["content"], partition)
    return contents


def _profiles(session: Session, profiles: ibis.Table) -> dict[str, PartitionContent]:
    found = session.stream(profiles).read_all().to_pylist()
    return {str(row["partition"]): PartitionContent(row["rows"], row["fingerprint"]) for row in found if row["rows"]}


def _span(session: Session, source: SourceSpec) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last event timestamp, as far as Python can tell one."""
    if source.event_timestamp is None:
        return None, None
    ends = session.stream(moment_span(session.table(staged_ref(source.ref)), source)).read_all().to_pylist()
    return _moment(ends[0]["first"]), _moment(ends[0]["last"])


def _moment(micros: int | None) -> datetime | None:
    if micros is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return _EARLIEST if micros < 0 else _LATEST
