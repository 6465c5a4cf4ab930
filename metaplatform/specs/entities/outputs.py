"""Chapter ``outputs``: the second place, where people and other systems read."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from metaplatform import places
from metaplatform.chapters import OUTPUTS, STORED
from metaplatform.specs.entities.entity import Entity, Neighbours
from metaplatform.specs.entities.query_entity import QueryEntity, query_reads
from metaplatform.specs.fields.base import Many, Query, Ref
from metaplatform.specs.fields.reads import AS_MADE, SAME_ONLY, Reach
from metaplatform.specs.fields.references import Reference, whole


class Output(Entity):
    """What every output has: a kind, and the files that it writes below the storage root."""

    chapter = OUTPUTS
    kind: str

    @property
    def files(self) -> tuple[str, str] | None:
        """Return the folder of its files below the storage root, and what they are called by partition, if any."""
        return None

    def breaks(self, old: Entity) -> Iterator[str]:
        """Yield that it is of another kind."""
        if type(old) is not type(self):
            yield "its kind changes"


class TableFile(Output):
    """One file for each partition of ``table`` (or one in all), replaced atomically."""

    table: Ref

    @property
    def files(self) -> tuple[str, str]:
        """Return the folder of its files below the storage root, and what they are called by partition."""
        return f"{places.EXPORTS}/{self.name}", f"{{}}.{self.kind}"

    @property
    def is_table(self) -> bool:
        """Return False: it is a file."""
        return False

    @property
    def asset_kinds(self) -> tuple[str, ...]:
        """Return the format."""
        return (self.kind,)

    @property
    def told(self) -> str:
        """Return which table is written in which format."""
        return f"{self.table} as {self.kind.upper()}."

    def breaks(self, old: Entity) -> Iterator[str]:
        """Yield that the file is of another kind, or holds another table."""
        yield from super().breaks(old)
        if isinstance(old, TableFile):
            yield from (
                f"its {name} changes" for name in ("kind", "table") if getattr(old, name) != getattr(self, name)
            )

    def references(self) -> Iterator[Reference]:
        """Yield what the file is ordered behind, and its table."""
        yield from super().references()
        yield from whole(self, "table", STORED)

    def reads(self, book: Neighbours) -> dict[str, tuple[Reach, ...]]:
        """Return the table's same partition."""
        del book
        return {self.table: SAME_ONLY}

    def partition_parent(self, book: Neighbours) -> str | None:
        """Return the table."""
        del book
        return self.table


class FileOutput(TableFile):
    """One file for each partition of ``table`` (or one in all), replaced atomically."""

    kind: Literal["parquet", "csv"]


class ViewsOutput(Output):
    """A DuckDB file of views on ``tables``, made again each time: for people and BI tools."""

    kind: Literal["views"]
    tables: Many[Ref] = Field(min_length=1)

    @property
    def files(self) -> tuple[str, str]:
        """Return the storage root itself, and the name of the one file of all views."""
        return "", places.VIEWS

    @property
    def is_table(self) -> bool:
        """Return False: it is a file."""
        return False

    @property
    def shows(self) -> bool:
        """Return True: views show what is stored as it is."""
        return True

    @property
    def asset_kinds(self) -> tuple[str, ...]:
        """Return DuckDB, whose file it is."""
        return ("duckdb",)

    @property
    def told(self) -> str:
        """Return which tables are shown."""
        return f"Views of {', '.join(self.tables)} in one DuckDB file."

    def breaks(self, old: Entity) -> Iterator[str]:
        """Yield tables that are shown no longer."""
        yield from super().breaks(old)
        if isinstance(old, ViewsOutput):
            yield from (f"it no longer shows {table}" for table in old.tables if table not in self.tables)

    def references(self) -> Iterator[Reference]:
        """Yield what the views are ordered behind, and their tables."""
        yield from super().references()
        yield from whole(self, "tables", STORED)

    def reads(self, book: Neighbours) -> dict[str, tuple[Reach, ...]]:
        """Return the tables' same partitions: views show what is stored."""
        del book
        return dict.fromkeys(self.tables, SAME_ONLY)


class ReportOutput(Output, QueryEntity):
    """The result of ``sql`` as a table and as an HTML page, for each partition of ``partitioned_by`` if given.

    ``title`` heads the page.
    """

    kind: Literal["report"]
    title: str = Field(min_length=1)
    sql: Query
    partitioned_by: Ref | None = None

    @property
    def files(self) -> tuple[str, str]:
        """Return the folder of its pages below the storage root, and what they are called by partition."""
        return f"{places.REPORTS}/{self.name}", "{}.html"

    @property
    def asset_kinds(self) -> tuple[str, ...]:
        """Return the page, and the table behind it."""
        return ("html", "deltalake")

    @property
    def told(self) -> str:
        """Return the title of the page."""
        return f"Report: {self.title}."

    def reads(self, book: Neighbours) -> dict[str, tuple[Reach, ...]]:
        """Return what the query reads: a page for people tells what was known when it was made."""
        del book
        return query_reads(self.sql, self.partitioned_by, others=AS_MADE)
