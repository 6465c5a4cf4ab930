"""What of a change breaks those who read the result: each reason in words."""

from collections.abc import Iterator
from contextlib import suppress

from metaplatform.chapters import chapter_of
from metaplatform.specs.book.columns import KnownColumns
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.entities.entity import Entity
from metaplatform.sql.expressions import canonical_type

RETYPED = "the type of its column"
"""How the reason begins that a column has another type: rows of both cannot stand in one table."""


class Breaking:
    """Tells of two books, for each entity, what the second one breaks for readers of the first one's results."""

    def __init__(self, old: Manifest, new: Manifest) -> None:
        """Keep both; columns are looked up once."""
        self._old, self._new = old, new
        self._columns = (KnownColumns(old), KnownColumns(new))

    def reasons(self, ref: str) -> tuple[str, ...]:
        """Return why a change of ``ref`` breaks its readers; nothing where it does not, as far as the book tells."""
        if ref not in self._old.entities or chapter_of(ref).action is None:
            return ()
        if ref not in self._new.entities:
            return ("it is gone",)
        return tuple(self._reasons(ref, self._old.entities[ref], self._new.entities[ref]))

    def _reasons(self, ref: str, old: Entity, new: Entity) -> Iterator[str]:
        if self._old.partitions(ref) != self._new.partitions(ref):
            yield "its partitions change"
        before, after = self._columns[0].of(ref), self._columns[1].of(ref)
        if before is not None and after is not None:
            known = {name.lower() for name in after}
            lost = [name for name in before if name.lower() not in known]
            if lost:
                yield f"it loses the column{'s' if len(lost) > 1 else ''} {', '.join(lost)}"
        kinds, now = declared_types(self._old, ref), declared_types(self._new, ref)
        yield from (f"{RETYPED} {name} changes" for name, kind in kinds.items() if now.get(name, kind) != kind)
        yield from new.breaks(old)


def declared_types(manifest: Manifest, ref: str) -> dict[str, str]:
    """Return the canonical types of those columns of a table that sources declare and nothing computes.

    Of features and predictions these are the columns that come along from a source; of a query's, none is known.
    """
    if (source := manifest.source_at(ref)) is not None:
        return {name: canonical_type(kind) for name, kind in source.columns.items()}
    entity = manifest.entities[ref]
    with suppress(KeyError):
        rows = entity.described_rows(manifest)
        spine = manifest.source_at(rows) if rows else None
        if rows is not None and spine is not None:
            along = {*spine.identity, *entity.carried}
            return {name: kind for name, kind in declared_types(manifest, rows).items() if name in along}
    return {}
