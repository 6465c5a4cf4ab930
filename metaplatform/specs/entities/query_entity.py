"""What entities that are the result of a query share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from metaplatform.chapters import STORED
from metaplatform.specs.entities.entity import Entity, Neighbours
from metaplatform.specs.fields.reads import SAME_ONLY, Reach
from metaplatform.specs.fields.references import Reference, whole
from metaplatform.specs.unknown import until_unknown
from metaplatform.sql.expressions import referenced_tables, table_uses


class QueryEntity(Entity):
    """The result of a query, ``sql``, in the partitions of ``partitioned_by`` if given."""

    if TYPE_CHECKING:
        # Fields of each kind, at their places among its others.
        sql: str
        partitioned_by: str | None

    @property
    def book_query(self) -> str | None:
        """Return the query."""
        return self.sql

    @property
    def made_of_tables(self) -> bool:
        """Return True."""
        return True

    def references(self) -> Iterator[Reference]:
        """Yield what the entity is ordered behind, what its query reads, and what it has its partitions from."""
        yield from super().references()
        with until_unknown():
            yield from (Reference(("sql",), target, STORED, target, place) for target, place in table_uses(self.sql))
        yield from whole(self, "partitioned_by", STORED)

    def partition_parent(self, book: Neighbours) -> str | None:
        """Return what the entity has its partitions from."""
        del book
        return self.partitioned_by


def query_reads(sql: str, partitioned_by: str | None, *, others: Reach) -> dict[str, tuple[Reach, ...]]:
    """Return how much a query reads of ``partitioned_by`` (the same partition) and of its other inputs.

    Raises:
        SqlError: if the query does not parse.
    """
    return {ref: SAME_ONLY if ref == partitioned_by else (others,) for ref in referenced_tables(sql)}
