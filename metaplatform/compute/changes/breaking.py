"""What of a change breaks those who read the result: each reason in words."""

from collections.abc import Iterator

from metaplatform.specs.columns import KnownColumns
from metaplatform.specs.entity import Entity
from metaplatform.specs.expressions import canonical_type
from metaplatform.specs.features import FeatureSetSpec
from metaplatform.specs.inference import PredictionSpec
from metaplatform.specs.ingestion import FileSource, TimedTable
from metaplatform.specs.manifest import Manifest
from metaplatform.specs.outputs import FileOutput, ViewsOutput

RETYPED = "the type of its column"
"""How the reason begins that a column has another type: rows of both cannot stand in one table."""
_READ_BY_NOBODY = ("monitoring.", "reactions.")


class Breaking:
    """Tells of two books, for each entity, what the second one breaks for readers of the first one's results."""

    def __init__(self, old: Manifest, new: Manifest) -> None:
        """Keep both; columns are looked up once."""
        self._old, self._new = old, new
        self._columns = (KnownColumns(old), KnownColumns(new))

    def reasons(self, ref: str) -> tuple[str, ...]:
        """Return why a change of ``ref`` breaks its readers; nothing where it does not, as far as the book tells."""
        if ref not in self._old.entities or ref.startswith(_READ_BY_NOBODY):
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
        if isinstance(old, TimedTable) and isinstance(new, TimedTable):
            yield from _of_tables(old, new)
        if isinstance(old, FileOutput) and isinstance(new, FileOutput):
            yield from (f"its {name} changes" for name in ("kind", "table") if getattr(old, name) != getattr(new, name))
        elif type(old) is not type(new) and ref.startswith("outputs."):
            yield "its kind changes"
        if isinstance(old, ViewsOutput) and isinstance(new, ViewsOutput):
            yield from (f"it no longer shows {table}" for table in old.tables if table not in new.tables)


def _of_tables(old: TimedTable, new: TimedTable) -> Iterator[str]:
    if old.key != new.key:
        yield "its key changes"
    if old.event_timestamp != new.event_timestamp:
        yield "its event timestamp changes"


def declared_types(manifest: Manifest, ref: str) -> dict[str, str]:
    """Return the canonical types of those columns of a table that sources declare and nothing computes.

    Of features and predictions these are the columns that come along from a source; of a query's, none is known.
    """
    match manifest.entities[ref]:
        case FileSource() as source:
            return {name: canonical_type(kind) for name, kind in source.columns.items()}
        case FeatureSetSpec() as feature_set:
            return _carried(manifest, feature_set.spine, ())
        case PredictionSpec() as prediction:
            model = manifest.models.get(prediction.model)
            described = manifest.feature_sets.get(model.feature_set) if model else None
            return _carried(manifest, described.spine, prediction.keep) if described else {}
    return {}


def _carried(manifest: Manifest, spine: str, kept: tuple[str, ...]) -> dict[str, str]:
    source = manifest.entities.get(spine)
    if not isinstance(source, FileSource):
        return {}
    kinds, carried = declared_types(manifest, spine), {*source.key, source.event_timestamp, *kept}
    return {name: kind for name, kind in kinds.items() if name in carried}
