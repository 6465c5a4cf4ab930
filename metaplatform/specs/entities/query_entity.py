"""What entities that are the result of a query share."""

from collections.abc import Iterator

from metaplatform.specs.entities.entity import Entity
from metaplatform.specs.fields.chapters import STORED
from metaplatform.specs.fields.reads import SAME_ONLY, Reach
from metaplatform.specs.fields.references import Reference, whole
from metaplatform.specs.unknown import until_unknown
from metaplatform.sql.expressions import referenced_tables, table_uses


def query_references(entity: Entity) -> Iterator[Reference]:
    """Yield what a query reads, and what its result has its partitions from; of SQL that does not parse nothing."""
    with until_unknown():
        uses = table_uses(entity.query) if entity.query is not None else ()
        yield from (Reference(("sql",), target, STORED, target, place) for target, place in uses)
    yield from whole(entity, "partitioned_by", STORED)


def query_reads(sql: str, partitioned_by: str | None, *, others: Reach) -> dict[str, tuple[Reach, ...]]:
    """Return how much a query reads of ``partitioned_by`` (the same partition) and of its other inputs.

    Raises:
        SqlError: if the query does not parse.
    """
    return {ref: SAME_ONLY if ref == partitioned_by else (others,) for ref in referenced_tables(sql)}
