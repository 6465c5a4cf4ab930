"""A source's files, read and checked when they change, however many partitions they make: those that changed alone."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import ibis
import pyarrow as pa

from metaplatform.errors import DataError, StorageError
from metaplatform.naming import FILE, stable_id, staged_ref
from metaplatform.resources.engine.session import Session
from metaplatform.resources.sources.readers import READERS
from metaplatform.resources.sources.source_reader import Kinds, Place
from metaplatform.resources.storage.source_contents import ContentRecords
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.book.source_contents import SourceContents, StagedFile, StagedFiles
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.work.changed_files import Changes, changes, columns_of, first_numbers, read_apart, release_of
from metaplatform.work.staged_files import (
    Span,
    Taken,
    Tally,
    count,
    counted_by,
    numbered,
    numbers_of,
    span_of,
    staged_rows,
    tables_of,
    take,
    tally,
    token_of,
)
from metaplatform.work.steps import Step

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SourceChangedError(DataError):
    """Files changed while they were read: they were never in the state that was read."""


@dataclass(frozen=True)
class SourceMark:
    """What tells a source's files, and what the book says of them, from any other; no file was opened for it.

    ``mark`` is empty where only the rows themselves tell. ``changed_at`` is when the youngest file was written to last;
    ``marks`` has each file's own, where files can be read apart from each other. ``at_once`` is a reading of one
    moment, which nothing that changes meanwhile makes untrue.
    """

    mark: str
    changed_at: datetime
    parts: tuple[str, ...]
    marks: Mapping[str, str] = field(default_factory=dict)
    at_once: bool = False


def mark_of(manifest: Manifest, source: SourceSpec) -> SourceMark:
    """Return the mark of a source's files as they are now: names, sizes and times.

    Raises:
        DataError: if there are none.
    """
    state = READERS.of(source.kind).state(source, Place.of(manifest))
    mark = "" if state.token is None else stable_id(state.token, manifest.spec_hash(source.ref))
    return SourceMark(mark, state.changed_at or _EPOCH, state.parts, state.marks, state.at_once)


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
    records = ContentRecords(warehouse.root_path)
    with records.reading(source.name):
        reading = _Reading(session, manifest, source, warehouse, mark_of(manifest, source), arrived)
        contents, staged = reading.changed() or reading.whole()
        records.keep_files(source.name, staged)
        records.keep(source.name, contents)
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
        found = mark_of(manifest, source).mark
        # What only the rows tell, a reading of the same run has told.
        if found == known.mark if found else same and known.arrived_at >= step.now:
            if source.asked_every is not None:
                ContentRecords(warehouse.root_path).keep(source.name, replace(known, asked_at=step.clock.now()))
            return known
    return read_source(session, manifest, source, warehouse, arrived=step.clock.now())


@dataclass(frozen=True)
class _Reading:
    """One reading of a source, whose files were as ``before`` says."""

    session: Session
    manifest: Manifest
    source: SourceSpec
    warehouse: Warehouse
    before: SourceMark
    arrived: datetime

    def whole(self) -> tuple[SourceContents, StagedFiles]:
        """Read all files again; return what there is, and how it is staged."""
        taken, files = self._take(), first_numbers(self.before.parts, self.before.marks)
        self._write(taken, files, None)
        read = taken.files
        staged = self._staged(files, columns_of(read), read.kinds, alike=read.alike)
        return self._contents(self._tally(taken)), staged

    def changed(self) -> tuple[SourceContents, StagedFiles] | None:
        """Read the files that have changed; return what there is, None if that cannot be told without the others."""
        spec_hash = self.manifest.spec_hash(self.source.ref)
        found = changes(self.session, self.warehouse, self.source, self.before.marks, spec_hash, self.arrived)
        if found is None:
            return None
        try:
            taken = self._take(found.wanted) if found.wanted else None
        except DataError:
            # Beside the others they may be sound; if not, the error is that of all files.
            return None
        if not read_apart(self.session, self.warehouse, self.source, found, taken):
            return None
        gone = self._tally_of(found)
        if found.numbers:
            self._write(taken, found.files, found.numbers)
        new = Tally() if taken is None else self._tally(taken, found.numbers)
        amount = Tally.of(found.known).exchanged(gone, new)
        if {*gone.span} & {*amount.span} - {None}:
            amount = replace(amount, span=self._span())
        before = found.before
        staged = self._staged(found.files, before.columns, before.kinds, alike=before.alike and self._alike(taken))
        # Of files without any row only all together tell what is wrong.
        return (self._contents(amount), staged) if amount.stored + amount.quarantined else None

    def _take(self, only: Collection[str] | None = None) -> Taken:
        taken = take(self.session, self.source, Place.of(self.manifest), arrived=self.arrived, only=only)
        # Rows of all files are streamed into the table, those of a few are looked at before.
        return taken if only is None else replace(taken, accepted=self.session.keep(taken.accepted))

    def _there(self, numbers: Collection[str] | None = None) -> list[ibis.Table | None]:
        """Return what is in the tables now, of the files with some numbers only if given."""
        return [staged_rows(self.session, self.warehouse, table, numbers) for table in tables_of(self.source.ref)]

    def _tally(self, taken: Taken, numbers: Collection[str] | None = None) -> Tally:
        """Return what the rows that were taken amount to, now that they are staged."""
        rows = (self._there(numbers)[0], taken.unfit, taken.files.rejects)
        accepted = taken.accepted_by_file(self.session)
        return tally(self.session, self.source, *rows, arrived=self.arrived, accepted=accepted)

    def _tally_of(self, found: Changes) -> Tally:
        """Return what the rows that are to make way amounted to when they were staged."""
        if not found.replaced:
            return Tally()
        rows, arrived = self._there(found.replaced), found.known.arrived_at
        return tally(self.session, self.source, *rows, arrived=arrived, accepted={})

    def _span(self) -> Span:
        rows = self._there()[0]
        return (None, None) if rows is None else span_of(self.session, self.source, rows)

    def _write(self, taken: Taken | None, files: Mapping[str, StagedFile], numbers: Collection[str] | None) -> None:
        """Replace the rows with some ``numbers``, or all there are, by those that were taken."""
        staged, *others = tables_of(self.source.ref)
        by_name, by_path = numbers_of(taken.files, files) if taken else ({}, {})
        every = numbers or {found.number for found in files.values()}
        accepted = numbered(taken.accepted, by_path).drop(FILE) if taken else None
        stored = self._replace(staged, accepted, every, whole=numbers is None)
        turned_away = ((taken.unfit, FILE), (taken.files.rejects, "file")) if taken else ((None, ""), (None, ""))
        for table, (rows, column) in zip(others, turned_away, strict=True):
            if rows is None and numbers is None:
                continue
            found = set() if rows is None else {by_name[name] for name in counted_by(self.session, rows, column)}
            there = self.warehouse.partitions(table)
            found |= {key for key in every if key in there and there[key].rows}
            if not found and numbers is None and there:
                found = {min(every)}
            if found:
                placed = None if rows is None else numbered(rows, by_name, column)
                self._replace(table, placed, found, whole=numbers is None)
        if taken:
            quarantined = count(self.session, taken.unfit)
            check_sums(self.source.ref, read=taken.read.total(), stored=stored, quarantined=quarantined)

    def _replace(self, table: str, rows: ibis.Table | None, numbers: Collection[str], *, whole: bool) -> int:
        """Replace rows of a table, unless the files are others by now; return how many there are instead."""
        if rows is None:
            there = staged_rows(self.session, self.warehouse, table)
            if there is None:
                return 0
            rows = there.limit(0)
        stream, mark = self._unchanged(self.session.stream(rows, owner=self.source.ref)), {"mark": self.before.mark}
        return self.warehouse.replace_partitions(table, stream, partitions=numbers, metadata=mark, whole=whole).rows

    def _unchanged(self, rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """Return the rows, failing at their end, before they are committed, if the files are others by then."""

        def batches() -> Iterator[pa.RecordBatch]:
            yield from rows
            if not self.before.at_once and mark_of(self.manifest, self.source).mark != self.before.mark:
                raise SourceChangedError(
                    owner=self.source.ref,
                    culprit=f"{self.source.read} changed while they were read",
                    fix="read them again once they have settled; the loop does so by itself",
                )

        return pa.RecordBatchReader.from_batches(rows.schema, batches())

    @staticmethod
    def _alike(taken: Taken | None) -> bool:
        return taken is None or taken.files.alike

    def _staged(
        self, files: Mapping[str, StagedFile], columns: Mapping[str, str], kinds: Kinds, *, alike: bool
    ) -> StagedFiles:
        tables = token_of(self.warehouse, self.source.ref)
        return StagedFiles(self.before.mark, release_of(self.session), tables, columns, kinds, alike, files)

    def _contents(self, amount: Tally) -> SourceContents:
        return SourceContents(
            mark=self.before.mark,
            spec_hash=self.manifest.spec_hash(self.source.ref),
            read=amount.stored + amount.quarantined,
            stored=amount.stored,
            quarantined=amount.quarantined,
            rejected=amount.rejected,
            excused=amount.excused,
            arrived_at=self.arrived,
            partitions=amount.partitions,
            first=amount.span[0],
            last=amount.span[1],
            paths=self.before.parts,
            faulty=amount.faulty,
        )
