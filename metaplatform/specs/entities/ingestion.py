"""Chapters ``sources`` and ``tables``: what is read from outside, and SQL over it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from metaplatform.chapters import SOURCES, TABLES
from metaplatform.specs.entities.entity import Entity, Neighbours
from metaplatform.specs.entities.query_entity import QueryEntity, query_reads
from metaplatform.specs.fields.addresses import shown_path
from metaplatform.specs.fields.base import ColumnName, Expression, Interval, Many, Pattern, Query, Ref, Spec
from metaplatform.specs.fields.duration import Duration
from metaplatform.specs.fields.partitions import PartitionSpec
from metaplatform.specs.fields.reads import WHOLE, Reach
from metaplatform.specs.fields.references import Path, texts_at
from metaplatform.sql.expressions import referenced_tables
from metaplatform.sql.written_values import PLAIN, Written

ARCHIVE = ".zip"
"""Ending of an archive, whose members are read one by one."""


class OutcomeSpec(Spec):
    """The ``columns`` that are not known at the event timestamp, and how long after it they are.

    No feature may read them for the row itself; windows over them, and labels, wait for ``delay``.
    """

    columns: Many[ColumnName]
    delay: Interval


class TimedTable(Entity):
    """What sources and SQL tables share: row key, time, partitions, and columns known only later.

    ``key`` names the columns that identify a row (the entity key of feature sets built on it): a table in which
    it repeats or has a null is not stored, rows of a source are turned away.
    ``event_timestamp`` is the moment a row is about, stored as a UTC instant.
    """

    key: Many[ColumnName] = ()
    event_timestamp: ColumnName | None = None
    outcomes: OutcomeSpec | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        """Return the columns that say which row it is, and when: key, then event timestamp."""
        return tuple(dict.fromkeys(name for name in (*self.key, self.event_timestamp) if name))

    def breaks(self, old: Entity) -> Iterator[str]:
        """Yield that rows are told apart, or have their moment, by other columns."""
        if isinstance(old, TimedTable) and old.key != self.key:
            yield "its key changes"
        if isinstance(old, TimedTable) and old.event_timestamp != self.event_timestamp:
            yield "its event timestamp changes"


class Source(TimedTable):
    """Rows from outside, read into one raw table.

    ``columns`` declares column types in DuckDB's words; with
    it, rows that do not fit go to quarantine and ``contract`` decides whether a new column, and one that
    some of the files lack, is an error (``freeze``) or is added and null there (``evolve``). Without it the
    types are inferred: such that no value changes, otherwise it is text. ``derive`` adds columns,
    each an expression over the others.

    Rows are read once they have not changed for ``settle``. A row whose event timestamp lies further ahead of the
    moment it is read than ``max_ahead``, or before the first partition, goes to quarantine. Where more than
    ``quarantine_share`` of a partition's rows, of all rows, or of a file's (10 at least), are turned away, nothing is
    made of them until better ones come or a person approves. ``deletes`` says whether a partition that the source holds
    no row of any more is emptied, with all that is made of it (``follow``), or stays as it is (``keep``).
    """

    chapter = SOURCES
    read: ClassVar[str] = "rows"
    """What is read, as messages call it."""
    if TYPE_CHECKING:  # Each kind has the field after those that all have.
        kind: str
    columns: dict[ColumnName, str] = Field(default_factory=dict)
    contract: Literal["freeze", "evolve"] = "freeze"
    derive: dict[ColumnName, Expression] = Field(default_factory=dict)
    partitions: PartitionSpec | None = None
    settle: Interval = Duration(seconds=5)
    max_ahead: Interval = Duration(seconds=86_400)
    quarantine_share: float = Field(default=0.1, ge=0, le=1)
    deletes: Literal["follow", "keep"] = "follow"

    @property
    def origin(self) -> tuple[Path, str]:
        """Return the field that says where the rows are, and what of it messages may show: never a secret."""
        return ("kind",), self.kind

    @property
    def derived(self) -> Mapping[str, str]:
        """Return the field ``derive``."""
        return self.derive

    @property
    def written(self) -> Written:
        """Return how values are written where the rows are text."""
        return PLAIN

    @property
    def computed(self) -> Mapping[str, Any]:
        """Return the derived columns: how files are read says nothing of what a column means."""
        return {"derive": self.derive}

    @property
    def asked_every(self) -> Duration | None:
        """Return how long after a run has asked for the state of the rows the loop has another run ask for it.

        None where each look of the loop asks, every few seconds, which must then cost as little as looking at a file's
        time.
        """
        return Duration(seconds=900)

    @property
    def asset_kinds(self) -> tuple[str, ...]:
        """Return the kind of what is read, and that of the raw table."""
        return (self.kind, "deltalake")

    @property
    def told(self) -> str:
        """Return where the rows are from."""
        return f"Rows of {self.origin[1]}."

    def expressions(self) -> Iterator[tuple[Path, str]]:
        """Yield the derived columns."""
        yield from texts_at(self, "derive")

    @property
    def policy_fields(self) -> frozenset[str]:
        """Return what decides when rows are read and followed, not what becomes of a row."""
        return frozenset({"settle", "quarantine_share", "deletes"})

    @property
    def later_fields(self) -> frozenset[str]:
        """Return the fields without which a raw table has the hash that earlier releases gave it."""
        return frozenset({"max_ahead"})

    @model_validator(mode="after")
    def _partitions_need_time(self) -> "Source":
        if self.partitions and not self.event_timestamp:
            raise ValueError("a partitioned source needs an event_timestamp")
        return self


class FileSource(Source):
    """Rows that are read from files.

    ``path`` is a file or a glob, relative to the book's project folder, or to the folder of an installed
    ``package``; a ``.zip`` is read through. ``hive_columns`` are columns that the files do not have: their values
    stand in the names of folders, as in ``region=EU/``. Of ``name_columns`` they stand elsewhere in the paths: each is
    the one group of a regular expression, such as ``sales_([0-9]{8})``.
    """

    read = "files"
    endings: ClassVar[tuple[str, ...]] = ()
    """The endings of its files' names, lower case: by them a kind is told from others."""
    path: str = Field(min_length=1)
    package: str | None = None
    hive_columns: Many[ColumnName] = ()
    name_columns: dict[ColumnName, Pattern] = Field(default_factory=dict)

    @property
    def origin(self) -> tuple[Path, str]:
        """Return the path, of which nothing that looks like a secret is shown."""
        return ("path",), shown_path(self.path)

    @property
    def asked_every(self) -> None:
        """Return that each look of the loop may look at names, sizes and times of the files."""

    @property
    def told(self) -> str:
        """Return where the rows are from."""
        return f"Rows of {self.path}."

    @property
    def later_fields(self) -> frozenset[str]:
        """Return the fields without which a raw table has the hash that earlier releases gave it."""
        return super().later_fields | {"hive_columns", "name_columns"}

    @property
    def columns_of_paths(self) -> tuple[ColumnName, ...]:
        """Return the columns whose values stand in the paths of files."""
        return (*self.hive_columns, *self.name_columns)

    @property
    def columns_of_files(self) -> dict[ColumnName, str]:
        """Return the declared columns that stand in the files themselves."""
        return {name: kind for name, kind in self.columns.items() if name not in self.columns_of_paths}

    @model_validator(mode="after")
    def _columns_of_paths_are_declared(self) -> "FileSource":
        for field, names in (("hive_columns", self.hive_columns), ("name_columns", self.name_columns)):
            undeclared = [name for name in names if self.columns and name not in self.columns]
            if undeclared:
                raise ValueError(f"{field}: {', '.join(undeclared)} must be among the declared columns")
        both = [name for name in self.hive_columns if name in self.name_columns]
        if both:
            raise ValueError(f"{', '.join(both)} stands in hive_columns and in name_columns")
        return self


class ParquetSource(FileSource):
    """Parquet files."""

    endings = (".parquet", ".pq")
    kind: Literal["parquet"]


class JsonSource(FileSource):
    """JSON or newline-delimited JSON files."""

    endings = (".json", ".jsonl", ".ndjson")
    kind: Literal["json"]


class TableSpec(TimedTable, QueryEntity):
    """A table made by one SQL query, ``sql``, over other tables.

    With ``partitioned_by``, the table has the partitions of that input: each is made from that input's
    partition and the whole of every other input, and made again whenever one of these changes. With ``look_back``
    or ``look_ahead`` (a label "within the next 30 days"), other inputs with an event timestamp are read only from
    so long before the partition's start to so long after its end, and only what changes there makes it again.
    Without ``partitioned_by`` the whole table is made again.
    """

    chapter = TABLES
    sql: Query
    partitioned_by: Ref | None = None
    look_back: Interval | None = None
    look_ahead: Interval | None = None

    @model_validator(mode="after")
    def _looks_from_partitions(self) -> "TableSpec":
        if self.partitioned_by is None and (self.look_back is not None or self.look_ahead is not None):
            raise ValueError("look_back and look_ahead start from the partitions of 'partitioned_by:'")
        return self

    @property
    def computed(self) -> Mapping[str, Any]:
        """Return all that decides the table's rows."""
        return self.semantic_fields()

    @property
    def told(self) -> str:
        """Return what the query reads."""
        return f"SQL over {', '.join(referenced_tables(self.sql)) or 'nothing of the book'}."

    def reads(self, book: Neighbours) -> dict[str, tuple[Reach, ...]]:
        """Return what the query reads: of others than ``partitioned_by`` all, or so far as it looks back and ahead."""
        del book
        others = WHOLE
        if self.look_back is not None or self.look_ahead is not None:
            others = Reach("span", (self.look_back or Duration(),), self.look_ahead or Duration())
        return query_reads(self.sql, self.partitioned_by, others=others)

    @property
    def later_fields(self) -> frozenset[str]:
        """Return the fields without which a table has the hash that earlier releases gave it."""
        return frozenset({"look_back", "look_ahead"})
