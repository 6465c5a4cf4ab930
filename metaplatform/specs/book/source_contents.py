"""What a source's files were found to hold when they were read last: counted, and told apart by partition."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from metaplatform.naming import stable_id
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.ingestion import Source

EMPTY = stable_id("empty")
"""Fingerprint of a partition without a row."""
_DAY = "%Y-%m-%d"
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class PartitionContent:
    """The rows of one partition: how many are accepted, what tells them from others, and how many are turned away."""

    rows: int
    content: str
    quarantined: int = 0

    @property
    def fingerprint(self) -> str:
        """Return what changes with the accepted rows."""
        return stable_id(self.rows, self.content) if self.rows else EMPTY


@dataclass(frozen=True)
class FileContent:
    """A file some of whose rows are turned away for a fault: ``quarantined`` of ``rows``, lines that are not rows too.

    ``content`` tells these rows from others. ``partition`` is the first that one of them belongs to, ``""`` if none is.
    """

    rows: int
    quarantined: int
    content: str
    partition: str = ""


@dataclass(frozen=True)
class SourceContents:
    """What one reading of a source found; kept until its ``mark`` (of files and contract) is another one.

    ``partitions`` are by partition key; by UTC day for a source that has an event timestamp and no partitions; the
    whole is ``""`` where there is neither. ``read`` counts rows and ``rejected`` lines that are not rows: each row is
    ``stored`` or ``quarantined``. ``excused`` of the quarantined have no fault: they are copies of stored rows, or lie
    before the first partition. ``first`` and ``last`` are the outermost event timestamps. ``paths`` are the files;
    ``faulty`` has those with rows that are turned away for a fault, by their names for people. ``asked_at`` is when a
    run last found that the mark is still this one, None if none has asked since.
    """

    mark: str
    spec_hash: str
    read: int
    stored: int
    quarantined: int
    rejected: int
    excused: int
    arrived_at: datetime
    partitions: Mapping[str, PartitionContent] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    paths: tuple[str, ...] = ()
    faulty: Mapping[str, FileContent] = field(default_factory=dict)
    asked_at: datetime | None = None

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """Return the half-open span of the event timestamps, None if there are none."""
        if self.first is None or self.last is None:
            return None
        return self.first, self.last + _TICK

    def fingerprints(self, source: Source, closed: datetime) -> Mapping[str, str]:
        """Return the fingerprint of each partition; of the rows visible at ``closed`` (key ``""``) without partitions.

        A source that moves without partitions counts as changed when its rows before ``closed`` do, to the day: within
        the day of ``closed``, when that moves.
        """
        if source.partitions is not None:
            return self._by_partition
        if source.event_timestamp is None:
            return {"": stable_id(self.spec_hash, *(found.fingerprint for found in self.partitions.values()))}
        today = closed.astimezone(UTC).strftime(_DAY)
        past = [(day, found.fingerprint) for day, found in sorted(self.partitions.items()) if day < today]
        within = closed.isoformat() if today in self.partitions and not _starts_day(closed) else ""
        return {"": stable_id(self.spec_hash, *past, within)}

    @cached_property
    def _by_partition(self) -> dict[str, str]:
        """Return the fingerprint of each partition: looks ask for those of thousands, again and again."""
        return {key: found.fingerprint for key, found in self.partitions.items()}


@dataclass(frozen=True)
class StagedFile:
    """A file whose rows are staged: the ``number`` that they have there, and the ``mark`` of the file."""

    number: str
    mark: str


@dataclass(frozen=True)
class StagedFiles:
    """How a source's rows are staged, file by file, when its contents got their ``mark``.

    ``engine`` has read and told them apart: another one may see other rows in the same files. ``tables`` tells what is
    in the tables from anything else. ``columns`` are those that the files had together, with their types, before they
    were held against the book; ``kinds`` and ``alike`` as ``SourceRows`` has them. ``files`` are by path.
    """

    mark: str
    engine: str
    tables: str
    columns: Mapping[str, str]
    kinds: Mapping[str, frozenset[str]]
    alike: bool
    files: Mapping[str, StagedFile]


def _starts_day(moment: datetime) -> bool:
    return moment.astimezone(UTC).time() == datetime.min.time()


def closed_until(manifest: Manifest, now: datetime) -> datetime:
    """Return the end of the newest partition that has closed by ``now``; the day's start in a book without any."""
    schemes = {source.partitions for source in manifest.sources.values() if source.partitions}
    starts = [scheme.window(scheme.key_of(now)).start for scheme in schemes]
    return max(starts, default=now.replace(hour=0, minute=0, second=0, microsecond=0))
