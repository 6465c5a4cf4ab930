"""Which columns a table of the book has, as far as the book itself can tell."""

from collections.abc import Collection, Mapping
from contextlib import suppress

from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.ingestion import Source, TimedTable
from metaplatform.specs.unknown import until_unknown
from metaplatform.sql.expressions import shared_query
from metaplatform.sql.query_columns import Columns, QueryColumns, query_columns
from metaplatform.sql.sql_safety import SqlError


def columns_of(manifest: Manifest, ref: str) -> tuple[str, ...] | None:
    """Return the columns of a table in order, ``_partition`` left out; None where the book cannot tell.

    Sources that declare no columns are unknown, and so is what selects ``*`` from them. References to
    nothing, or to what is not a table, are unknown too.
    """
    return KnownColumns(manifest).of(ref)


class KnownColumns:
    """The columns of a manifest's tables, each query read once.

    ``real`` are those of sources that declare no columns, where they are known from elsewhere.
    """

    def __init__(self, manifest: Manifest, real: Mapping[str, Collection[str]] | None = None) -> None:
        """Know nothing yet."""
        self._manifest = manifest
        self._real = real or {}
        self._known: dict[str, Columns] = {}
        self._queries: dict[str, QueryColumns] = {}

    def of(self, ref: str) -> Columns:
        """Return the columns of ``ref``, as ``columns_of`` does; within a cycle they are unknown."""
        if ref not in self._known:
            self._known[ref] = None
            with until_unknown():
                self._known[ref] = self._find(ref)
        return self._known[ref]

    def query(self, ref: str) -> QueryColumns:
        """Return the columns of the query of a table or report; unknown, without faults, if it does not parse."""
        if ref not in self._queries:
            entity = self._manifest.entities.get(ref)
            found = QueryColumns(None, ())
            with suppress(SqlError), until_unknown():
                if entity is not None and entity.query is not None:
                    found = query_columns(shared_query(entity.query), self.of)
            self._queries[ref] = found
        return self._queries[ref]

    def _find(self, ref: str) -> Columns:
        entity = self._manifest.entities.get(ref)
        if isinstance(entity, Source):
            found = entity.columns or self._real.get(entity.name)
            return (*found, *entity.derive) if found else None
        if entity is None or entity.query is not None:
            return self.query(ref).output
        with suppress(KeyError):
            spine = self._manifest.entities.get(entity.described_rows(self._manifest) or "")
            if isinstance(spine, TimedTable):
                return (*spine.identity, *entity.carried, *entity.own_columns(self._manifest))
        return None
