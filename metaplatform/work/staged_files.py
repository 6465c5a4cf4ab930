"""Rows of a source's files as they are staged: each with the number of its file, and what some of them amount to."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa

from metaplatform.compute.chosen_rows import in_partitions
from metaplatform.compute.file_faults import faults_by_file
from metaplatform.compute.ingestion import COPY, MOMENT, conform, first_moment
from metaplatform.compute.partition_profiles import moment_span, partition_profiles
from metaplatform.naming import FILE, PARTITION, quarantine_ref, stable_id, staged_ref
from metaplatform.resources.engine.session import Session
from metaplatform.resources.sources.readers import read_rows
from metaplatform.resources.sources.source_reader import Place, SourceRows
from metaplatform.resources.storage.warehouse import Warehouse
from metaplatform.specs.book.source_contents import FileContent, PartitionContent, SourceContents, StagedFile
from metaplatform.specs.entities.families import SourceSpec
from metaplatform.specs.fields.partitions import PartitionSpec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_NOTHING = PartitionContent(0, "0")
Span = tuple[datetime | None, datetime | None]
"""First and last event timestamp, where there are any."""


@dataclass(frozen=True)
class Taken:
    """Rows of files, read and held against the book, in a session.

    ``accepted`` has beside its columns the path of each row's file, ``unfit`` and the files' ``rejects`` its name for
    people; ``read`` counts rows by path.
    """

    files: SourceRows
    accepted: ibis.Table
    unfit: ibis.Table
    read: Counter[str]

    def accepted_by_file(self, session: Session) -> Counter[str]:
        """Return how many rows of each file are accepted, by its name for people."""
        named = Counter({self.files.names[path]: count for path, count in self.read.items()})
        return named - counted_by(session, self.unfit, FILE)


@dataclass(frozen=True)
class Tally:
    """What some rows amount to: how many are staged, turned away, no rows at all, and how many of these are excused.

    ``partitions``, ``faulty`` and ``span`` are as ``SourceContents`` has them.
    """

    stored: int = 0
    quarantined: int = 0
    rejected: int = 0
    excused: int = 0
    partitions: Mapping[str, PartitionContent] = field(default_factory=dict)
    faulty: Mapping[str, FileContent] = field(default_factory=dict)
    span: Span = (None, None)

    @classmethod
    def of(cls, contents: SourceContents) -> "Tally":
        """Return what all rows of a source amounted to when it was read last."""
        facts = (contents.stored, contents.quarantined, contents.rejected, contents.excused)
        return cls(*facts, contents.partitions, contents.faulty, (contents.first, contents.last))

    def exchanged(self, gone: "Tally", new: "Tally") -> "Tally":
        """Return what the rows amount to once some are ``gone`` and others have come; the span is that of both."""
        partitions = dict(self.partitions)
        for key in {*gone.partitions, *new.partitions}:
            held = _exchanged(*(tally.partitions.get(key, _NOTHING) for tally in (self, gone, new)))
            partitions[key] = held
            if not held.rows and not held.quarantined:
                del partitions[key]
        faulty = {name: held for name, held in self.faulty.items() if name not in gone.faulty} | dict(new.faulty)
        ends = [moment for moment in (*self.span, *new.span) if moment is not None]
        return Tally(
            self.stored - gone.stored + new.stored,
            self.quarantined - gone.quarantined + new.quarantined,
            self.rejected - gone.rejected + new.rejected,
            self.excused - gone.excused + new.excused,
            dict(sorted(partitions.items())),
            dict(sorted(faulty.items())),
            (min(ends, default=None), max(ends, default=None)),
        )


def _exchanged(held: PartitionContent, gone: PartitionContent, new: PartitionContent) -> PartitionContent:
    """Return a partition without some of its rows, and with others: contents are sums."""
    return PartitionContent(
        held.rows - gone.rows + new.rows,
        str(int(held.content) - int(gone.content) + int(new.content)),
        held.quarantined - gone.quarantined + new.quarantined,
    )


def take(
    session: Session, source: SourceSpec, place: Place, *, arrived: datetime, only: Collection[str] | None = None
) -> Taken:
    """Read the files of a source, some ``only`` if given, and hold their rows against the book.

    Raises:
        DataError: if files or columns are missing or cannot be read.
    """
    files = read_rows(session, source, place, only=only)
    conformed = conform(files.rows, source, arrived=arrived, keep=session.keep)
    unfit = session.keep(_renamed(conformed.quarantined, files.names), owner=source.ref)
    return Taken(files, conformed.accepted, unfit, counted_by(session, files.rows, FILE))


def numbers_of(read: SourceRows, files: Mapping[str, StagedFile]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the numbers of files by their names for people, and by their paths as engines know them."""
    by_name = {name: files[read.parts.get(name, name)].number for name in read.names.values()}
    return by_name, {path: by_name[name] for path, name in read.names.items()}


def tables_of(ref: str) -> tuple[str, str, str]:
    """Return the tables of a source's staged rows, of those that are turned away, and of lines that are not rows."""
    return staged_ref(ref), quarantine_ref(ref), f"{quarantine_ref(ref)}_lines"


def token_of(warehouse: Warehouse, ref: str) -> str:
    """Return what tells what is in the three tables from anything else; it stays when their files are cut otherwise."""
    found = ((table, warehouse.partitions(table)) for table in tables_of(ref) if warehouse.exists(table))
    return stable_id(
        *(f"{table} {key} {held.rows} {held.content}" for table, every in found for key, held in every.items())
    )


def numbered(rows: ibis.Table, numbers: Mapping[str, str], column: str = FILE) -> ibis.Table:
    """Return rows in the order of the numbers of their files, which ``column`` names, each with its number."""
    # A column of the files themselves by that name is kept nowhere.
    rows = rows.drop(*(name for name in rows.columns if name.casefold() == PARTITION))
    if len(set(numbers.values())) == 1:
        return rows.mutate(**{PARTITION: ibis.literal(next(iter(numbers.values())))})
    told = ibis.memtable(pa.table({"file": list(numbers), PARTITION: list(numbers.values())}))
    joined = rows.join(told, rows[column] == told["file"])
    return joined.select(*(joined[name] for name in (*rows.columns, PARTITION))).order_by(PARTITION)


def staged_rows(
    session: Session, warehouse: Warehouse, table: str, numbers: Collection[str] | None = None
) -> ibis.Table | None:
    """Return the newest rows of a table of files, of some numbers only if given; None if there is no such table.

    The session may have read an earlier version, or be about to. Earlier releases did not number files.
    """
    version = warehouse.version(table)
    if version is None:
        return None
    rows = session.table(table, version=version)
    if PARTITION not in rows.columns:
        return None
    return rows if numbers is None else in_partitions(rows, sorted(numbers))


def tally(
    session: Session,
    source: SourceSpec,
    stored: ibis.Table | None,
    unfit: ibis.Table | None,
    lines: ibis.Table | None,
    *,
    arrived: datetime,
    accepted: Mapping[str, int],
) -> Tally:
    """Return what the rows ``stored`` amount to, with those that were turned away, when they ``arrived``.

    ``accepted`` counts the rows of each file that are not turned away.
    """
    if stored is None:
        return Tally()
    plain = stored.drop(PARTITION)
    profiles = _profiles(session, partition_profiles(plain, source))
    faulty = None if unfit is None else session.keep(_faulty(source, unfit))
    quarantined = 0 if unfit is None else count(session, unfit)
    return Tally(
        stored=count(session, plain),
        quarantined=quarantined,
        rejected=0 if lines is None else count(session, lines),
        excused=0 if faulty is None else quarantined - count(session, faulty),
        partitions=_partitions(session, source, profiles, faulty, arrived),
        faulty=_faulty_files(session, source, accepted, faulty, lines, arrived),
        span=span_of(session, source, plain),
    )


def counted_by(session: Session, rows: ibis.Table, column: str) -> Counter[str]:
    """Return how many rows there are of each value of a column of text."""
    counted = rows.group_by(rows[column].name("file")).aggregate(rows=rows.count())
    return Counter({row["file"]: row["rows"] for row in session.stream(counted).read_all().to_pylist()})


def count(session: Session, rows: ibis.Table) -> int:
    """Return how many rows there are."""
    return int(session.stream(rows.aggregate(rows=rows.count())).read_all()["rows"][0].as_py())


def span_of(session: Session, source: SourceSpec, rows: ibis.Table) -> Span:
    """Return the first and the last event timestamp, as far as Python can tell one."""
    if source.event_timestamp is None:
        return None, None
    ends = session.stream(moment_span(rows, source)).read_all().to_pylist()
    return _moment(ends[0]["first"]), _moment(ends[0]["last"])


def _faulty(source: SourceSpec, unfit: ibis.Table) -> ibis.Table:
    """Return the rows that are turned away for a fault: no copies, and none that the book leaves out on purpose."""
    rows = unfit.filter(~unfit[COPY]) if source.key else unfit
    if source.partitions is None:
        return rows
    early = rows[MOMENT] < ibis.literal(first_moment(source.partitions))
    return rows.filter(~early.fill_null(False))


def _partitions(
    session: Session,
    source: SourceSpec,
    stored: Mapping[str, PartitionContent],
    faulty: ibis.Table | None,
    arrived: datetime,
) -> dict[str, PartitionContent]:
    turned_away: dict[str, int] = {}
    if source.partitions is not None and faulty is not None:
        bounds = _bounds(source, source.partitions, arrived)
        placed = faulty.filter(faulty[MOMENT] >= ibis.literal(bounds[0]), faulty[MOMENT] <= ibis.literal(bounds[1]))
        found = _profiles(session, partition_profiles(placed, source, moment=MOMENT))
        turned_away = {key: profile.rows for key, profile in found.items()}
    return {
        key: PartitionContent(profile.rows, profile.content, turned_away.get(key, 0))
        for key in sorted({*stored, *turned_away})
        for profile in [stored.get(key, _NOTHING)]
    }


def _bounds(source: SourceSpec, scheme: PartitionSpec, arrived: datetime) -> tuple[datetime, datetime]:
    """Return the first and the last moment that a row of a source may be about."""
    return first_moment(scheme), source.max_ahead.behind(arrived)


def _renamed(rows: ibis.Table, names: Mapping[str, str]) -> ibis.Table:
    """Return rows with their files as people call them."""
    told = ibis.memtable(pa.table({FILE: list(names), "name": list(names.values())}))
    joined = rows.join(told, FILE)
    return joined.select(*(joined["name"].name(FILE) if name == FILE else joined[name] for name in rows.columns))


def _faulty_files(
    session: Session,
    source: SourceSpec,
    accepted: Mapping[str, int],
    faulty: ibis.Table | None,
    lines: ibis.Table | None,
    arrived: datetime,
) -> dict[str, FileContent]:
    """Return what of each file is turned away, lines that are not rows too; ``accepted`` counts the others."""
    scheme = source.partitions
    within = _bounds(source, scheme, arrived) if scheme else None
    rows: dict[str, dict[str, Any]] = {}
    if faulty is not None:
        found = session.stream(faults_by_file(faulty, owner=source.ref, within=within)).read_all().to_pylist()
        rows = {row["file"]: row for row in found}
    unread = counted_by(session, lines, "file") if lines is not None else Counter[str]()
    contents = {}
    for name in sorted({*rows, *unread}):
        row = rows.get(name, {"rows": 0, "content": "", "first": None})
        bad = row["rows"] + unread[name]
        moment = None if scheme is None else _moment(row["first"])
        partition = scheme.key_of(moment) if scheme and moment else ""
        contents[name] = FileContent(accepted.get(name, 0) + bad, bad, row["content"], partition)
    return contents


def _profiles(session: Session, profiles: ibis.Table) -> dict[str, PartitionContent]:
    found = session.stream(profiles).read_all().to_pylist()
    return {str(row["partition"]): PartitionContent(row["rows"], row["fingerprint"]) for row in found if row["rows"]}


def _moment(micros: int | None) -> datetime | None:
    if micros is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return _EARLIEST if micros < 0 else _LATEST
