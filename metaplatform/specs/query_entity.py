"""What entities that are the result of a query share."""

from collections.abc import Iterator

from metaplatform.specs.chapters import STORED
from metaplatform.specs.expressions import referenced_tables, table_uses
from metaplatform.specs.reads import SAME_ONLY, Reach
from metaplatform.specs.references import Reference, whole


def query_references(sql: str, partitioned_by: str | None) -> Iterator[Reference]:
    """Yield what a query reads, and what its result has its partitions from; of SQL that does not parse nothing."""
    yield from (Reference(("sql",), target, STORED, target, place) for target, place in table_uses(sql))
    if partitioned_by:
        yield whole(("partitioned_by",), partitioned_by, STORED)


def query_reads(sql: str, partitioned_by: str | None, *, others: Reach) -> dict[str, tuple[Reach, ...]]:
    """Return how much a query reads of ``partitioned_by`` (the same partition) and of its other inputs.

    Raises:
        SqlError: if the query does not parse.
    """
    return {ref: SAME_ONLY if ref == partitioned_by else (others,) for ref in referenced_tables(sql)}
